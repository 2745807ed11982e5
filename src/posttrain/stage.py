"""What to do: streams, terms, optimiser, length. Validated when constructed, with the reason in the message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from posttrain.data.identity import repeated_id
from posttrain.data.spool import stored
from posttrain.errors import UserError
from posttrain.frozen import FrozenPolicy, Snapshot
from posttrain.heads import ValueHead
from posttrain.protocols import Adapter, Credit, Optimiser, Prepare, Reward, Schedule, Selection, Source, Term
from posttrain.sampling import Sampling
from posttrain.signals import EMPHASIS, HEAD, LAYERS, WHOLE_GROUPS, computed, frozen_roles
from posttrain.types import Example, Origin, Verify


@dataclass(frozen=True, eq=False)
class Problems:
    """What a method trains on: problems, and how an answer to them is judged.

    Args:
        examples: the training problems; their order is shuffled anew in every epoch.
        verify: (response, example) -> verdict.
        reward: the same as a group-level reward.
    """

    examples: Sequence[Example]
    verify: Verify
    reward: Reward

    def __post_init__(self) -> None:
        """Refuse an empty set, and two examples with the same id."""
        if not self.examples:
            raise UserError("there are no training examples")
        if stored(self.examples) is None and repeated_id(self.examples) is not None:
            raise UserError("two training examples share an id; ids must be unique")

    def need_demonstrations(self, least_chunks: int) -> None:
        """Refuse examples whose first demonstration is missing or has fewer chunks than a method needs."""
        spool = stored(self.examples)
        if spool is not None and spool.fewest_chunks is not None and spool.fewest_chunks >= least_chunks:
            return  # all of them were looked at when they were put away
        for example in self.examples:
            if not example.demonstrations:
                raise UserError(f"example {example.id!r} has no demonstration, which this method learns from")
            if len(example.demonstrations[0].chunks) < least_chunks:
                raise UserError(f"the demonstration of example {example.id!r} has no chunks to make hints of")


@dataclass(frozen=True, eq=False)
class Stream:
    """One kind of rollouts in a step.

    Args:
        name: terms refer to it.
        examples: drawn without replacement, epoch by epoch, in an order keyed by the run's seed.
        source: what is written, from where.
        prompts_per_step: examples drawn per step.
        reward: judges groups; ``None`` where nothing is judged (supervised streams).
        credit: rewards, or signals alone, to advantages.
    """

    name: str
    examples: Sequence[Example]
    source: Source
    prompts_per_step: int
    reward: Reward | None = None
    credit: Credit | None = None

    def __post_init__(self) -> None:
        """Refuse streams that cannot yield anything, or credit that would read rewards where there is none."""
        if self.prompts_per_step < 1:
            raise UserError(f"prompts_per_step must be at least 1, got {self.prompts_per_step}")
        if not self.examples:
            raise UserError(f"stream {self.name!r} has no examples")
        if self.credit is not None and self.credit.reads_rewards and self.reward is None:
            raise UserError(f"stream {self.name!r} has credit but no reward to base it on")


@dataclass(frozen=True)
class AdamW:
    """The optimiser of a stage that brings no other.

    Args:
        betas, epsilon, weight_decay: as in torch.
        clip_norm: the gradient's 2-norm is cut at this; infinity turns it off.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.01
    clip_norm: float = 1.0

    def start(self, groups: list[dict[str, Any]]) -> torch.optim.AdamW:
        """Torch's own, without momentum yet, which goes over all numbers once."""
        return torch.optim.AdamW(
            groups, lr=0.0, betas=self.betas, eps=self.epsilon, weight_decay=self.weight_decay, fused=True
        )


