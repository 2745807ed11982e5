"""An engine that lets every token leave the model as soon as a layer is sure of it (SoFT's instance-aware inference).

Paper: Sorted LLaMA (Kavehzadeh et al., 2023), 2309.08968. The layers run in order; at an exit the model's norm and head
are applied, and if the likeliest token reaches that exit's threshold it is written and the rest of the layers is left
out. A text is written by itself, since a batch would have to go as deep as the least certain of its rows.

The deeper layers lack keys and values of tokens that left early. They are computed when a later token comes that deep,
in one pass over all that are missing, from the states in which those tokens left. The logits at every exit are
therefore exactly those of a model that ends there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Generator, Tensor

from posttrain.arrivals import in_order
from posttrain.blocks import Section, blocks
from posttrain.engines.draws import sample
from posttrain.errors import UserError
from posttrain.policy import Policy, autocast
from posttrain.sampling import Completion, Sampling


class EarlyExitEngine:
    """Writes every token at the first exit that is certain enough.

    Args:
        thresholds: depth -> the probability, at temperature 1, from which the likeliest token is certain there. Above
            1 it never is, at 0 always. The paper's for 40 layers: 12 and 16: 0.95, 20 and 24: 0.9, 28 and 32: 0.8,
            36: 0.7. The whole model needs none.

    Raises:
        UserError: a depth below 1 or a negative threshold.
    """

    def __init__(self, thresholds: Mapping[int, float]) -> None:
        if any(depth < 1 or threshold < 0 for depth, threshold in thresholds.items()):
            raise UserError(f"exits need depths of at least 1 and thresholds of at least 0, got {dict(thresholds)}")
        self._thresholds = dict(sorted(thresholds.items()))
        self._policy: Policy | None = None
        self._version = -1
        self._sections: list[Section] = []
        self.tokens_at: dict[int, int] = {}
        """How many tokens were written at each depth since the last load."""

    @property
    def version(self) -> int:
        """The step whose weights are loaded; -1 before the first load."""
        return self._version

    @property
    def mean_depth(self) -> float:
        """How many layers ran one after the other per token written since the last load.

        What a deeper layer catches up on runs beside the token that came so deep, and is not counted again.

        Raises:
            ZeroDivisionError: nothing was written.
        """
        return sum(depth * count for depth, count in self.tokens_at.items()) / sum(self.tokens_at.values())

    def load(self, policy: Policy, version: int) -> None:
        """Point at the live policy; no weight is copied.

        Raises:
            UserError: an exit lies behind the last layer but one.
        """
        depth = len(blocks(policy))
        if max(self._thresholds, default=0) >= depth:
            raise UserError(f"the model has {depth} layers; exits with a threshold lie between 1 and {depth - 1}")
        ends = [*self._thresholds, depth]
        self._sections = [Section(policy, first, last) for first, last in zip([0, *ends], ends)]
        self._policy, self._version = policy, version
        self.tokens_at = dict.fromkeys(ends, 0)

    def generate(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> list[list[Completion]]:
        """Continue every prompt; see :class:`posttrain.protocols.Engine`.

        Random numbers are the in-process engine's, so that without thresholds both write the same.
        """
        return in_order(self.as_finished(prompts, sampling, completions_per_prompt, generator), len(prompts))

    def as_finished(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> Iterator[tuple[int, list[Completion]]]:
        """The same, prompt after prompt."""
        if self._policy is None:
            raise RuntimeError("load a policy before generating")
        policy, n = self._policy, completions_per_prompt
        uniforms = torch.rand(len(prompts) * n, sampling.max_new_tokens, generator=generator)
        for place, prompt in enumerate(prompts):
            with torch.no_grad(), autocast(policy):
                written = [self._write(policy, prompt, sampling, uniforms[place * n + j]) for j in range(n)]
            yield place, written

    def _write(self, policy: Policy, prompt: Tensor, sampling: Sampling, uniforms: Tensor) -> Completion:
        from transformers import DynamicCache

        cache = DynamicCache(config=policy.model.config)
        for section in self._sections:
            section.begin(cache)
        text, logprobs = prompt.to(policy.device), []
        for uniform in uniforms.to(policy.device):
            logits = self._logits(policy, text)
            for rule in sampling.rules:
                logits = rule(logits, [text])
            token, logprob = sample(logits, sampling.temperature, uniform[None])
            text = torch.cat([text, token])
            logprobs.append(logprob.float())
            if int(token) == policy.text.end or len(text) >= policy.context:
                break
        written = text[len(prompt) :].cpu()
        return Completion(written, torch.cat(logprobs).cpu(), stopped=int(written[-1]) == policy.text.end)

    def _logits(self, policy: Policy, text: Tensor) -> Tensor:
        """Float["1 v"]: the logits of the token after ``text``, from the first exit that is certain of it."""
        for section, deeper in zip(self._sections, self._sections[1:]):
            states = section.read(text)
            deeper.hand(states)
            logits = policy.head(policy.final_norm(states[:, -1]))
            if float(torch.softmax(logits, -1).max()) >= self._thresholds[section.last]:
                self.tokens_at[section.last] += 1
                return logits
        last = self._sections[-1]
        self.tokens_at[last.last] += 1
        return policy.head(policy.final_norm(last.read(text)[:, -1]))
