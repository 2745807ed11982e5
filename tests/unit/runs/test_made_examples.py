"""Data sets in a checkpoint: what comes back is what was made."""

import dataclasses
from dataclasses import dataclass

import pytest

from fixtures.toy import toy_examples
from posttrain.runs.made_examples import as_text, from_text
from posttrain.tasks.countdown import Countdown, CountdownProblem
from posttrain.tasks.knights_and_knaves import KnightsAndKnaves
from posttrain.types import Example


@dataclass(frozen=True)
class Foreign:
    """An answer of a kind that is defined elsewhere."""

    number: int = 1


@pytest.mark.parametrize("task", [Countdown(), KnightsAndKnaves()], ids=lambda task: task.name)
def test_a_tasks_own_kind_of_answer_can_still_be_checked(task) -> None:
    for example, restored in zip(made := task.examples("train", 3, 0), from_text(as_text(made)), strict=True):
        assert dataclasses.asdict(restored) == dataclasses.asdict(example)
        assert type(restored.answer) is type(example.answer)
        assert restored.demonstrations == example.demonstrations
        assert task.verify(example.demonstrations[0].text, restored).score == 1.0


def test_plain_values_of_every_kind_come_back() -> None:
    facts = {"level": 2.5, "kept": (2, 0), "pair": [1, None, True], "deeper": {"a": "x\n'\"\u2028"}}
    odd = Example("odd", "1=", CountdownProblem((1, 2), 3), (), facts)
    (restored,) = from_text(as_text([odd]))
    assert dataclasses.asdict(restored) == dataclasses.asdict(odd)
    assert type(restored.facts["kept"]) is tuple
    assert from_text(as_text([])) == ()


@pytest.mark.parametrize("fact", [Foreign(), float("nan"), object()], ids=["foreign", "nan", "object"])
def test_what_could_not_come_back_is_refused(fact: object) -> None:
    with pytest.raises(ValueError, match="an example that a recipe made holds"):
        as_text([dataclasses.replace(toy_examples(1)[0], facts={"fact": fact})])


@pytest.mark.parametrize("kind", ["subprocess:Popen", "posttrain.types:Origin", "posttrain.runs.folder:claim"])
def test_a_checkpoint_may_not_name_what_to_call(kind: str) -> None:
    with pytest.raises(ValueError, match="no dataclass of this package"):
        from_text(repr([{"__kind__": kind}]))
