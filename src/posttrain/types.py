"""The nouns of the library: examples, rollouts, training sequences, batches, verdicts and progress.

Everything here is frozen. One convention holds for every per-token array in the whole package: **index t speaks
about token t** (its origin, its probability given the tokens before it, its advantage). Nothing is ever shifted
outside :class:`posttrain.forward.Forward`, no array of length l - 1 exists, and position 0, which nothing predicts,
always has weight 0.

Shapes: ``b`` sequences, ``l`` tokens, ``v`` vocabulary. This module needs no torch at run time, so that the command
line can read and check examples without paying for its import.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Generator, Tensor

Split = Literal["train", "validation", "heldout"]
Ended = Literal["stop", "length", "given"]

FULL_SCORE = 1.0
"""What a verifier gives a right answer."""
REJECTED = "rejected"
"""The fact of an example that holds an answer which is not preferred, a text."""
TOOLS = "tools"
"""The fact of an example that holds the tools on offer: name -> names of parameters, in order."""


class Origin(IntEnum):
    """Who wrote a token. Set once, by whoever creates the token; every mask derives from it."""

    PROMPT = 0
    """The question. Never trained on."""
    GIVEN = 1
    """A demonstration, a hint, a teacher's text: written by somebody else than the policy."""
    SAMPLED = 2
    """Written by the behaviour policy, its end-of-sequence token included."""
    OBSERVED = 3
    """An answer of a tool or environment. Conditions the rest, never trained on by default."""


@dataclass(frozen=True)
class Demonstration:
    r"""A worked solution in order.

    Args:
        chunks: the solution's steps; a hint is a run of leading chunks. Their concatenation is the reasoning.
        tail: the answer block that closes the solution. A hint does not contain it unless a method says so.

    Example:
        ``Demonstration(("19 + 35 = 54\n", "44 + 54 = 98\n"), " </think>\n<answer> 44 + 54 </answer>")``
    """

    chunks: tuple[str, ...]
    tail: str = ""

    @property
    def text(self) -> str:
        """The whole demonstration: what supervised fine-tuning imitates."""
        return "".join(self.chunks) + self.tail


@dataclass(frozen=True, eq=False)
class Example:
    """One task instance as text.

    Args:
        id: unique within its data set; names the example in errors and journals.
        prompt: everything that comes before the response, verbatim (no template is applied).
        answer: what the verifier needs to judge a response; opaque to everything else.
        demonstrations: worked solutions, possibly none.
        facts: anything else worth keeping (level, number of people …).
    """

    id: str
    prompt: str
    answer: Any = None
    demonstrations: tuple[Demonstration, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What a verifier says about one response.

    Args:
        score: the reward, or ``None`` when the response could not be judged (a timeout, a killed verifier). ``None``
            never turns into 0: its group is dropped and counted.
        reason: a few words for people, e.g. ``"wrong value"``.
        valid: whether an answer of the right form was found, right or wrong.
    """

    score: float | None
    reason: str
    valid: bool

    @property
    def correct(self) -> bool | None:
        """Whether it is the full score; ``None`` where nothing could be judged."""
        return None if self.score is None else self.score == FULL_SCORE


Verify = Callable[[str, Example], Verdict]
"""A verifier: (response, example) -> verdict."""


@dataclass(frozen=True, eq=False)
class Rollout:
    """One finished token sequence with its provenance; it may contain nothing sampled.

    Args:
        example: the task instance it answers.
        tokens: Int["l"], prompt included.
        origin: Int["l"], values of :class:`Origin`.
        behaviour_logprobs: Float["l"], log-probability of each token under the policy that sampled it at the sampling
            temperature; ``nan`` where nothing was sampled (unknown is never 0).
        response: the text after the prompt, hint included: what a verifier reads.
        temperature: at which the sampled tokens were drawn.
        policy_version: the step whose weights sampled it.
        ended: ``"stop"`` (end-of-sequence), ``"length"`` (cut off) or ``"given"`` (nothing was sampled).
        group: rollouts with equal ``group`` are compared with each other by credit.
        labels: what a source wants to remember, e.g. ``{"hint_fraction": 0.4}``.
        verdict: ``None`` until a reward has judged it.
        signals: name -> Float["l"], per-token numbers that the source knows, such as ``"preference"``.
    """

    example: Example
    tokens: Tensor
    origin: Tensor
    behaviour_logprobs: Tensor
    response: str
    temperature: float
    policy_version: int
    ended: Ended
    group: Hashable
    labels: Mapping[str, float] = field(default_factory=dict)
    verdict: Verdict | None = None
    signals: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def reward(self) -> float:
        """The score of its verdict.

        Raises:
            ValueError: nothing has judged it, or it could not be judged.
        """
        if self.verdict is None or self.verdict.score is None:
            raise ValueError(f"the rollout of example {self.example.id!r} has no score")
        return self.verdict.score


@dataclass(frozen=True, eq=False)
class TrainingSequence:
    """A rollout on its way into the loss.

    Args:
        rollout: where it came from; reward, labels and how it ended stay readable.
        tokens, origin: ["l"].
        stream: the name of the stage's stream that produced it.
        uid: unique within the run; keys random numbers, so that no cut of a batch changes them.
        signals: per-token numbers known before the update, name -> Float["l"] (``"advantages"``,
            ``"old_logprobs"``, ``"reference_logprobs"`` …); ``"emphasis/TERM"`` multiplies the membership of its tokens
            in that term.
        weights: term name -> Float["l"], shares of the whole minibatch; filled by :func:`posttrain.batching.weigh`.
    """

    rollout: Rollout
    tokens: Tensor
    origin: Tensor
    stream: str
    uid: int
    signals: Mapping[str, Tensor] = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Tokens, prompt included."""
        return self.tokens.shape[0]

    @property
    def group(self) -> Hashable:
        """The key of the rollouts this one is compared with; streams never mix."""
        return (self.stream, self.rollout.group)


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """A right-padded micro-batch. Only :func:`posttrain.batching.collate` makes one.

    Args:
        tokens, origin, attention_mask: Int["b l"]; padding has origin PROMPT, mask 0 and every weight 0.
        temperature: Float["b"], of the sampled tokens; 1 where nothing was sampled.
        uid: Int["b"].
        group: Int["b"], equal for sequences of the same group; the numbers mean nothing beyond this batch.
        signals, weights: name -> Float["b l"].
    """

    tokens: Tensor
    origin: Tensor
    attention_mask: Tensor
    temperature: Tensor
    uid: Tensor
    group: Tensor
    signals: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]


@dataclass(frozen=True)
class Progress:
    """Where a stage stands.

    Args:
        step: 0-based index of the current step, 0 <= step <= total_steps.
        total_steps: the stage's length.
        seed: the run's seed.
        scope: whose randomness this is (stage, stream, source); two scopes never share random numbers.
    """

    step: int
    total_steps: int
    seed: int
    scope: tuple[str, ...] = ()

    def within(self, name: str) -> Progress:
        """The same moment, in a narrower scope."""
        return replace(self, scope=(*self.scope, name))

    def key(self, *names: Hashable) -> int:
        """A 63-bit seed that depends on the run's seed, this step, the scope and ``names``, and on nothing else."""
        text = "/".join(str(part) for part in (self.seed, self.step, *self.scope, *names))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

    def generator(self, *names: Hashable) -> Generator:
        """A torch generator seeded with :meth:`key`: the one place where the loop's randomness comes from."""
        import torch

        return torch.Generator().manual_seed(self.key(*names))


Group = Sequence[Rollout]
