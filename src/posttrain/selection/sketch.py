"""A short vector for a matrix of any number of rows: a randomised Fourier transform of both sides, subsampled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from posttrain.types import Progress


@dataclass(frozen=True)
class FourierSketch:
    """How matrices Float["n v"] become vectors Float["rows * columns"] (UDS, 2510.16882, released code).

    Each side has its signs flipped at random, goes through a discrete Fourier transform of which the real part is
    kept, and ``rows`` (of ``longest``) or ``columns`` (of v) of its frequencies are drawn with replacement. The sketch
    is linear, so rows of zeros change nothing and no matrix has to be padded. Of a matrix of more rows than ``longest``
    every further piece of so many has a draw of its own, and their sketches add up (our reading): rows of different
    pieces are as independent as those of one. As E[cos^2] is 1/2, the released code's scale makes the expected squared
    length of a sketch about v * longest / 4 times that of the matrix; the isometric one divides by that, so that
    distances are those of the matrices themselves, whatever the vocabulary.

    Args:
        columns: frequencies kept of the vocabulary (128).
        rows: frequencies kept of time (8).
        longest: rows that share a draw (512, the most that a sequence has in the released script).
        normalise: distances in the units of the matrices, or in those of the released code.
    """

    columns: int = 128
    rows: int = 8
    longest: int = 512
    normalise: Literal["isometric", "code"] = "isometric"

    def __post_init__(self) -> None:
        """Refuse sketches without numbers."""
        if min(self.columns, self.rows, self.longest) < 1:
            raise ValueError(f"a sketch needs at least one column, row and position, got {self}")

    @property
    def size(self) -> int:
        """Numbers in a sketch."""
        return self.rows * self.columns

    def draw(self, vocabulary: int, seed: int, like: Tensor) -> Sketch:
        """The same sketch for the same seed and vocabulary, in the type and on the device of ``like``."""
        generator = torch.Generator().manual_seed(seed)
        left = self._side(self.longest, self.rows, generator)
        right = self._side(vocabulary, self.columns, generator)
        return Sketch(self, seed, left.to(like), right.to(like))

    def further(self, piece: int, seed: int, like: Tensor) -> Tensor:
        """Float["rows longest"]: the side of time of a matrix's rows from ``piece * longest`` on, ``piece`` above 0."""
        numbers = Progress(0, 0, seed, ("sketch",)).generator("rows", piece)
        return self._side(self.longest, self.rows, numbers).to(like)

    def _side(self, size: int, kept: int, generator: torch.Generator) -> Tensor:
        """Float["kept size"] in float64: scale x subsample x real part of the transform x signs."""
        signs = torch.randint(2, (size,), generator=generator) * 2.0 - 1.0
        frequencies = torch.randint(size, (kept,), generator=generator)
        turns = (frequencies[:, None] * torch.arange(size)) % size  # reduced in whole numbers, so that cos stays exact
        scale = math.sqrt(2 / kept) if self.normalise == "isometric" else math.sqrt(size / kept)
        return scale * torch.cos(turns.double() * (2 * math.pi / size)) * signs


@dataclass(frozen=True, eq=False)
class Sketch:
    """A sketch that was drawn.

    Args:
        spec: how it was drawn.
        seed: from what.
        left: Float["rows longest"].
        right: Float["columns v"].
    """

    spec: FourierSketch
    seed: int
    left: Tensor
    right: Tensor

    def __call__(self, matrix: Tensor) -> Tensor:
        """Float["n v"] -> Float["rows * columns"]."""
        narrow = matrix @ self.right.T
        first, *others = torch.split(narrow, self.spec.longest)
        sketch = self.left[:, : len(first)] @ first
        for piece, rows in enumerate(others, 1):
            sketch = sketch + self.spec.further(piece, self.seed, self.left)[:, : len(rows)] @ rows
        return sketch.flatten()
