"""Who decides whether an answer that the policy wrote is right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from posttrain.curation.templates import filled
from posttrain.recipe import Workspace
from posttrain.sampling import Sampling
from posttrain.types import Example, Progress, Verify

FIRST_WORD = re.compile(r"\w+")


class Judge(Protocol):
    """A rule, or a model."""

    def __call__(
        self, answers: Sequence[tuple[Example, str]], verify: Verify, workspace: Workspace, now: Progress
    ) -> list[bool]:
        """Whether each answer is right, in order.

        Args:
            answers: examples, whose first demonstration is the gold answer, and what was written to them.
            verify: the task's own rule.
            workspace: its engine has the policy's weights loaded.
            now: randomness of this occasion.
        """
        ...


@dataclass(frozen=True)
class TaskVerifier:
    """The task's verifier: right is the full score. An answer that could not be judged is not right."""

    def __call__(
        self, answers: Sequence[tuple[Example, str]], verify: Verify, workspace: Workspace, now: Progress
    ) -> list[bool]:
        """Ask the verifier about each."""
        return [verify(text, example).correct is True for example, text in answers]


@dataclass(frozen=True)
class ModelJudge:
    r"""The policy itself is asked whether an answer says the same as the gold one; the first word of its reply counts.

    The wording is our reading. A question that does not fit into the context is answered no.

    Args:
        template: with ``{prompt}``, ``{gold}`` and ``{answer}``.
        yes: the first word that means right; case does not matter.
        max_new_tokens: longest reply in tokens.
    """

    template: str = (
        "Question:\n{prompt}\n\nReference answer:\n{gold}\n\nProposed answer:\n{answer}\n\n"
        "Does the proposed answer agree with the reference answer? Reply yes or no.\n"
    )
    yes: str = "yes"
    max_new_tokens: int = 8

    def __post_init__(self) -> None:
        """Refuse a template that hides one of the texts, and replies that nobody could give."""
        for name in ("{prompt}", "{gold}", "{answer}"):
            if name not in self.template:
                raise ValueError(f"template must show {name}, got {self.template!r}")
        if not self.yes.isalnum() or self.max_new_tokens < 1:
            raise ValueError(f"a judge needs yes to be one word and max_new_tokens of at least 1, got {self}")

    def __call__(
        self, answers: Sequence[tuple[Example, str]], verify: Verify, workspace: Workspace, now: Progress
    ) -> list[bool]:
        """Ask about each, greedily; the task's rule is not used."""
        text = workspace.policy.text
        prompts = [text.encode(self._question(example, answer)) for example, answer in answers]
        room = [k for k, prompt in enumerate(prompts) if len(prompt) < workspace.policy.context]
        right = [False] * len(answers)
        if room:
            sampling, numbers = Sampling(0.0, self.max_new_tokens), now.generator("judging")
            replies = workspace.engine.generate([prompts[k] for k in room], sampling, 1, numbers)
            for k, (reply,) in zip(room, replies):
                right[k] = self._means_yes(text.decode(reply.tokens))
        return right

    def _question(self, example: Example, answer: str) -> str:
        parts = {"prompt": example.prompt, "gold": example.demonstrations[0].text, "answer": answer}
        return filled(self.template, parts)

    def _means_yes(self, reply: str) -> bool:
        word = FIRST_WORD.search(reply)
        return word is not None and word[0].casefold() == self.yes.casefold()
