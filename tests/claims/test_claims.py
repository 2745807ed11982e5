"""The claims, measured again with the settings that were chosen for them (``pytest -m claim``; an hour or more)."""

import re
import sys
from pathlib import Path

import pytest

from fixtures.documentation import ROOT

sys.path.insert(0, str(ROOT / "claims"))
from effects import arms, effects, effects_of
from run import carry_out, chosen, in_order, named
from table import CLAIMS

COMPARISONS = [claim for claim in CLAIMS if claim.effects or claim.measures]


@pytest.mark.claim
@pytest.mark.parametrize("claim", COMPARISONS, ids=lambda claim: claim.name)
def test_measured_again_no_effect_turns_round(claim, tmp_path: Path) -> None:
    before = {(e.outcome, e.arm, e.baseline): e.verdict for e in effects_of(claim)}
    carry_out(claim, f"{claim.command} {chosen(claim)}", tmp_path)
    after = {(e.outcome, e.arm, e.baseline): e.verdict for e in effects_of(claim, tmp_path)}
    assert before.keys() == after.keys()
    turned = {pair for pair in before if {before[pair], after[pair]} == {"shown", "reversed"}}
    assert not turned


@pytest.mark.parametrize("claim", COMPARISONS, ids=lambda claim: claim.name)
def test_effects_are_between_arms_of_the_comparison(claim) -> None:
    pairs = [*claim.effects, *(pair for measure in claim.measures for pair in measure.outcome.effects)]
    named = {name for pair in pairs for name in pair}
    assert named <= set(arms(claim.command))


def test_a_verdict_is_what_the_interval_says() -> None:
    for effect in effects():
        assert effect.low <= effect.difference <= effect.high
        assert (effect.verdict == "not shown") == (effect.low <= 0 <= effect.high)


def test_names_and_methods_of_arms() -> None:
    assert arms("posttrain compare sft low=rft --seeds 3 --set low:x=1") == {"sft": "sft", "low": "rft"}
    assert arms("posttrain run uft") == {}


def test_claims_stand_behind_what_they_need_and_short_ones_need_short_ones() -> None:
    lengths: dict[str, str] = {}
    for claim in CLAIMS:
        assert all(name in lengths for name in claim.needs)
        assert claim.length == "long" or all(lengths[name] == "short" for name in claim.needs)
        lengths[claim.name] = claim.length
    assert len(lengths) == len(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_folders_of_other_claims_in_a_command_are_needed(claim) -> None:
    used = {name for name in re.findall(r"runs/claims/(\w+)", claim.command) if name != claim.name}
    assert used <= set(claim.needs)


def test_what_a_claim_needs_comes_first_unless_it_is_there() -> None:
    assert [claim.name for claim in in_order(["stopping"], [])] == ["drafts", "overthinker", "priced", "stopping"]
    assert [claim.name for claim in in_order(["stopping"], ["priced"])] == ["stopping"]
    assert [claim.name for claim in in_order(["distilled", "theory"], [])] == ["theory", "teacher", "distilled"]


def test_every_claim_is_short_or_long() -> None:
    short, long = named([]), named(["--long", "--tune"])
    assert sorted(short + long) == sorted(claim.name for claim in CLAIMS)
    assert "theory" in short
    assert "control" in long
    assert named(["theory", "--tune"]) == ["theory"]
    with pytest.raises(SystemExit, match="unknown claim"):
        named(["theories"])
