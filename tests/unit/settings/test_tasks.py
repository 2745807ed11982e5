import pytest

from posttrain.errors import UserError
from posttrain.settings.catalogue import tasks
from posttrain.settings.tasks import build_task, resolved_task
from posttrain.tasks.answers import LastLine
from posttrain.tasks.countdown import Countdown
from posttrain.tasks.countdown_forms import AuthorsForm, CompactForm


@pytest.mark.parametrize("name", tasks())
def test_resolving_a_task_loses_nothing(name):
    full = resolved_task({"name": name})
    assert build_task(full) == build_task({"name": name})
    assert resolved_task(full) == full
    assert build_task(full).name == name


def test_settings_of_a_task():
    task = build_task({"name": "countdown", "counts": [3], "form": "compact_form"})
    assert task == Countdown((3,), CompactForm())
    task = build_task({"name": "countdown", "form": {"authors_form": {"extraction": "last_line"}}})
    assert task == Countdown(form=AuthorsForm(LastLine()))


def test_assignments_go_over_the_description():
    full = resolved_task({"name": "countdown", "counts": [3]}, ["counts=[4]", "form.extraction=last_line"])
    assert build_task(full) == Countdown((4,), AuthorsForm(LastLine()))


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ({}, "a task needs a name"),
        ({"name": "countdwn"}, "did you mean 'countdown'?"),
        ({"name": "countdown", "count": [3]}, "did you mean 'task.counts'?"),
        ({"name": "countdown", "counts": [3, "a"]}, "task.counts needs a list, each of it a whole number"),
        ({"name": "countdown", "form": "compact"}, "task.form needs authors_form or compact_form, got 'compact'"),
        ({"name": "countdown", "counts": [33]}, "countdown needs 2 to 6 numbers"),
    ],
)
def test_what_does_not_fit_is_answered_in_a_sentence(description, sentence):
    with pytest.raises(UserError) as caught:
        build_task(description)
    assert sentence in str(caught.value)
