"""A reinforced step around ``model.generate``: the loop is this library's, the engine is what one writes first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from posttrain.engines.twins import Twin
from posttrain.policy import Policy, autocast
from posttrain.sampling import Completion, Sampling
from posttrain.token_logprobs import token_logprobs


class Noting(LogitsProcessor):
    """Notes the log-probability of every token that was chosen: of each, when the next one is asked for.

    Args:
        temperature: at which they are chosen.
    """

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature
        self._last: Tensor | None = None
        self._columns: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Int["r l"], Float["r v"] -> the same scores."""
        self._note(input_ids)
        self._last = scores
        return scores

    def _note(self, tokens: Tensor) -> None:
        if self._last is not None:
            self._columns.append(token_logprobs(self._last.float() / self._temperature, tokens[:, -1]))

    def of(self, sequences: Tensor) -> Tensor:
        """Int["r l"] -> Float["r k"]: of all that was written."""
        self._note(sequences)
        return torch.stack(self._columns, 1)


class Generating:
    """Samples with ``generate`` of transformers, all prompts in one batch, with the weights in the products' type.

    Prompts are equally long, and nothing ends early: what the models of these benchmarks write.
    """

    def __init__(self) -> None:
        self.version = -1
        self._twin: Twin | None = None

    def load(self, policy: Policy, version: int) -> None:
        """Take the weights of now."""
        if self._twin is None or not self._twin.is_of(policy):
            self._twin = Twin(policy)
        else:
            self._twin.fill()
        self.version = version

    def generate(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> list[list[Completion]]:
        """See :class:`posttrain.protocols.Engine`; random numbers are torch's own."""
        assert self._twin is not None
        policy, n = self._twin.policy, completions_per_prompt
        given = torch.stack(list(prompts)).to(policy.device)
        with torch.no_grad(), autocast(policy):
            noting = Noting(sampling.temperature)
            sequences = policy.model.generate(
                given, attention_mask=torch.ones_like(given), do_sample=True, temperature=sampling.temperature,
                top_k=0, top_p=1.0, max_new_tokens=sampling.max_new_tokens, num_return_sequences=n,
                pad_token_id=policy.text.end, logits_processor=LogitsProcessorList([noting]),
            )  # fmt: skip
            logprobs = noting.of(sequences)
        tokens = sequences[:, given.shape[1] :]
        written = [Completion(row, values, stopped=False) for row, values in zip(tokens.cpu(), logprobs.cpu())]
        return [written[at : at + n] for at in range(0, len(written), n)]

    def as_finished(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> Iterator[tuple[int, list[Completion]]]:
        """The same; nothing is ready before all is."""
        yield from enumerate(self.generate(prompts, sampling, completions_per_prompt, generator))
