"""What is measured besides accuracy: numbers per problem, differences, verdicts, and how the page shows them."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from fixtures.documentation import ROOT
from fixtures.models import tiny_policy
from posttrain.evaluation.accuracy import Answer
from posttrain.settings.overrides import apply
from posttrain.types import Example
from tolerances import FLOAT32_MODEL

sys.path.insert(0, str(ROOT / "claims"))
from claim import Claim
from drafts import rows
from effects import Effect, effects_of
from judged import chosen
from levels import asked
from measures import Outcome
from measuring import entry
from outcomes import outcomes
from quantities import PlainSums, Surprise, correct, default_task, distinct_right, tokens
from tool_training import (
    ALL,
    ARMS,
    BEGINNING,
    CLAIMED,
    IMITATED,
    PLAIN,
    failing,
    right_parameters,
    right_tool,
)

CLAIM = Claim("kept", "What is kept", "posttrain compare sft mild=sft --seeds 2", (), "comparison")


def answer(response: str, score: float, length: int = 3) -> Answer:
    return Answer("q", response, score, "", True, length)


def effect(better: str, low: float, high: float) -> Effect:
    return Effect(CLAIM, "a", "b", "sft", "kept", "points", better, (low + high) / 2, low, high, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("better", "low", "high", "verdict"),
    [
        ("more", 1, 2, "shown"),
        ("more", -2, -1, "reversed"),
        ("less", 1, 2, "reversed"),
        ("less", -2, -1, "shown"),
        ("less", -1, 1, "not shown"),
        ("more", 0, 1, "not shown"),
    ],
)
def test_less_can_be_better(better: str, low: float, high: float, verdict: str) -> None:
    assert effect(better, low, high).verdict == verdict


def test_a_difference_is_paired_by_seed_and_problem() -> None:
    values = {"mild": [[1.0, 5.0], [3.0, 7.0]], "sft": [[0.0, 4.0], [2.0, 6.0]]}
    made = entry(Outcome("kept", "points", "more", (("mild", "sft"),)), values, [2.0, 4.0])
    assert made["arms"] == {"mild": [3.0, 5.0], "sft": [2.0, 4.0]}
    assert (made["base"], made["problems"]) == (3.0, 2)
    (found,) = made["differences"]
    assert found["difference"] == 1.0
    assert found["ci95"] == pytest.approx((1.0, 1.0))  # every pair differs by 1, so every resample does


def stored(folder: Path) -> Path:
    values = {"mild": [[1.0, 5.0], [3.0, 7.0]], "sft": [[2.0, 6.0], [4.0, 8.0]]}
    made = entry(Outcome("surprise", "nats per token", "less", (("mild", "sft"),)), values, [2.0, 4.0])
    tried = [{"setting": "rate", "value": "1e-3", "accuracy": 50.0, "chosen": True}]
    (folder / "measured.json").write_text(json.dumps({"outcomes": [made], "tried": tried}))
    return folder


def test_effects_are_read_from_what_was_measured(tmp_path: Path) -> None:
    (found,) = effects_of(CLAIM, stored(tmp_path))
    assert (found.method, found.outcome, found.size) == ("sft", "surprise", "-1.000 nats per token")
    assert (found.verdict, found.interval) == ("shown", "[-1.000, -1.000]")


def test_the_page_shows_means_differences_and_what_was_tried(tmp_path: Path) -> None:
    lines = outcomes(CLAIM, stored(tmp_path))
    assert "| | surprise, nats per token (n = 2) |" in lines
    assert [line for line in lines if line.startswith("| base") or line.startswith("| mild")] == [
        "| base | 3.000 |",
        "| mild | 4.000 |",
    ]
    assert "| surprise | mild − sft | -1.000 nats per token | [-1.000, -1.000] | less | shown |" in lines
    assert "- rate: **1e-3: 50.0**" in lines


def test_readings_of_the_answers_to_one_problem() -> None:
    given = [answer("a", 1.0, 2), answer("a", 1.0, 4), answer("b", 1.0, 6), answer("c", 0.1, 8)]
    assert (correct(given), tokens(given), distinct_right(given)) == (75.0, 5.0, 2.0)


def test_plain_sums_are_true_and_judged_by_their_number() -> None:
    sums = PlainSums()
    problems = sums.examples("heldout", 50, 0)
    assert len({e.prompt for e in problems}) == 50
    assert all(eval(e.prompt.rstrip("=")) == int(e.answer) for e in problems)
    assert sums.verify("7\n3+4", Example("s", "3+4=", "7")).score == 1.0
    assert sums.verify("71", Example("s", "3+4=", "7")).score != 1.0


def test_a_model_that_knows_nothing_is_surprised_by_the_logarithm_of_its_vocabulary() -> None:
    policy = tiny_policy()
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.zero_()
    surprise = Surprise(("key path",), count=2, _writers={"key path": lambda numbers: "a1 b2."})
    vocabulary = int(policy.model.config.vocab_size)
    assert surprise(policy) == pytest.approx([math.log(vocabulary)] * 2, rel=FLOAT32_MODEL)


def test_drafts_do_not_change_what_a_walk_is_worth() -> None:
    task, lengths = default_task(), set()
    for row in rows(20):
        demonstration = row["demonstration"]
        text = "".join(demonstration["chunks"]) + demonstration["tail"]
        example = Example("d", row["prompt"], row["answer"])
        walk = text.rpartition(";")[2]
        assert task.verify(text, example).score == task.verify(walk, example).score > 0
        lengths.add(len(text))
    assert len(lengths) == 4


def test_of_equal_candidates_the_first_is_chosen_and_all_are_written_down() -> None:
    tried: list[dict[str, object]] = []
    assert chosen("rate", {"1": [0.0, 100.0], "2": [100.0, 0.0], "3": [0.0, 0.0]}, tried) == "1"
    assert [(row["value"], row["accuracy"], row["chosen"]) for row in tried] == [
        ("1", 50.0, True),
        ("2", 50.0, False),
        ("3", 0.0, False),
    ]


def test_a_level_is_asked_for_behind_the_prompt_and_judged_without_it() -> None:
    (plain,) = asked("rft").values()
    problem = plain.examples("heldout", 1, 0)[0]
    problems = asked("tldr")
    prompts = {name: p.examples("heldout", 1, 0)[0].prompt for name, p in problems.items()}
    assert list(prompts) == ["tldr, short", "tldr, moderate", "tldr, long"]
    assert len({*prompts.values(), problem.prompt}) == 4
    assert all(prompt.startswith(problem.prompt) for prompt in prompts.values())
    short = problems["tldr, short"]
    walk = problem.demonstrations[0].text
    assert short.verify(walk, short.examples("heldout", 1, 0)[0]) == plain.verify(walk, problem)


def graded(reason: str) -> Answer:
    return Answer("q", "", 1.0 if reason == "right" else 0.1, reason, True, 1)


def test_right_tools_parameters_and_values_are_nested() -> None:
    reasons = ["no call", "unknown tool", "wrong tool", "made-up and missing parameters", "wrong value", "right"]
    given = [graded(reason) for reason in reasons]
    shares = [reading(given) for reading in (right_tool, right_parameters, correct, failing)]
    assert shares == pytest.approx([100 * count / 6 for count in (3, 2, 1, 3)])


def test_every_arm_of_tool_training_is_a_setting_of_the_method() -> None:
    for arm in ARMS.values():
        apply("tl_training", {}, arm.assignments)
    updates = {name: arm.supervised + arm.reinforced for name, arm in ARMS.items()}
    assert len({updates[first] for first, second in CLAIMED} | {updates[PLAIN], updates[IMITATED]}) == 1
    assert ARMS[BEGINNING].supervised == ARMS[ALL].supervised
