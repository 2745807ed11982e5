"""Bugs that are easy to make and hard to see, each planted into a copy of the package: the ordinary tests must fail."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.copies import FAILED, PASSED, copy_package, replace_once, run_tests

POLICY, BATCHING, LOOP = "unit/test_policy.py", "unit/test_batching.py", "unit/test_loop.py"
ENGINE, DRAWS = "unit/engines/test_huggingface.py", "unit/engines/test_draws.py"
DEMONSTRATIONS, UFT = "unit/rollouts/test_demonstrations.py", "reductions/test_uft.py"
CUTS, ANNOTATE, PRUNING = "invariants/test_cuts.py", "unit/test_annotate.py", "reductions/test_pruning.py"
PREFERENCE, ENTROPY = "unit/objectives/test_preference.py", "unit/selection/test_top_entropy.py"
LAST_LAYER, PIECES, PACKED = "unit/test_last_layer.py", "unit/test_pieces.py", "unit/engines/test_packed.py"
RAGGED, PREFIXES = "unit/test_ragged.py", "unit/test_prefixes.py"
FAULTS, CLIPPED = "unit/selection/test_faults.py", "unit/objectives/test_clipped.py"


@dataclass(frozen=True)
class Bug:
    """A replacement in one file of the package, and the tests that have to notice."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


BUGS = [
    Bug(
        "shift by one",
        "forward.py",
        "return nn.functional.pad(self.positions[:, 1:], (0, 1))",
        "return self.positions",
        (POLICY,),
    ),
    Bug(
        "inverted mask",
        "batching.py",
        "& reads[owner]",
        "^ reads[owner]",
        (BATCHING,),
    ),
    Bug(
        "mean within each micro-batch",
        "loop.py",
        "(values * batch.weights[term.name].to(values.dtype)).sum()",
        "(values * batch.weights[term.name].to(values.dtype)).sum() / batch.weights[term.name].sum()",
        (CUTS,),
    ),
    Bug(
        "temperature ignored in training",
        "projected.py",
        "return logits / temperature[:, None].to(logits.dtype)",
        "return logits",
        (POLICY,),
    ),
    Bug(
        "temperature ignored in sampling",
        "engines/draws.py",
        "else logits / temperature",
        "else logits",
        (DRAWS,),
    ),
    Bug(
        "untrained end of sequence",
        "rollouts/demonstrations.py",
        "torch.cat([text.demonstration(d)[0], end])",
        "text.demonstration(d)[0]",
        (DEMONSTRATIONS,),
    ),
    Bug(
        "flipped sign of the advantage",
        "objectives/clipped.py",
        'batch.signals["advantages"].to(current.dtype))',
        '-batch.signals["advantages"].to(current.dtype))',
        (CLIPPED,),
    ),
    Bug(
        "hint tokens in the policy loss",
        "stages/reinforced.py",
        "sampled = frozenset({Origin.SAMPLED})",
        "sampled = frozenset({Origin.SAMPLED, Origin.GIVEN})",
        (UFT,),
    ),
    Bug(
        "hint missing from the likelihood",
        "stages/hinted.py",
        "frozenset({Origin.GIVEN})",
        "frozenset({Origin.SAMPLED})",
        (UFT,),
    ),
    Bug(
        "stale weights where text is written",
        "engines/huggingface.py",
        "self._policy, self._version = policy, version",
        "self._policy, self._version = self._policy or policy.frozen_copy(), version",
        (ENGINE,),
    ),
    Bug(
        "a reference that moves along",
        "frozen.py",
        "return policy.frozen_copy()",
        "return policy",
        (LOOP,),
    ),
    Bug(
        "old log-probabilities of the moved policy",
        "objectives/clipped.py",
        'if "old_logprobs" in batch.signals else current.detach()',
        'if "never" in batch.signals else current.detach()',
        (CLIPPED,),
    ),
    Bug(
        "emphasis ignored",
        "batching.py",
        "return masks * torch.cat(list(ones))",
        "return masks",
        (ENTROPY,),
    ),
    Bug(
        "weights counted as members",
        "batching.py",
        'amounts if term.share.counts == "weights" else masks',
        "masks",
        (PRUNING,),
    ),
    Bug(
        "a selection without effect",
        "loop.py",
        "sequences = session.selection(sequences, policy, now)",
        "session.selection(sequences, policy, now)",
        (PRUNING,),
    ),
    Bug(
        "credit of signals before there are any",
        "annotate.py",
        "s.credit is not None and not s.credit.needs",
        "s.credit is not None",
        (ANNOTATE,),
    ),
    Bug(
        "the rejected answer preferred",
        "objectives/preference.py",
        "side * worth)",
        "-side * worth)",
        (PREFERENCE,),
    ),
    Bug(
        "the most certain tokens kept",
        "selection/top_entropy.py",
        "argsort(stable=True)",
        "argsort(stable=True, descending=True)",
        (ENTROPY,),
    ),
    Bug(
        "faulty texts trained on",
        "selection/faults.py",
        'correct = [s for s in sequences if not s.rollout.labels["faulty"]]',
        "correct = list(sequences)",
        (FAULTS,),
    ),
    Bug(
        "texts in a row that read what comes later",
        "ragged.py",
        "True,  # causal",
        "False,  # causal",
        (RAGGED,),
    ),
    Bug(
        "texts in a row that do not read what they have in common",
        "prefixes.py",
        "torch.cat([gathered(known, self.group), own], 2)",
        "torch.cat([torch.zeros_like(gathered(known, self.group)), own], 2)",
        (PREFIXES,),
    ),
    Bug(
        "a feed-forward that leaves out a token that is read",
        "last_layer.py",
        "return torch.cat([places, others",
        "return torch.cat([places[1:], others",
        (LAST_LAYER,),
    ),
    Bug(
        "pieces of a gradient in the wrong rows",
        "pieces.py",
        "torch.autograd.grad(values, piece, gradient[rows])",
        "torch.autograd.grad(values, piece, gradient[: len(values)])",
        (PIECES,),
    ),
    Bug(
        "a part of a joint product for other inputs",
        "engines/packed.py",
        "inputs is not self._inputs or version != self._version or place",
        "place",
        (PACKED,),
    ),
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_ordinary_tests_notice(bug: Bug, tmp_path: Path) -> None:
    copy = copy_package(tmp_path)
    replace_once(copy / bug.file, bug.old, bug.new)
    code, output = run_tests(tmp_path, bug.tests)
    assert code == FAILED, output
    assert " failed" in output, output


def test_the_same_tests_pass_on_an_untouched_copy(tmp_path: Path) -> None:
    copy_package(tmp_path)
    code, output = run_tests(tmp_path, tuple(sorted({file for bug in BUGS for file in bug.tests})))
    assert code == PASSED, output


def test_a_bug_whose_place_has_moved_is_loud(tmp_path: Path) -> None:
    copy = copy_package(tmp_path)
    with pytest.raises(LookupError, match="0 times"):
        replace_once(copy / "loop.py", "no such text", "")
