"""The three published UFT files load, and every gold answer is right. Skipped where the files are not."""

from functools import cache
from pathlib import Path

import pytest

from posttrain.data.data_file import DataFile
from posttrain.data.reading import read_examples
from posttrain.rewards.isolated import Finished
from posttrain.tasks.answers import LastLine
from posttrain.tasks.countdown import Countdown
from posttrain.tasks.equivalence import SameMathematics, SameWriting
from posttrain.tasks.mathematics import Mathematics

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "uft"
FILES = {"countdown-train": 10_240, "knights-and-knaves-train": 4_500, "math-levels-3-to-5": 1_024}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the published files are not here")


@cache
def published(name: str) -> DataFile:
    return read_examples(FOLDER / f"{name}.parquet")


@pytest.mark.parametrize("name", FILES)
def test_every_gold_is_right(name: str) -> None:
    file = published(name)
    assert len(file.all_examples) == FILES[name]
    wrong = [e.id for e in file.all_examples if file.verify(e.demonstrations[0].text, e).score != 1.0]
    assert wrong == []
    assert all(e.demonstrations[0].tail.startswith(" </think>\n<answer> ") for e in file.all_examples)
    sizes = [len(file.split(split)) for split in ("train", "validation", "heldout")]
    assert sum(sizes) == len(file.all_examples)
    assert min(sizes) > 50


def test_a_demonstration_without_its_tail_is_no_answer() -> None:
    file = published("math-levels-3-to-5")
    reasoning = ("".join(e.demonstrations[0].chunks) for e in file.all_examples)
    assert {file.verify(text, e).score for text, e in zip(reasoning, file.all_examples, strict=True)} == {0.0}


def test_the_countdown_form_reproduces_the_published_prompts() -> None:
    form = Countdown().form
    for example in published("countdown-train").all_examples:
        assert form.prompt(example.answer.numbers, example.answer.target) == example.prompt


def test_the_last_line_rule_accepts_the_mathematics_golds_too() -> None:
    last_line = Mathematics(equivalent=SameWriting(), extraction=LastLine())
    examples = [e for e in published("math-levels-3-to-5").all_examples if "\n" not in e.answer]
    assert {last_line.verify(e.demonstrations[0].text, e).score for e in examples} == {1.0}


def test_the_library_alone_accepts_every_gold_that_is_more_than_digits() -> None:
    agree = SameMathematics(deadline_s=60)._agree
    golds = sorted({e.answer for e in published("math-levels-3-to-5").all_examples if not e.answer.isdigit()})
    assert [gold for gold in golds if agree(gold, gold) != Finished(True)] == []
    agree.close()
