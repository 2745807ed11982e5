"""Of several answers to each prompt, keep those that fit the policy as it stands."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from posttrain.curation.choices import Choice, MostLikely
from posttrain.curation.likelihood import mean, scored
from posttrain.errors import UserError
from posttrain.protocols import Source
from posttrain.recipe import Workspace
from posttrain.stage import Problems
from posttrain.types import Example, Progress


@dataclass(frozen=True)
class BestFit:
    """An interlude that scores every demonstration of every example and keeps some of each.

    A score is the mean log-probability per response token under the policy (GRAPE, 2502.04194). Nothing is judged:
    demonstrations must be right before they come here. One that is longer than the policy's context is not scored on
    what would be left of it but out of the choice, as is one without a token to score (a single token that nothing
    precedes, with ``end_counts`` off); an example without any other is left out.

    Args:
        problems: examples with one or more demonstrations each.
        source: what training will read, a rollout per demonstration, so that exactly its tokens are scored.
        choice: the rule.
        end_counts: whether the end-of-sequence token, which is trained on, counts in the mean.
        tokens_per_microbatch: padded tokens per pass; speed and memory only.
        name: of the interlude, and of the data set that it makes.

    The examples made have the chosen demonstrations, the best first. Their facts are those of before and ``fit`` (of
    the first one, in nats per token) and ``places`` (where the chosen ones stood).

    Raises:
        UserError: an example without demonstration, or with an empty one.
    """

    problems: Problems
    source: Source
    choice: Choice = MostLikely()
    end_counts: bool = True
    tokens_per_microbatch: int = 16384
    name: str = "best fit"

    def __post_init__(self) -> None:
        """Refuse what could not be scored."""
        self.problems.need_demonstrations(least_chunks=0)
        for example in self.problems.examples:
            if not all(d.text for d in example.demonstrations):
                raise UserError(f"a demonstration of example {example.id!r} is empty; leave it out")

    def run(self, workspace: Workspace) -> Workspace:
        """Put the examples with their chosen demonstrations into the workspace.

        Raises:
            UserError: nothing is left to train on.
        """
        examples, now = self.problems.examples, Progress(0, 0, workspace.seed, (self.name,))
        found = scored(examples, self.source, workspace, self.tokens_per_microbatch, self.end_counts)
        made: list[Example] = []
        kept: list[float] = []
        for example, fits in zip(examples, found.fits):
            places = tuple(self.choice(fits, now.generator("choice", example.id))) if fits else ()
            kept += [fits[place] for place in places]
            if places:
                chosen = tuple(example.demonstrations[place] for place in places)
                facts = {**example.facts, "fit": fits[places[0]], "places": places}
                made.append(dataclasses.replace(example, demonstrations=chosen, facts=facts))
        if not made:
            raise UserError(
                f"no example has an answer to keep that fits into the context of {workspace.policy.context} tokens; "
                "give shorter ones, take a model with a longer context, or choose by another rule"
            )
        counted = {
            "examples": len(made),
            "examples_left_out": len(examples) - len(made),
            "candidates": sum(len(example.demonstrations) for example in examples),
            "candidates_scored": sum(map(len, found.fits)),
            "candidates_kept": len(kept),
            "tokens_scored": found.tokens,
            "fit_of_scored": mean(fit for fits in found.fits for fit in fits.values()),
            "fit_of_kept": mean(kept),
        }
        return workspace.with_examples(self.name, tuple(made)).noting(self.name, counted)
