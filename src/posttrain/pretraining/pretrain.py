"""Pretraining is the same loop: one stream of written documents, one likelihood term."""

from __future__ import annotations

import dataclasses
import importlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from posttrain.batching import PerToken
from posttrain.durations import Steps
from posttrain.errors import UserError, unknown
from posttrain.loop import StepRecord, start, train
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.policy import Policy
from posttrain.prefixes import choose_attention
from posttrain.pretraining.architecture import Shape, new_model
from posttrain.pretraining.size import Size
from posttrain.protocols import Term
from posttrain.rollouts.written import Written
from posttrain.runs import folder
from posttrain.runs.checkpoint import save_model
from posttrain.runs.display import Display
from posttrain.runtime import Precision, local_runtime
from posttrain.schedules import Cosine, Warmup
from posttrain.stage import AdamW, Stage, Stream
from posttrain.text import Text
from posttrain.types import Example, Origin

EXAMPLE = Example("document", "")


class Corpus(Protocol):
    """A module of ``pretraining/corpora``; it may also state as ``SIZE`` how large its model is."""

    def write(self, numbers: random.Random) -> str:
        """One document."""
        ...

    def tokenizer(self) -> Any:
        """The tokenizer that can write every document and every problem."""
        ...


@dataclass(frozen=True)
class PretrainSpec:
    """How a base model is made; what is ``None`` is as the corpus' ``SIZE`` says.

    Args:
        out: folder of the model, in Hugging Face format.
        corpus: a file under ``pretraining/corpora``.
        steps: updates.
        documents_per_step: documents in one update.
        learning_rate: peak; warmed up over 100 steps, then a cosine to a tenth.
        seed: of weights and documents.
        shape: of the model.
        precision: of matrix products; weights are float32.
    """

    out: str
    corpus: str = "compact"
    steps: int | None = None
    documents_per_step: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    shape: Shape | None = None
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        if self.steps is not None and self.steps < 1:
            raise UserError(f"pretraining needs at least 1 step, got {self.steps}")


def corpus_named(name: str) -> Corpus:
    """The corpus module of that name.

    Raises:
        UserError: there is none.
    """
    known = [p.stem for p in (Path(__file__).parent / "corpora").glob("*.py") if p.stem != "__init__"]
    if name not in known:
        raise unknown("corpus", name, known)
    module: Any = importlib.import_module(f"posttrain.pretraining.corpora.{name}")
    return module  # type: ignore[no-any-return]


def size_of(spec: PretrainSpec, corpus: Corpus) -> Size:
    """What the spec says, and where it says nothing what the corpus does."""
    given = {f.name: getattr(spec, f.name) for f in dataclasses.fields(Size)}
    stated: Size = getattr(corpus, "SIZE", Size())
    return dataclasses.replace(stated, **{name: value for name, value in given.items() if value is not None})


def stage(size: Size, write: Callable[[random.Random], str]) -> Stage:
    """The stage of pretraining."""
    peak = size.learning_rate
    return Stage(
        name="pretraining",
        streams=(Stream("documents", (EXAMPLE,), Written(write), size.documents_per_step),),
        terms=(Term("likelihood", CrossEntropy(), frozenset({Origin.GIVEN}), PerToken()),),
        steps=size.steps,
        learning_rate=Warmup(Cosine(peak, peak / 10), Steps(100)),
        optimiser=AdamW((0.9, 0.98), 1e-8, 0.01, 1.0),
        tokens_per_microbatch=2048,
    )


def pretrain(spec: PretrainSpec, display: Display) -> Path:
    """Train a model from random weights and write it in Hugging Face format.

    Returns:
        The folder.
    """
    corpus = corpus_named(spec.corpus)
    size = size_of(spec, corpus)
    out = Path(spec.out)
    folder.claim(out)
    runtime = local_runtime(spec.precision)
    tokenizer = corpus.tokenizer()
    text = Text(tokenizer)
    model = new_model(size.shape, len(tokenizer), text.end, spec.seed).to(runtime.device)
    choose_attention(model, runtime.autocast)
    policy = Policy(model, text, runtime.autocast)
    display.say(f"pretraining {policy.parameters_count:,} parameters on the corpus {spec.corpus!r}")
    display.begin("pretraining", size.steps)

    def after_step(record: StepRecord) -> bool:
        step = record.now.step + 1
        row = {"step": step, "loss": record.losses["likelihood"], "seconds": record.seconds}
        folder.append_rows(out / folder.METRICS, [row])
        display.advance(step, f"loss {row['loss']:.4f}")
        return True

    train(start(stage(size, corpus.write), policy, spec.seed), runtime, after_step)
    save_model(out, policy)
    return out
