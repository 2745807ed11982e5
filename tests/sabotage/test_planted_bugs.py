"""Bugs that are easy to make and hard to see, each planted into a copy of the package: the ordinary tests must fail."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.copies import FAILED, PASSED, copy_package, replace_once, run_tests

POLICY, BATCHING, LOOP = "unit/test_policy.py", "unit/test_batching.py", "unit/test_loop.py"
ENGINE, CLIPPED = "unit/engines/test_huggingface.py", "unit/objectives/test_clipped.py"
DEMONSTRATIONS, UFT = "unit/rollouts/test_demonstrations.py", "reductions/test_uft.py"
CUTS = "invariants/test_cuts.py"


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
        "policy.py",
        "predicting[:, :-1] = self.positions[:, 1:]",
        "predicting[:] = self.positions",
        (POLICY,),
    ),
    Bug(
        "inverted mask",
        "batching.py",
        "mask[sequence.origin == int(origin)] = 1.0",
        "mask[sequence.origin != int(origin)] = 1.0",
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
        "policy.py",
        "return logits / self._temperature[rows, None].to(logits.dtype)",
        "return logits",
        (POLICY,),
    ),
    Bug(
        "temperature ignored in sampling",
        "engines/huggingface.py",
        "torch.log_softmax(logits / (temperature or 1.0), -1)",
        "torch.log_softmax(logits, -1)",
        (ENGINE,),
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
        "methods/rft.py",
        "sampled = frozenset({Origin.SAMPLED})",
        "sampled = frozenset({Origin.SAMPLED, Origin.GIVEN})",
        (UFT,),
    ),
    Bug(
        "hint missing from the likelihood",
        "methods/uft.py",
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
