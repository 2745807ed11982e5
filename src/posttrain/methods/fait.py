"""Fault-aware fine-tuning: weigh the tokens in which a correct solution differs from a faulty one.

Paper: Fault-Aware Fine-Tuning for Better Code Generation (Fan et al., 2025).
arXiv: 2503.16913
Axes: source, selection, curation

Supervised fine-tuning on correct solutions whose tokens do not all count the same. Each solution stands beside a
similar one that fails its tests; lines and tokens in which the two differ are where a fault would be, and weigh more,
by how much the policy still prefers the faulty variant there:
``w = 1 + line * rho_line * M_line + token * rho_token * M_token`` with ``rho = l / (l + l_faulty)`` of the mean losses
on marked tokens, without a gradient. The loss is ``sum w * nll / tokens``; the faulty text is never trained on.

Verified of the paper: pairs whose solution passes and whose variant fails, lines by difflib, characters by a
Levenshtein alignment, a weighted loss on the correct solution divided by its tokens, one epoch. Its formula of the
weight was in no source that could be read: form and constants (1, 1, 1e-6) are our reading, and ``emphasis.strength``
has others. The paper's teacher that writes the variants is replaced by mutation (``pairs=given`` takes your own).

Reductions: without differences, or with ``line = token = 0``, it is ``sft``.

Deviations: an example without a variant is trained on unweighted instead of being left out, so that the comparison
with ``sft`` is on the same data. Weights above 1 raise the effective learning rate, in the paper as here;
``supervision.share.counts=weights`` divides by them instead.
"""

from __future__ import annotations

import dataclasses

from posttrain.curation.faulty_pairs import Given, Mutated
from posttrain.recipe import Recipe
from posttrain.rollouts.contrasts import Contrasts
from posttrain.selection.faults import FaultEmphasis
from posttrain.stage import Problems
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    pairs: Mutated | Given = Mutated(),
    emphasis: FaultEmphasis = FaultEmphasis(),
    supervision: Supervision = Supervision(),
) -> Recipe:
    """One supervised stage of ``steps`` updates.

    Args:
        problems: every example needs a demonstration, and one of them a faulty variant.
        steps: updates (500); the paper trains for one epoch.
        pairs: where faulty variants come from.
        emphasis: what differences weigh.
        supervision: everything else, as in ``sft``.
    """
    plain = supervised.stage(problems, steps, supervision)
    examples = pairs(problems.examples, problems.verify)
    (stream,) = plain.streams
    stream = dataclasses.replace(stream, examples=examples, source=Contrasts())
    return Recipe((dataclasses.replace(plain, streams=(stream,), selection=emphasis),))