@dataclass(frozen=True, eq=False)
class Stage:
    """One run of the loop.

    Args:
        name: names the stage in metrics and checkpoints.
        streams: what is collected in each step.
        terms: the loss.
        steps: length in collections.
        learning_rate: a schedule or a number.
        optimiser: how a gradient moves the weights.
        sampling: how sampled streams are written.
        groups_per_update: groups per optimiser update; ``None`` takes the whole collection in one update.
        passes_over_rollouts: how often a collection is gone through.
        selection: which of the collected sequences and tokens are trained on; ``None`` takes all.
        adapter: which numbers of the model are trained; ``None`` trains them all.
        frozen: the frozen policies that may be named, made when the stage begins if something reads them.
        heads: modules trained beside the model, by name.
        tokens_per_microbatch: padded tokens sent through the model at a time, at most; changes speed and memory, never
            results.
    """

    name: str
    streams: tuple[Stream, ...]
    terms: tuple[Term, ...]
    steps: int
    learning_rate: Schedule | float
    optimiser: Optimiser = field(default_factory=AdamW)
    sampling: Sampling = field(default_factory=Sampling)
    groups_per_update: int | None = None
    passes_over_rollouts: int = 1
    selection: Selection | None = None
    adapter: Adapter | None = None
    frozen: Mapping[str, FrozenPolicy] = field(default_factory=lambda: {"reference": Snapshot()})
    heads: Mapping[str, ValueHead] = field(default_factory=dict)
    tokens_per_microbatch: int = 16384

    def __post_init__(self) -> None:
        """Refuse compositions that could only fail, or silently do nothing, later."""
        if self.steps < 0:
            raise UserError(f"steps cannot be negative, got {self.steps}")
        counts = {"passes_over_rollouts": self.passes_over_rollouts, "groups_per_update": self.groups_per_update}
        for name, value in counts.items():
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1, got {value}")
        names = [s.name for s in self.streams]
        for kind, given in (("streams", names), ("terms", [t.name for t in self.terms])):
            if not given or len(set(given)) != len(given):
                raise UserError(f"a stage needs {kind} with different names, got {given}")
        for term in self.terms:
            self._check_term(term, names)
        self._check_prepares()
        for stream in self.streams:
            self._check_needs(f"the credit of stream {stream.name!r}", stream.credit.needs if stream.credit else ())
        self._check_needs("the selection", self.selection.needs if self.selection else ())
        self._check_emphasis()
        sampled = any(Origin.SAMPLED in t.over for t in self.terms)
        if sampled and self.sampling.temperature == 0:
            raise UserError("training on sampled tokens needs a temperature above 0")

    def _check_term(self, term: Term, names: list[str]) -> None:
        if term.stream is not None and term.stream not in names:
            raise UserError(f"term {term.name!r} reads stream {term.stream!r}; the stage has {', '.join(names)}")
        read = [s for s in self.streams if term.stream in (None, s.name)]
        needs = term.objective.needs
        if "advantages" in needs and not any(s.credit for s in read):
            raise UserError(f"term {term.name!r} needs advantages, but no stream it reads has credit")
        provided = {name for s in read for name in (*s.source.provides, *(s.credit.provides if s.credit else ()))}
        provided |= {f"prepared/{term.prepare.provides}"} if term.prepare else set()
        for name in sorted(needs - computed(needs) - provided - {WHOLE_GROUPS, LAYERS}):
            if not name.startswith(("policy/", HEAD)):
                raise UserError(f"term {term.name!r} needs {name!r}, which nothing in the stage produces")
        self._check_needs(f"term {term.name!r}", needs)

    def _check_prepares(self) -> None:
        made: dict[str, Prepare] = {}
        for part in (t.prepare for t in self.terms if t.prepare is not None):
            if made.setdefault(part.provides, part) != part:
                raise UserError(
                    f"two terms prepare different things under the name {part.provides!r}; one would be lost"
                )

    def _check_emphasis(self) -> None:
        """An emphasis in a term that is not there, or that reads another stream, would do nothing."""
        wanted = [("the selection", name, self.terms) for name in (self.selection.emphasises if self.selection else ())]
        for s in self.streams:
            terms = tuple(t for t in self.terms if t.stream in (None, s.name))
            given = (n.removeprefix(EMPHASIS) for n in s.source.provides if n.startswith(EMPHASIS))
            wanted += [(f"the source of stream {s.name!r}", name, terms) for name in given]
        for who, name, terms in sorted(wanted, key=lambda w: w[:2]):
            if name not in {t.name for t in terms}:
                there = ", ".join(repr(t.name) for t in terms) or "none"
                raise UserError(
                    f"{who} weighs tokens of the term {name!r}, which would do nothing in stage {self.name!r}: "
                    f"choose among the terms that read them, {there}"
                )

    def _check_needs(self, reader: str, needs: Iterable[str]) -> None:
        unknown = frozen_roles(needs) - set(self.frozen)
        if unknown:
            name = sorted(unknown)[0]
            raise UserError(f"{reader} needs the frozen policy {name!r}, which the stage does not have")
        heads = {name.removeprefix(HEAD) for name in needs if name.startswith(HEAD)}
        heads |= {"value"} if "old_values" in needs else set()
        for name in sorted(heads - set(self.heads)):
            raise UserError(f"{reader} reads a head, but the stage has no head {name!r}")

    @property
    def _needs(self) -> frozenset[str]:
        readers = [t.objective for t in self.terms] + [s.credit for s in self.streams if s.credit]
        all_needs = [reader.needs for reader in (*readers, *([self.selection] if self.selection else []))]
        return frozenset(name for needs in all_needs for name in needs)

    @property
    def frozen_needed(self) -> frozenset[str]:
        """The frozen policies that this stage has to keep."""
        return frozen_roles(self._needs)

    @property
    def signals_needed(self) -> frozenset[str]:
        """The signals that need a pass of a model before the update: frozen and, if the ratio can move, old ones."""
        needed = set(computed(self._needs))
        if self.several_updates and any("advantages" in t.objective.needs for t in self.terms):
            needed.add("old_logprobs")
        return frozenset(needed)

    def readers(self, signal: str) -> tuple[Term, ...]:
        """The terms that read a signal which a model computes; old log-probabilities make the ratio of advantages."""
        needs = {signal, "advantages"} if signal == "old_logprobs" else {signal}
        return tuple(term for term in self.terms if needs & term.objective.needs)

    @property
    def whole_groups(self) -> bool:
        """Whether the sequences of a group have to stand in the same micro-batch."""
        return any(WHOLE_GROUPS in t.objective.needs for t in self.terms)

    @property
    def keeps_layers(self) -> bool:
        """Whether a pass of the policy has to keep the states of every layer."""
        return any(LAYERS in t.objective.needs for t in self.terms)

    @property
    def several_updates(self) -> bool:
        """Whether a collection is trained on more than once, or in more than one part."""
        prompts = sum(s.prompts_per_step for s in self.streams)
        parts = self.groups_per_update is not None and self.groups_per_update < prompts
        return self.passes_over_rollouts > 1 or parts

    def learning_rate_at(self, now: object) -> float:
        """The learning rate at this point of the stage."""
        return float(self.learning_rate(now)) if callable(self.learning_rate) else float(self.learning_rate)  # type: ignore[arg-type]
