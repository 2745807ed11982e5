"""``path=value``: expanded, checked, and answered in a sentence."""

import pytest

from posttrain.errors import UserError
from posttrain.settings.overrides import apply, settings_named
from posttrain.settings.schema import Scalar
from posttrain.settings.values import UnfitError, fitting


@pytest.mark.parametrize(
    ("method", "assignments", "expected"),
    [
        ("uft", ["likelihood=0"], {"likelihood": 0.0}),
        ("uft", ["hints.start=0.9"], {"hints": {"binomial_cosine": {"start": 0.9}}}),
        ("uft", ["credit=centred"], {"reinforcement": {"credit": "centred"}}),
        (
            "uft",
            ["start=0.9", "hints.hinted.steps=3"],
            {"hints": {"binomial_cosine": {"start": 0.9, "hinted": {"steps": 3}}}},
        ),
        ("uft", ["hints=no_hints"], {"hints": "no_hints"}),
        (
            "uft",
            ["hints.hinted.fraction=0.5", "hints=staged_hints"],
            {"hints": {"staged_hints": {"hinted": {"fraction": 0.5}}}},
        ),
        (
            "uft",
            ["clip={low: 0.2, high: 0.28}"],
            {"reinforcement": {"objective": {"clip": {"low": 0.2, "high": 0.28}}}},
        ),
        ("uft", ["kl=exact_kl", "entropy=0"], {"reinforcement": {"kl": "exact_kl", "entropy": 0.0}}),
        (
            "uft",
            ["kl={estimated_kl: {estimator: k1}}"],
            {"reinforcement": {"kl": {"estimated_kl": {"estimator": "k1"}}}},
        ),
        ("uft", ["likelihood_share.per_constant=7"], {"likelihood_share": {"per_constant": {"tokens": 7.0}}}),
        ("uft", ["groups_per_update=null"], {"reinforcement": {"groups_per_update": None}}),
        ("sft", ["betas=[0.9, 0.99]"], {"supervision": {"betas": [0.9, 0.99]}}),
        ("rft", ["dual=inf"], {"reinforcement": {"objective": {"clip": {"dual": "inf"}}}}),
        (
            "sft_rft",
            ["learning_rate=1e-3", "supervised_steps=1e2"],
            {
                "supervised_steps": 100,
                "supervision": {"learning_rate": 0.001},
                "reinforcement": {"learning_rate": 0.001},
            },
        ),
    ],
)
def test_assignments_become_checked_arguments(method, assignments, expected):
    assert apply(method, {}, assignments) == expected


def test_assignments_go_over_arguments_and_keep_the_rest():
    arguments = {"hints": {"binomial_cosine": {"start": 0.9, "end": 0.1}}, "learning_rate": 1e-3}
    assert apply("uft", arguments, ["hints.end=0.2", "learning_rate=1e-4"]) == {
        "hints": {"binomial_cosine": {"start": 0.9, "end": 0.2}},
        "reinforcement": {"learning_rate": 1e-4},
    }


def test_another_part_starts_from_its_own_defaults():
    arguments = {"hints": {"binomial_cosine": {"start": 0.9}}}
    assert apply("uft", arguments, ["hints=uniform_hints"]) == {"hints": "uniform_hints"}


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        (["learning_rate=abc"], "reinforcement.learning_rate needs a number, got 'abc'"),
        (["lerning_rate=1"], "unknown setting of uft 'lerning_rate'; did you mean 'learning_rate'?"),
        (["hints.strat=1"], "unknown setting of uft 'hints.strat'; did you mean 'hints.start'?"),
        (["reinforcement.learning_rat=1"], "did you mean 'reinforcement.learning_rate'?"),
        (["credit=centered"], "reinforcement.credit needs standardised, centred or leave_one_out, got 'centered'"),
        (["credit={centred: 3}"], "reinforcement.credit.centred has no settings, got 3"),
        (["credit={centred: {}, standardised: {}}"], "needs standardised, centred or leave_one_out"),
        (["hints.hinted=0.5"], "hints.hinted needs steps or fraction, got 0.5"),
        (["hints.hinted=steps"], "hints.hinted = steps lacks a value for count"),
        (["steps=1.5"], "steps needs a whole number, got 1.5"),
        (["steps=true"], "steps needs a whole number, got True"),
        (["hint_includes_answer=1"], "hint_includes_answer needs true or false, got 1"),
        (["learning_rate=.nan"], "needs a number"),
        (["reinforcement=3"], "reinforcement needs a mapping with settings of reinforcement, got 3"),
        (["learning_rate.x=3"], "reinforcement.learning_rate needs a number"),
        (["likelihood=1", "likelihood=2"], "likelihood is set twice; give one value"),
        (["learning_rate=1", "reinforcement.learning_rate=2"], "reinforcement.learning_rate is set twice"),
        (["likelihood"], "--set takes path=value"),
        (["hints.=3"], "--set takes path=value"),
        (["=3"], "--set takes path=value"),
        (["steps=[1"], "the value of steps cannot be read"),
        (["hints.start=3"], "hints: hint fractions lie between 0 and 1, got start 3.0"),
        (["estimator=k9"], "reinforcement.kl.estimator needs k1, k2 or k3, got 'k9'"),
        (["hints.hinted.steps=-1"], "hints.hinted: a number of steps cannot be negative, got -1"),
        (["clip.low=-1"], "reinforcement.objective.clip: a clip needs low >= 0"),
        (["rollouts_per_prompt=1"], "rollouts_per_prompt must be at least 2"),
        (["learning_rate=-1"], "learning_rate cannot be negative"),
    ],
)
def test_what_does_not_fit_is_answered_in_a_sentence(assignments, sentence):
    with pytest.raises(UserError) as caught:
        apply("uft", {}, assignments)
    assert sentence in str(caught.value)


def test_betas_need_two_numbers():
    with pytest.raises(UserError, match=r"supervision\.betas needs a list of 2: a number, a number, got \[0\.9\]"):
        apply("sft", {}, ["betas=[0.9]"])


def test_names_stand_for_every_setting_of_that_name():
    assert settings_named("sft_rft", "learning_rate") == ["supervision.learning_rate", "reinforcement.learning_rate"]
    assert settings_named("uft", "likelihood") == ["likelihood"]
    assert settings_named("uft", "clip.low") == ["reinforcement.objective.clip.low"]
    assert settings_named("sft", "credit") == []


@pytest.mark.parametrize(
    ("kind", "value"), [("int", True), ("int", "3"), ("int", float("inf")), ("str", 3), ("bool", 0), ("None", 0)]
)
def test_values_are_never_bent_into_shape(kind, value):
    with pytest.raises(UnfitError):
        fitting(Scalar(kind), value)
