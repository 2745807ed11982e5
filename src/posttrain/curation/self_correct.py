"""Replace gold answers by the policy's own words where these are right."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from posttrain.curation.judges import Judge, TaskVerifier
from posttrain.curation.likelihood import mean, scored
from posttrain.curation.writing import OwnAnswer, Paraphrase, Way, written
from posttrain.errors import UserError
from posttrain.protocols import Source
from posttrain.recipe import Workspace
from posttrain.stage import Problems
from posttrain.types import Demonstration, Example, Progress

SELF, PARAPHRASE, GOLD = "self", "paraphrase", "gold"


@dataclass(frozen=True)
class Target:
    """What an example is going to be trained on instead of its gold answer.

    Args:
        kind: who wrote it, ``"self"`` or ``"paraphrase"``.
        text: without end-of-sequence.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class SelfCorrect:
    """An interlude that chooses a target for each example: its own answer, its paraphrase of the gold, or the gold.

    All of it is written by the policy as it stands, before any training step (S3FT, 2502.08130). An attempt that was
    cut off is a failure, whatever it says so far. The end-of-sequence token is not part of a target's text; training
    puts it after every target.

    Args:
        problems: examples with their verifier; the first demonstration is the gold answer.
        source: what training will read, for the likelihoods that are noted.
        judge: who decides what is right.
        own: how it answers by itself; ``None`` leaves that out.
        paraphrase: how it says the gold answer again where its own is not right; ``None`` leaves that out.
        otherwise: what becomes of the other examples: trained on their gold answer, or dropped.
        tokens_per_microbatch: padded tokens per scoring pass; speed and memory only.
        name: of the interlude, and of the data set that it makes.

    The examples made keep their order. Each has its target as the only demonstration; their facts are those of before
    and ``target``, which is ``"self"``, ``"paraphrase"`` or ``"gold"``.

    Raises:
        UserError: an example without demonstration.
    """

    problems: Problems
    source: Source
    judge: Judge = TaskVerifier()
    own: OwnAnswer | None = OwnAnswer()
    paraphrase: Paraphrase | None = Paraphrase()
    otherwise: Literal["gold", "drop"] = "gold"
    tokens_per_microbatch: int = 16384
    name: str = "self-correct"

    def __post_init__(self) -> None:
        """Refuse examples without a gold answer."""
        self.problems.need_demonstrations(least_chunks=0)

    def run(self, workspace: Workspace) -> Workspace:
        """Put the examples with their targets into the workspace.

        Raises:
            UserError: every example was dropped.
        """
        workspace.engine.load(workspace.policy, version=0)
        targets: dict[int, Target] = {}
        counted: dict[str, float] = {}
        if self.own is not None:
            counted |= self._try(SELF, self.own, targets, workspace)
        if self.paraphrase is not None:
            counted |= self._try(PARAPHRASE, self.paraphrase, targets, workspace)
        made = [_with_target(example, targets.get(k)) for k, example in enumerate(self.problems.examples)]
        if self.otherwise == "drop":
            made = [example for example in made if example.facts["target"] != GOLD]
        if not made:
            raise UserError(
                "none of the policy's own answers is right, so that nothing is left to train on; keep the gold"
            )
        counted = {**self._kinds(made), **counted, **self._likelihoods(made, workspace)}
        return workspace.with_examples(self.name, tuple(made)).noting(self.name, counted)

    def _try(self, kind: str, way: Way, targets: dict[int, Target], workspace: Workspace) -> dict[str, float]:
        """Let the policy write in one way to every example that has no target yet; its first right answer is one."""
        examples, now = self.problems.examples, Progress(0, 0, workspace.seed, (self.name, kind))
        open_ = [k for k in range(len(examples)) if k not in targets]
        found = written(way, [examples[k] for k in open_], workspace, now)
        asked = [(k, text) for k, texts in zip(open_, found.answers) for text in texts]
        right = self.judge([(examples[k], text) for k, text in asked], self.problems.verify, workspace, now)
        for (k, text), is_right in zip(asked, right, strict=True):
            if is_right:
                targets.setdefault(k, Target(kind, text))
        return {
            f"{kind}_judged": len(asked),
            f"{kind}_unfinished": found.unfinished,
            f"{kind}_tokens_sampled": found.tokens_sampled,
        }

    def _kinds(self, made: Sequence[Example]) -> dict[str, float]:
        kinds = Counter(example.facts["target"] for example in made)
        dropped = len(self.problems.examples) - len(made)
        return {"examples": len(made), **{kind: kinds[kind] for kind in (SELF, PARAPHRASE, GOLD)}, "dropped": dropped}

    def _likelihoods(self, made: Sequence[Example], workspace: Workspace) -> dict[str, float]:
        """How likely the policy finds its targets, by their kind: its own words should be the likeliest."""
        fits = scored(made, self.source, workspace, self.tokens_per_microbatch, end_counts=True).fits
        return {
            f"fit_of_{kind}": mean(fit[0] for e, fit in zip(made, fits) if e.facts["target"] == kind and fit)
            for kind in (SELF, PARAPHRASE, GOLD)
        }


def _with_target(example: Example, target: Target | None) -> Example:
    chosen = example.demonstrations[0]
    if target is not None and target.text != chosen.text:  # the gold's own words keep the gold's chunks
        chosen = Demonstration(tuple(target.text.splitlines(keepends=True)))
    facts = {**example.facts, "target": GOLD if target is None else target.kind}
    return dataclasses.replace(example, demonstrations=(chosen,), facts=facts)
