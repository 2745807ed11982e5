"""Preferences, the best fit and self-correction: defaults of the papers, and what is refused."""

import dataclasses

import pytest

from fixtures.toy import toy_pool, toy_problems
from posttrain.batching import PerGroup
from posttrain.curation.choices import Fixed, MostLikely
from posttrain.curation.judges import ModelJudge, TaskVerifier
from posttrain.curation.writing import OwnAnswer, Paraphrase, Sampled
from posttrain.durations import Steps
from posttrain.errors import UserError
from posttrain.methods import budget, dpo, grape, s3ft
from posttrain.objectives.preference import BradleyTerry, PairedPreference, SquaredMargin
from posttrain.recipe import Later
from posttrain.settings.building import build
from posttrain.stages.preference import Preferences
from posttrain.types import Example, Origin, Progress


def test_preferences_have_the_papers_defaults() -> None:
    (stage,) = dpo.recipe(toy_problems()).stages
    (term,) = stage.terms
    assert (term.objective, term.share) == (PairedPreference(BradleyTerry(0.1)), PerGroup())
    assert term.over == {Origin.GIVEN, Origin.SAMPLED}
    assert (stage.streams[0].prompts_per_step, stage.optimiser.clip_norm, stage.optimiser.weight_decay) == (64, 10, 0)
    rates = [stage.learning_rate_at(Progress(step, 500, 0)) for step in (0, 75, 150, 499)]
    assert rates == pytest.approx([1e-6 / 151, 76e-6 / 151, 1e-6, 1e-6])
    assert stage.whole_groups
    assert stage.signals_needed == {"reference_logprobs"}
    assert stage.frozen_needed == {"reference"}


def test_the_other_loss_and_the_warm_up_are_settings() -> None:
    settings = build("dpo", {"preferences": {"loss": {"squared_margin": {"tau": 0.5}}, "warmup": {"steps": 3}}})
    assert settings["preferences"] == Preferences(loss=SquaredMargin(0.5), warmup=Steps(3))


def test_curation_stands_before_a_stage_of_the_announced_length() -> None:
    chosen, later = grape.recipe(toy_pool(), steps=7).stages
    assert (chosen.name, chosen.choice, chosen.end_counts) == ("best fit", MostLikely(), True)
    assert isinstance(later, Later)
    assert (later.name, later.steps) == ("supervised", 7)
    corrected, later = s3ft.recipe(toy_problems(), steps=7).stages
    assert (corrected.judge, corrected.own, corrected.paraphrase) == (TaskVerifier(), OwnAnswer(), Paraphrase())
    assert (corrected.otherwise, later.steps) == ("gold", 7)


def test_their_controls_are_settings() -> None:
    assert build("grape", {"choice": {"fixed": {"place": 1}}})["choice"] == Fixed(1)
    chosen = build("s3ft", {"own": None, "paraphrase": {"decoding": {"sampled": {"attempts": 2}}}})
    assert chosen["own"] is None
    assert chosen["paraphrase"].decoding == Sampled(2)
    assert build("s3ft", {"judge": "model_judge", "otherwise": "drop"})["judge"] == ModelJudge()


def without_demonstrations(example: Example) -> Example:
    return dataclasses.replace(example, demonstrations=())


@pytest.mark.parametrize("method", [dpo, budget, grape, s3ft], ids=lambda module: module.__name__)
def test_a_missing_demonstration_is_refused_at_once(method) -> None:
    bare = tuple(map(without_demonstrations, toy_problems().examples))
    with pytest.raises(UserError, match=r"example 'toy-\d' has no demonstration"):
        method.recipe(dataclasses.replace(toy_problems(), examples=bare))


@pytest.mark.parametrize("settings", [{"prompts_per_step": 0}, {"learning_rate": -1.0}], ids=str)
def test_settings_that_could_teach_nothing_are_refused(settings) -> None:
    with pytest.raises(ValueError, match=r"at least 1|cannot be negative"):
        Preferences(**settings)
