"""How fast a work could be at most: its matrix products counted, and timed on this machine at their own shapes.

A step needs the products of its passes, forwards and, where there is a gradient, twice more backwards; of tokens that
the sequences of a group have in common once, of the last token of a sequence never, and of the last layer, but for keys
and values, at tokens only that something is predicted from. Sampling runs each prompt once and then one token per row
and turn, and has to read the weights in every turn; an update reads and writes the optimiser's numbers. Each product is
timed alone, at its own shape, in float32 and in bfloat16, and the faster counts, in turns of sampling with packed
weights as well; each read is timed at its own size. Norms, activations, rotations, softmax, random numbers, padding,
text and rewards are counted as nothing, so that no program of these products can be faster than what is found here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from benchmarks.contestants.serving import Line
from benchmarks.contestants.work import Work
from benchmarks.models import SIZES, Size
from posttrain.engines.packed import Joint, can_be_packed

TOKENS_PER_PASS = 16384
"""As many as this library sends through the model at a time."""
LEAST_SECONDS, LEAST_REPETITIONS = 0.05, 5
"""How long and how often a product is repeated; the fastest of these repetitions counts."""
BYTES_PER_WEIGHT, BYTES_PER_UPDATE = 2, 28
"""bfloat16 while sampling; AdamW reads weight, gradient and two moments and writes all but the gradient."""


@dataclass(frozen=True)
class Product:
    """``count`` products of Float["b m k"] with Float["b k n"].

    Args:
        share: of the product that is needed; one half of a causal product.
    """

    m: int
    k: int
    n: int
    count: float
    batch: int = 1
    share: float = 1.0

    @property
    def operations(self) -> float:
        """Multiplications and additions."""
        return 2.0 * self.batch * self.m * self.k * self.n * self.count * self.share


@dataclass(frozen=True)
class Needed:
    """What a work cannot do without.

    Args:
        products: with a gradient and without.
        turns: products of one turn of sampling, each as often as there are turns.
        turn_bytes: weights, and keys and values in the middle of the completion, that a turn reads, a prompt's once.
        turns_count: of turns.
        update_bytes: that an update reads and writes.
    """

    products: list[Product]
    turns: list[Product]
    turn_bytes: float
    turns_count: int
    update_bytes: float


def needed(work: Work, size: Size) -> Needed:
    """Count the work's products and bytes."""
    products: list[Product] = []
    trained = 0 if work.kind == "sampling" else work.live_groups or work.prompts
    if trained:
        products += with_gradient(training(work, size, trained))
    turns, written = [], work.completion_tokens - work.hint_tokens
    start = work.prompt_tokens + work.hint_tokens
    if work.sampled_tokens:
        products += layers(size, work.prompts * start, work.prompts, 1)
        products += attention(size, work.prompts, start, start, 0.5, size.layers - 1)
        turns = layers(size, work.rows, work.rows, written - 1)
        turns += [Product(work.rows, size.width, size.vocabulary, written - 1)]
    weights = size.layers * sum(k * n for k, n in matrices(size)) + size.vocabulary * size.width
    # Rows of a prompt share its keys and values; of their own they have half of what they come to, on average.
    remembered = (work.prompts * start + work.rows * (written // 2)) * size.layers * 2 * key_value_width(size)
    update = BYTES_PER_UPDATE * weights if trained else 0
    return Needed(products, turns, BYTES_PER_WEIGHT * (weights + remembered), written - 1 if turns else 0, update)


def training(work: Work, size: Size, groups: int) -> list[Product]:
    """The forward products of an update on that many groups of sequences with a common beginning."""
    common, own = work.prompt_tokens + work.hint_tokens, work.completion_tokens - work.hint_tokens - 1
    rows, whole = groups * work.completions, common + own
    passed, read = groups * common + rows * own, groups * (1 + work.hint_tokens) + rows * own
    passes = -(-passed // TOKENS_PER_PASS)
    return [
        *layers(size, passed // passes, read // passes, passes),
        Product(read // passes, size.width, size.vocabulary, passes),
        *attention(size, groups, common, common, 0.5, size.layers - 1),
        *attention(size, rows, own, whole, (common + own / 2) / whole, size.layers),
    ]


def key_value_width(size: Size) -> int:
    """Numbers of a key, over all of its heads."""
    return size.width // size.heads * size.key_value_heads


def matrices(size: Size) -> list[tuple[int, int]]:
    """Inputs and outputs of a layer's matrices, those side by side that are given the same numbers."""
    wide, narrow = size.width, key_value_width(size)
    return [(wide, wide + 2 * narrow), (wide, wide), (wide, 2 * size.inner), (size.inner, wide)]


def layers(size: Size, tokens: int, read: int, count: float) -> list[Product]:
    """The products of all layers with that many tokens, ``count`` times; ``read`` of them are of use after the last."""
    (wide, _), *others = matrices(size)
    last = [Product(tokens, wide, 2 * key_value_width(size), count)]
    last += [Product(read, k, n, count) for k, n in ((wide, wide), *others)]
    return [*(Product(tokens, k, n, count * (size.layers - 1)) for k, n in matrices(size)), *last]


def attention(size: Size, rows: int, queries: int, keys: int, share: float, layers: int) -> list[Product]:
    """Scores and mixtures of all heads; a batch holds the heads of as many rows as fit into a pass."""
    at_once = max(1, min(rows, TOKENS_PER_PASS // queries))
    batch, width, count = at_once * size.heads, size.width // size.heads, layers * rows / at_once
    return [Product(queries, width, keys, count, batch, share), Product(queries, keys, width, count, batch, share)]


def with_gradient(products: list[Product]) -> list[Product]:
    """The same, and the two of each that its gradients are."""
    return [
        one
        for p in products
        for one in (
            p,
            Product(p.m, p.n, p.k, p.count, p.batch, p.share),
            Product(p.k, p.m, p.n, p.count, p.batch, p.share),
        )
    ]


class Bench:
    """Times products and reads, each shape once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], float] = {}

    def seconds(self, product: Product) -> float:
        """Of all its repetitions, at the faster precision."""
        shape = (product.batch, product.m, product.k, product.n)
        if shape not in self._known:
            self._known[shape] = min(_fastest_product(*shape, dtype) for dtype in (torch.float32, torch.bfloat16))
        return self._known[shape] * product.count * product.share

    def seconds_of_turns(self, product: Product) -> float:
        """The same with a weight that stays as it is in between, so that the processor may have its order of it."""
        layer = nn.Linear(product.k, product.n, bias=False, dtype=torch.bfloat16)
        if not can_be_packed(layer, torch.bfloat16):
            return self.seconds(product)
        joint, inputs = Joint([layer], torch.bfloat16), torch.randn(product.m, product.k).bfloat16()
        return min(self.seconds(product), fastest(lambda: joint.part(0, inputs)) * product.count)

    def reading(self, size_in_bytes: float) -> float:
        """Seconds to read that many bytes that lie side by side."""
        numbers = torch.ones(max(1024, int(size_in_bytes) // 4))
        return fastest(lambda: numbers.sum())


def _fastest_product(batch: int, m: int, k: int, n: int, dtype: torch.dtype) -> float:
    first, second = torch.randn(batch, m, k).to(dtype), torch.randn(batch, k, n).to(dtype)
    out = torch.empty(batch, m, n, dtype=dtype)
    if batch == 1:
        first, second, out = first[0], second[0], out[0]
    return fastest(lambda: torch.matmul(first, second, out=out))


def fastest(action: Callable[[], object]) -> float:
    """Seconds of the fastest of several repetitions, the first of which does not count."""
    action()
    times: list[float] = []
    until = time.perf_counter() + LEAST_SECONDS
    while len(times) < LEAST_REPETITIONS or time.perf_counter() < until:
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def least_seconds(work: Work, size: Size, bench: Bench) -> dict[str, float]:
    """The least time in ``seconds``, its parts, and the operations that were counted."""
    counted = needed(work, size)
    passes = sum(bench.seconds(p) for p in counted.products)
    turns = sum(bench.seconds_of_turns(p) for p in counted.turns)
    reads = counted.turns_count * bench.reading(counted.turn_bytes) if counted.turns_count else 0.0
    update = bench.reading(counted.update_bytes) if counted.update_bytes else 0.0
    return {
        "seconds": passes + max(turns, reads) + update,
        "passes": passes,
        "turns": turns,
        "turns_reading": reads,
        "update": update,
        "operations": sum(p.operations for p in counted.products + counted.turns),
    }


def main() -> None:
    """Serve one work; a contestant that does nothing but what cannot be avoided."""
    line = Line()
    order = line.order()
    torch.set_num_threads(order.threads)
    line.ready("torch")
    with torch.no_grad():
        while line.asked():
            line.answer(least_seconds(order.work, SIZES[order.work.size], Bench()))


if __name__ == "__main__":
    main()
