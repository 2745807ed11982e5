"""Settings to objects and back: nothing is lost, nothing is invented."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from posttrain.credit.group import LeaveOneOut, Standardised
from posttrain.durations import Fraction, Steps
from posttrain.errors import UserError
from posttrain.objectives.clipped import Clip, SequenceRatio
from posttrain.objectives.kl import ExactKl
from posttrain.rollouts.hints import BinomialCosine, StagedHints
from posttrain.settings.building import build, build_changes, resolved
from posttrain.settings.catalogue import method, method_names
from posttrain.settings.overrides import apply
from posttrain.settings.schema import Choice, Part, Row, Scalar, Words

FLOATS = st.floats(min_value=0, max_value=1, exclude_min=True)
SCALARS = {"int": st.integers(2, 50), "float": FLOATS, "bool": st.booleans(), "None": st.none()}

BOUND_TO_OTHERS = ("dual", "every", "first_layer", "last_layer", "looking")
"""Settings whose range depends on another setting's value."""


def values(kind):
    """Plain values that fit a kind; texts that have a default are left alone, because parts allow only some."""
    if isinstance(kind, Scalar):
        return SCALARS.get(kind.name)
    if isinstance(kind, Row):
        items = [values(item) for item in kind.items]
        if None in items:
            return None
        return st.lists(items[0], min_size=1, max_size=3) if kind.repeated else st.tuples(*items).map(list)
    if isinstance(kind, Part):
        return settings_of(kind)
    if isinstance(kind, Words):
        return st.sampled_from(kind.values)
    options = [(named(o) if needs_no_text(o) else None) if isinstance(o, Part) else values(o) for o in kind.options]
    return st.one_of([option for option in options if option is not None])


def needs_no_text(part):
    return all(values(field.kind) is not None for field in part.fields.values() if field.default is None)


def named(part):
    return st.one_of(
        *([st.just(part.name)] if all(f.default is not None for f in part.fields.values()) else []),
        settings_of(part).map(lambda inner: {part.name: inner}),
    )


def settings_of(part):
    fields = {name: values(field.kind) for name, field in part.fields.items() if name not in BOUND_TO_OTHERS}
    known = {name: strategy for name, strategy in fields.items() if strategy is not None}
    required = {
        n: known.get(n, st.text("abc", min_size=1)) for n, field in part.fields.items() if field.default is None
    }
    optional = {name: strategy for name, strategy in known.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


@pytest.mark.parametrize("name", method_names())
def test_resolving_loses_nothing(name):
    @given(settings_of(method(name).arguments))
    def check(arguments):
        built = build(name, arguments)
        full = resolved(name, arguments)
        assert build(name, full) == built
        assert build(name, yaml.safe_load(yaml.safe_dump(full))) == built
        assert build(name, json.loads(json.dumps(full, allow_nan=False))) == built
        assert resolved(name, full) == full
        assert build(name, apply(name, arguments, [])) == built
        assert build_changes(name, full) == build_changes(name, arguments)

    check()


def test_parts_are_built_from_their_names_and_settings():
    kwargs = build(
        "uft",
        {
            "hints": {"binomial_cosine": {"start": 0.9, "hinted": {"steps": 300}}},
            "reinforcement": {
                "credit": "leave_one_out",
                "objective": {"ratio": "sequence_ratio", "clip": {"low": 0.2, "high": 0.28}},
                "kl": "exact_kl",
            },
        },
    )
    assert kwargs["hints"] == BinomialCosine(0.9, 0.05, Steps(300))
    settings = kwargs["reinforcement"]
    assert settings.credit == LeaveOneOut()
    assert settings.objective.ratio == SequenceRatio()
    assert settings.objective.clip == Clip(0.2, 0.28)
    assert settings.kl == ExactKl()


def test_a_default_part_keeps_what_is_not_given():
    kwargs = build("uft", {"hints": {"start": 0.5}, "credit": {"epsilon": 0.1}})
    assert kwargs["hints"] == BinomialCosine(start=0.5)
    assert kwargs["reinforcement"].credit == Standardised(0.1)


def test_a_bare_name_reaches_both_stages():
    kwargs = build("sft_rft", {"learning_rate": 0.5})
    assert kwargs["supervision"].learning_rate == kwargs["reinforcement"].learning_rate == 0.5


def test_resolved_is_short_where_a_part_is_one_value():
    full = resolved("staged", {})
    assert full["hints"] == {"hinted": {"fraction": 0.6}}
    assert build("staged", full)["hints"] == StagedHints(Fraction(0.6))
    assert resolved("uft", {})["likelihood_share"] == {"per_token": {"counts": "members"}}
    assert resolved("uft", {})["reinforcement"]["objective"]["clip"]["dual"] == "inf"


def test_what_a_part_refuses_is_told_with_its_path():
    with pytest.raises(UserError, match=r"^hints: hint fractions lie between 0 and 1"):
        build("uft", {"hints": {"start": 1.5}})
    with pytest.raises(UserError, match="unknown method 'ufd'"):
        build("ufd", {})


def test_every_kind_is_covered_by_the_property():
    kinds = {type(field.kind) for name in method_names() for field in method(name).settings.fields.values()}
    assert {Scalar, Part, Choice} <= kinds
