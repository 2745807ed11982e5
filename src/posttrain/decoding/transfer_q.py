"""Value-guided decoding: each candidate for the next token is judged by where it leads, and the logits tilt towards it.

Source: Transfer Q-star: Principled Decoding for LLM Alignment (arXiv 2405.20495) and its released code. Next to the
base model's logits ``u_z`` stands an estimate ``Q_z`` of the reward of the text that goes on with z:

    score_z = u_z + Q_z / alpha          (the solution of  max E_pi[Q] - alpha KL(pi || base)  over the candidates)

The methods of the paper differ in ``value`` alone; the base model is the one whose engine applies the rule.

| method | value |
|---|---|
| TQ*, direct | ``LookAhead(engine of a model aligned with the reward, ...)`` |
| TQ*, indirect | the same with a model aligned with another reward, and ``estimate=Indirect(that reward)`` |
| controlled decoding (CD) | ``LookAhead(engine of the base model, ...)`` |
| ARGS | ``Immediate(...)``, the reward of the unfinished text |

A model guided by another one:

    guide = HuggingFaceEngine()
    guide.load(aligned, version=0)
    rule = ValueGuided(LookAhead(guide, aligned.text, score))
    engine.generate(prompts, Sampling(0.7, 128, (rule,)), 1, generator)

Every token diverges from the base model, renormalised on the candidates, by at most (max Q - min Q) / alpha nats.

Defaults are those of the released code: 10 candidates, alpha 1, one greedy look-ahead of 20 tokens (5 in its indirect
form, with beta 2). Text and code differ twice: the code takes the candidates and their logits from the aligned model
too, which here is a matter of the engine; and its indirect value is the unnormalised one, which is an option.

A look-ahead does not know how long the answer may still become, and may reach beyond the decoder's own limit. The cost
is in the look-aheads, candidates x rollouts x (text read + tokens written) per token of the answer; put
:class:`posttrain.engines.counting.CountingEngine` around their engine to count it. The text is read again for every
candidate, because an engine keeps no keys and values between two calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from posttrain.protocols import Engine
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Progress

TextScore = Callable[[Sequence[str]], Sequence[float]]
"""Whole texts, prompt and special tokens included but the final end-of-sequence -> a finite number for each.

