"""TL-Training on tool calls: each of its measures alone, and all of them, by equally many updates.

``python claims/tool_training.py --out FOLDER`` begins with the base of the claim ``tools_base``, which knows the form
of a call and not which tool a request means. A fifth of the training conversations contain a call that failed, and
every arm reads the same ones. Learning rates are chosen per arm by the share of right tools on the validation split, by
models with a seed of their own; of two rates the supervised one first. What the reinforced stage begins with is
measured as well, at the rate of the arm that has it. Answers to held-out requests are greedy.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from claim import MEASURED_FILE
from judged import SEEDS, TUNING_SEED, Tried, chosen
from measures import Outcome, Pairs
from measuring import ROOT, entry
from quantities import Reading, answers, correct
from training import trained

from posttrain.evaluation.accuracy import Answer
from posttrain.loading import load_policy
from posttrain.policy import Policy
from posttrain.runs import folder
from posttrain.runtime import local_runtime
from posttrain.tasks.tool_calls import ToolCalls

BASE = ROOT / "runs" / "claims" / "tools_base"
TASK, PROBLEMS, TRAINING_EXAMPLES, RUNTIME = ToolCalls(), 300, 1500, local_runtime("float32")
LOOKED_AT = 32
"""Problems that a run itself looks at when it ends."""
PROMPTS_PER_UPDATE = 32
SUPERVISED_RATES, ACTOR_RATES = ("1e-3", "3e-3", "1e-2"), ("1e-4", "3e-4", "1e-3")
WRONG_CALLS = ("no call", "unknown tool", "wrong tool")

EVERY_TURN, EVEN = "turns.markers=[]", "keys.largest=1.0"
PLAIN, MAE, PKT, IMITATED, ALL = "plain", "MAE", "PKT", "MAE + PKT", "MAE + PKT + IRM"
BEGINNING = "MAE + PKT, as IRM begins"


@dataclass(frozen=True)
class Arm:
    """A way of training.

    Args:
        assignments: settings of the method.
        supervised: updates by imitation.
        reinforced: updates on sampled answers.
    """

    assignments: Sequence[str] = ()
    supervised: int = 90
    reinforced: int = 0


ARMS: Mapping[str, Arm] = {
    PLAIN: Arm((EVERY_TURN, EVEN)),
    MAE: Arm((EVEN,)),
    PKT: Arm((EVERY_TURN,)),
    IMITATED: Arm(),
    ALL: Arm(supervised=60, reinforced=30),
    BEGINNING: Arm(supervised=60),
}
CLAIMED: Pairs = ((MAE, PLAIN), (PKT, PLAIN), (IMITATED, PLAIN), (ALL, PLAIN), (ALL, IMITATED), (ALL, BEGINNING))


def right_tool(answers: Sequence[Answer]) -> float:
    """The share of calls of the right tool, in percent (TS)."""
    return _share(answers, lambda reason: reason not in WRONG_CALLS)


def right_parameters(answers: Sequence[Answer]) -> float:
    """The share of those that also have its parameters and no others, in percent (PI)."""
    return _share(answers, lambda reason: reason not in WRONG_CALLS and "parameters" not in reason)


def failing(answers: Sequence[Answer]) -> float:
    """The share of calls that would come back with an error, in percent."""
    return _share(answers, lambda reason: reason in ("no call", "unknown tool") or "made-up" in reason)


def _share(answers: Sequence[Answer], holds: Callable[[str], bool]) -> float:
    return 100 * sum(holds(answer.reason) for answer in answers) / len(answers)


READINGS: Mapping[Outcome, Reading] = {
    Outcome("right tool (TS)", "points", "more", CLAIMED): right_tool,
    Outcome("and its parameters (PI)", "points", "more", CLAIMED): right_parameters,
    Outcome("and their values (CF)", "points", "more", CLAIMED): correct,
    Outcome("calls that fail", "points", "less", CLAIMED): failing,
}


@dataclass(frozen=True)
class Rates:
    """Learning rates as they are written on a command line; the second one is of the reinforced stage alone."""

    supervised: str
    actor: str = "3e-4"


def model(out: Path, name: str, seed: int, rates: Rates) -> Policy:
    """What an arm comes to, trained when it is first asked for."""
    arm = ARMS[name]
    assignments = [*arm.assignments, f"supervised_steps={arm.supervised}"]
    for stage, rate in (("supervision", rates.supervised), ("actor_critic", rates.actor)):
        assignments += [f"{stage}.prompts_per_step={PROMPTS_PER_UPDATE}", f"{stage}.learning_rate={rate}"]
    options = {"seed": seed, "model": str(BASE), "task": TASK.name, "steps": arm.reinforced}
    options |= {"training_examples": TRAINING_EXAMPLES, "evaluation_examples": LOOKED_AT}
    used = [rates.supervised, rates.actor] if arm.reinforced else [rates.supervised]
    run = "-".join([re.sub(r"\W+", "-", name), *used, f"seed{seed}"])
    return load_policy(trained(out / run, "tl_training", options, assignments), RUNTIME)


def tuned(out: Path, name: str, tried: Tried) -> Rates:
    """The rates of an arm that find most tools of the validation split; what was tried is added to ``tried``."""

    def found(rates: Rates) -> list[float]:
        policy = model(out, name, TUNING_SEED, rates)
        return [right_tool(row) for row in answers(policy, TASK, PROBLEMS, 1, "validation")]

    supervised = chosen(f"{name}, TS by supervised rate", {r: found(Rates(r)) for r in SUPERVISED_RATES}, tried)
    if not ARMS[name].reinforced:
        return Rates(supervised)
    actor = {rate: found(Rates(supervised, rate)) for rate in ACTOR_RATES}
    return Rates(supervised, chosen(f"{name}, TS by rate of the reinforced stage", actor, tried))


def measure(out: Path) -> None:
    """Tune, train, answer the held-out requests, write."""
    tried: Tried = []
    found: dict[Outcome, dict[str, list[Sequence[float]]]] = {outcome: {} for outcome in READINGS}
    before = answers(load_policy(BASE, RUNTIME), TASK, PROBLEMS, 1)
    rates: dict[str, Rates] = {}
    for name in ARMS:
        rates[name] = rates[ALL] if name == BEGINNING else tuned(out, name, tried)
        for seed in SEEDS:
            answered = answers(model(out, name, seed, rates[name]), TASK, PROBLEMS, 1)
            for outcome, reading in READINGS.items():
                found[outcome].setdefault(name, []).append([reading(row) for row in answered])
    outcomes = [entry(o, found[o], [reading(row) for row in before]) for o, reading in READINGS.items()]
    folder.write_json(out / MEASURED_FILE, {"outcomes": outcomes, "tried": tried})


if __name__ == "__main__":
    measure(Path(sys.argv[sys.argv.index("--out") + 1]))
