"""A reinforced step around ``model.generate``: the loop is this library's, the engine is what one writes first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor

from posttrain.engines.twins import Twin
from posttrain.policy import Policy, autocast
from posttrain.sampling import Completion, Sampling
from posttrain.token_logprobs import token_logprobs


class Generating:
    """Samples with ``generate`` of transformers, all prompts in one batch, with the weights in the products' type.

    Prompts are equally long, and nothing ends early: what the models of these benchmarks write. The logits that
    ``generate`` saw are kept by it, which is what log-probabilities of the samples cost least with.
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
            found = policy.model.generate(
                given, attention_mask=torch.ones_like(given), do_sample=True, temperature=sampling.temperature,
                top_k=0, top_p=1.0, max_new_tokens=sampling.max_new_tokens, num_return_sequences=n,
                pad_token_id=policy.text.end, return_dict_in_generate=True, output_logits=True,
            )  # fmt: skip
            tokens = found.sequences[:, given.shape[1] :]
            tempered = (logits.float() / sampling.temperature for logits in found.logits)
            columns = [token_logprobs(logits, column) for logits, column in zip(tempered, tokens.unbind(1))]
        logprobs = torch.stack(columns, 1)
        written = [Completion(row, values, stopped=False) for row, values in zip(tokens.cpu(), logprobs.cpu())]
        return [written[at : at + n] for at in range(0, len(written), n)]

    def as_finished(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> Iterator[tuple[int, list[Completion]]]:
        """The same; nothing is ready before all is."""
        yield from enumerate(self.generate(prompts, sampling, completions_per_prompt, generator))