It may be called with texts that are not finished. Only differences matter to a tilt, except in the unnormalised
indirect form, where scores belong at or above 0.
"""


class CandidateValue(Protocol):
    """Judges texts by what their last token leads to."""

    def __call__(self, texts: Sequence[Tensor]) -> Tensor:
        """Texts, each Int["l"] with its candidate at the end -> Float["n"]."""
        ...


class Estimate(Protocol):
    """Turns the rewards of look-aheads into the value of what they started from."""

    @property
    def least_rollouts(self) -> int:
        """How many look-aheads per candidate it needs to mean anything."""
        ...

    def __call__(self, texts: Sequence[str], scores: Tensor) -> Tensor:
        """The looked-ahead texts, candidate by candidate, and their rewards Float["n k"] -> Float["n"]."""
        ...


@dataclass(frozen=True, eq=False)
class ValueGuided:
    """Only the most likely tokens stay possible, and their logits are moved by what each is worth.

    At temperature 0 the best score is taken; above it, ``softmax(score / temperature)`` over the candidates is drawn
    from. The look-ahead is thrown away: one token is written, and the next one is judged anew.

    Args:
        value: of a candidate.
        candidates: the k most likely tokens (10); all of them if the vocabulary is smaller.
        alpha: of the KL penalty, above 0 (1; the code's weight of the reward is 1 / alpha). Towards 0 the best value
            decides alone; infinity leaves the base model's choice among the candidates.
    """

    value: CandidateValue
    candidates: int = 10
    alpha: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot choose."""
        if self.candidates < 1:
            raise ValueError(f"candidates must be at least 1, got {self.candidates}")
        if not self.alpha > 0:
            raise ValueError(f"alpha lies above 0, got {self.alpha}")

    def __call__(self, logits: Tensor, texts: Sequence[Tensor]) -> Tensor:
        """Float["r v"] -> Float["r v"]; see :class:`posttrain.sampling.LogitsRule`."""
        base, tokens = logits.topk(min(self.candidates, logits.shape[-1]), -1)
        going_on = [torch.cat([text, token[None]]) for text, row in zip(texts, tokens) for token in row]
        values = self.value(going_on).to(base).view(base.shape)
        return torch.full_like(logits, -math.inf).scatter(-1, tokens, base + values / self.alpha)


@dataclass(frozen=True, eq=False)
class Immediate:
    """ARGS (arXiv 2402.01694): the reward of the text as it stands, without looking ahead.

    Args:
        text: writes out the tokens.
        score: the reward.
    """

    text: Text
    score: TextScore

    def __call__(self, texts: Sequence[Tensor]) -> Tensor:
        """As for :class:`CandidateValue`."""
        return scored([_written_out(self.text, tokens) for tokens in texts], self.score)


@dataclass(frozen=True)
class Direct:
    """The look-ahead's model is aligned with the reward itself, or meant to be judged as it is: the mean."""

    least_rollouts: ClassVar[int] = 1

    def __call__(self, texts: Sequence[str], scores: Tensor) -> Tensor:
        """As for :class:`Estimate`."""
        return scores.mean(-1)


@dataclass(frozen=True, eq=False)
class Indirect:
    """The look-ahead's model is aligned with another reward: its rollouts count ``w = exp((r - r_other) / beta)``.

    Where that model is ``rho(y) exp(r_other(y) / beta)``, the weights make it ``rho(y) exp(r(y) / beta)``.

    Args:
        aligned_with: the other reward.
        beta: of the KL penalty that it was aligned under, above 0 (2).
        weighting: ``"self_normalised"``, ``sum w r / sum w``, or ``"unnormalised"``, ``mean w r``: the released code
            with its one rollout. Of one rollout the normalised weight is always 1, and unnormalised weights turn the
            order of negative rewards around.
    """

    aligned_with: TextScore
    beta: float = 2.0
    weighting: Literal["self_normalised", "unnormalised"] = "self_normalised"

    def __post_init__(self) -> None:
        """Refuse a penalty that is none."""
        if not self.beta > 0:
            raise ValueError(f"beta lies above 0, got {self.beta}")

    @property
    def least_rollouts(self) -> int:
        """Two, where weights are relative to each other."""
        return 2 if self.weighting == "self_normalised" else 1

    def __call__(self, texts: Sequence[str], scores: Tensor) -> Tensor:
        """As for :class:`Estimate`."""
        exponents = (scores - scored(texts, self.aligned_with).view(scores.shape)) / self.beta
        if self.weighting == "unnormalised":
            return (exponents.exp() * scores).mean(-1)
        return (torch.softmax(exponents, -1) * scores).sum(-1)


@dataclass(frozen=True, eq=False)
class LookAhead:
    """What a candidate is worth: the reward of the texts that another model writes from it on.

    A text that ends with the end-of-sequence token is judged as it stands. Truncated look-aheads are judged
    unfinished, which favours texts that are short and finished where the reward does.

    Args:
        engine: holds the look-ahead's model, which shares the base model's tokenizer. It must be another engine
            than the one that decodes, unless both are to have the same weights.
        text: writes out the tokens.
        score: the target reward.
        tokens: length of a look-ahead at most (20; the code's indirect form: 5); 0 is ARGS.
        rollouts: look-aheads per candidate (1).
        temperature: of the look-ahead; 0 is greedy, as in the code. Several rollouts need more.
        estimate: rewards to values.
        seed: of sampled look-aheads. Their random numbers also depend on the texts that are decoded together.
    """

    engine: Engine
    text: Text
    score: TextScore
    tokens: int = 20
    rollouts: int = 1
    temperature: float = 0.0
    estimate: Estimate = Direct()
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse look-aheads that estimate nothing."""
        if self.tokens < 0 or self.rollouts < 1:
            raise ValueError("a look-ahead needs tokens of at least 0 and rollouts of at least 1")
        if self.rollouts > 1 and self.temperature == 0:
            raise ValueError("greedy look-aheads are all alike; give several rollouts a temperature above 0")
        if self.rollouts < self.estimate.least_rollouts:
            raise ValueError(f"the estimate needs at least {self.estimate.least_rollouts} rollouts per candidate")

    def __call__(self, texts: Sequence[Tensor]) -> Tensor:
        """As for :class:`CandidateValue`."""
        reached = [[text.cpu()] * self.rollouts for text in texts]
        unfinished = [i for i, text in enumerate(texts) if int(text[-1]) != self.text.end]
        if self.tokens and unfinished:
            starts = [texts[i].cpu() for i in unfinished]
            numbers = Progress(0, 0, self.seed, ("look-ahead",)).generator(tuple(torch.cat(starts).tolist()))
            sampling = Sampling(self.temperature, self.tokens)
            written = self.engine.generate(starts, sampling, self.rollouts, numbers)
            for i, start, completions in zip(unfinished, starts, written):
                reached[i] = [torch.cat([start, completion.tokens]) for completion in completions]
        words = [_written_out(self.text, tokens) for row in reached for tokens in row]
        return self.estimate(words, scored(words, self.score).view(len(texts), self.rollouts))


def scored(texts: Sequence[str], score: TextScore) -> Tensor:
    """Float["n"] in float64; a text that occurs several times is judged once.

    Raises:
        ValueError: a score is no finite number.
    """
    different = list(dict.fromkeys(texts))
    known = dict(zip(different, map(float, score(different)), strict=True))
    for text, value in known.items():
        if not math.isfinite(value):
            raise ValueError(f"the score of {text[:120]!r} is {value}; a reward that guides decoding must be finite")
    return torch.tensor([known[text] for text in texts], dtype=torch.float64)


def _written_out(text: Text, tokens: Tensor) -> str:
    return text.verbatim(tokens[:-1] if int(tokens[-1]) == text.end else tokens)
