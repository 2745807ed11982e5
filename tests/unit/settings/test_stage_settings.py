"""``stage.adapter=lora`` and its like: for every method, checked from source, and back."""

import importlib
import json

import pytest

from fixtures.parts import adapters
from fixtures.walking import classes
from posttrain.adapters.chosen import Chosen
from posttrain.adapters.lora import Lora
from posttrain.adapters.ssf import Ssf
from posttrain.changes import StageChanges
from posttrain.errors import UserError
from posttrain.frozen import AdapterOff, FromFolder
from posttrain.settings.building import build, build_changes, resolved
from posttrain.settings.catalogue import method, method_names
from posttrain.settings.overrides import apply, settings_named
from posttrain.settings.reading import snake_case
from posttrain.settings.source import modules_in

LEFT_TO_CODE: set[str] = set()
"""Adapters and selections that hold what no setting can be."""


def changes(*assignments: str, name: str = "uft") -> StageChanges:
    return build_changes(name, apply(name, {}, assignments))


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        ((), StageChanges()),
        (("stage.adapter=lora",), StageChanges(adapter=Lora())),
        (("stage.adapter=lora", "stage.adapter.rank=4"), StageChanges(adapter=Lora(rank=4))),
        (("stage.adapter.rank=4", "stage.adapter=lora"), StageChanges(adapter=Lora(rank=4))),
        (("stage.adapter={lora: {targets: [q_proj]}}",), StageChanges(adapter=Lora(targets=("q_proj",)))),
        (("stage.adapter.chosen.names=norm",), StageChanges(adapter=Chosen("norm"))),
        (("stage.adapter.chosen=norm",), StageChanges(adapter=Chosen("norm"))),
        (("adapter=ssf", "places=[linear]"), StageChanges(adapter=Ssf(places=("linear",)))),
        (("stage.reference=adapter_off",), StageChanges(reference=AdapterOff())),
        (("stage.reference.from_folder=models/teacher",), StageChanges(reference=FromFolder("models/teacher"))),
        (("stage.only=[reinforced]", "stage.adapter=lora"), StageChanges(adapter=Lora(), only=("reinforced",))),
        (("stage.adapter=null",), StageChanges()),
    ],
    ids=str,
)
def test_assignments_become_changes(assignments, expected):
    assert changes(*assignments) == expected


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        (["stage.adapter=lroa"], "or null, got 'lroa'"),
        (["stage.adaptor=lora"], "unknown setting of uft 'stage.adaptor'; did you mean 'stage.adapter'?"),
        (["stage.adapter=lora", "stage.adapter.rnak=4"], "did you mean 'stage.adapter.rank'?"),
        (["stage.adapter=lora", "stage.adapter.rank=0"], "stage.adapter: rank must be at least 1, got 0"),
        (["stage.adapter=lora", "stage.adapter.rank=two"], "stage.adapter.rank needs a whole number, got 'two'"),
        (["stage.adapter={lora: {variant: lora+}}"], "stage.adapter.lora.variant needs lora, rslora or dora"),
        (["stage.adapter={lora: {targets: all}}"], "needs linear or usual or a list, each of it text, got 'all'"),
        (["stage.adapter={lora: {targets: []}}"], "stage.adapter: targets names no layer"),
        (["stage.adapter={lora: {}, ssf: {}}"], "stage.adapter needs"),
        (["stage.adapter=chosen"], "stage.adapter = chosen lacks a value for names"),
        (["stage.adapter.rank=4"], "unknown setting of uft 'stage.adapter.rank'"),
        (["stage.reference=off"], "stage.reference needs snapshot, adapter_off, remembered, from_folder or null"),
        (["stage.only=reinforced"], "stage.only needs a list, each of it text, got 'reinforced'"),
        (["stage=lora"], "stage needs a mapping with settings of stage_changes, got 'lora'"),
        (["stages.adapter=lora"], "unknown setting of uft 'stages'; did you mean 'stage'?"),
    ],
)
def test_what_does_not_fit_is_answered_in_a_sentence(assignments, sentence):
    with pytest.raises(UserError) as caught:
        apply("uft", {}, assignments)
    assert sentence in str(caught.value)


def test_every_adapter_can_be_chosen_in_every_method():
    specifications = {snake_case(case.part.__name__) for case in adapters()}
    modules = [importlib.import_module(name) for name in modules_in("selection")]
    selections = {snake_case(c.__name__) for module in modules for c in classes(module) if hasattr(c, "start")}
    for name in method_names():
        fields = method(name).arguments.fields["stage"].kind.fields
        assert set(fields["adapter"].kind.parts) == specifications - LEFT_TO_CODE
        assert set(fields["selection"].kind.parts) == selections - LEFT_TO_CODE


def test_a_methods_own_settings_go_before_those_of_its_stages():
    assert settings_named("lora", "adapter") == ["adapter"]
    assert settings_named("uft", "adapter") == ["stage.adapter"]
    given = {"stage": {"adapter": "lora"}}
    assert apply("uft", given, ["start=0.9"]) == {"hints": {"binomial_cosine": {"start": 0.9}}, **given}
    assert settings_named("uft", "stage.adapter.rank") == ["stage.adapter.rank"]


@pytest.mark.parametrize("name", method_names())
def test_what_is_written_out_in_full_means_the_same(name):
    given = apply(name, {}, ["stage.adapter=lora", "stage.adapter.rank=4", "stage.reference=adapter_off"])
    full = json.loads(json.dumps(resolved(name, given)))
    assert full["stage"]["adapter"]["lora"]["rank"] == 4
    assert build_changes(name, full) == build_changes(name, given)
    assert resolved(name, full) == full
    assert "stage" not in build(name, full)
    assert build(name, full) == build(name, {})


def test_what_was_written_before_there_were_changes_is_read_as_none():
    full = resolved("uft", {})
    del full["stage"]
    assert build_changes("uft", full) == StageChanges()
