"""An engine that recites: for tests, and for trying a method's plumbing without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Generator, Tensor

from posttrain.arrivals import in_order
from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.sampling import Completion, Sampling
from posttrain.text import Text


class ScriptedEngine:
    """Writes what a function says.

    Args:
        text: tokenises the script.
        script: (prompt text, index of the completion) -> continuation text; end-of-sequence is added if it fits.
    """

    def __init__(self, text: Text, script: Callable[[str, int], str]) -> None:
        self._text = text
        self._script = script
        self._version = -1

    @property
    def version(self) -> int:
        """The step of the last load."""
        return self._version

    def load(self, policy: Policy, version: int) -> None:
        """Remember the version; a script has no weights."""
        self._version = version

    def generate(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> list[list[Completion]]:
        """The scripted continuations, cut to the longest length; their log-probability is unknown, so ``nan``.

        Raises:
            UserError: logits rules are asked for.
        """
        return in_order(self.as_finished(prompts, sampling, completions_per_prompt, generator), len(prompts))

    def as_finished(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> Iterator[tuple[int, list[Completion]]]:
        """The same, prompt after prompt; the script is asked when a prompt's turn has come."""
        if sampling.rules:
            raise UserError("the scripted engine computes no logits that rules could change; use the in-process engine")
        for place, prompt in enumerate(prompts):
            yield place, [self._complete(prompt, j, sampling) for j in range(completions_per_prompt)]

    def _complete(self, prompt: Tensor, index: int, sampling: Sampling) -> Completion:
        written = self._text.encode(self._script(self._text.decode(prompt), index))
        tokens = torch.cat([written, torch.tensor([self._text.end])])[: sampling.max_new_tokens]
        stopped = len(tokens) == len(written) + 1
        return Completion(tokens, torch.full((len(tokens),), float("nan")), stopped)
