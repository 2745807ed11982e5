"""How large a corpus' model is and how long it reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from posttrain.pretraining.architecture import Shape


@dataclass(frozen=True)
class Size:
    """What suits a corpus; a corpus module may state its own as ``SIZE``.

    Args:
        shape: of the model.
        steps: updates.
        documents_per_step: documents in one update.
        learning_rate: its peak.
    """

    shape: Shape = field(default_factory=Shape)
    steps: int = 3000
    documents_per_step: int = 128
    learning_rate: float = 3e-3
