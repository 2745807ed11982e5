"""Key paths: the hidden table, corrupted demonstrations, fifty writings and fifty near-misses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.errors import UserError
from posttrain.tasks.key_paths import ACTIONS, SYMBOLS, KeyPaths, follow, hidden_table
from posttrain.types import Example

RIGHT = Example("x", "abcdef:", "wxyzzw")

EQUIVALENTS = [
    *("wxyzzw.", "wxyzzw", "w x y z z w .", "w x y z z w", "w,x,y,z,z,w", "w,x,y,z,z,w.", "w, x, y, z, z, w"),
    *("w-x-y-z-z-w", "w - x - y - z - z - w.", "w;x;y;z;z;w", "w|x|y|z|z|w", "w>x>y>z>z>w", "w->x->y->z->z->w"),
    *("w -> x -> y -> z -> z -> w.", "WXYZZW.", "WXYZZW", "W X Y Z Z W", "Wxyzzw.", "wXyZzW", "W,X,Y,Z,Z,W."),
    *(" wxyzzw.", "  wxyzzw .", "wxyzzw.\n", "\nwxyzzw.", "wxyzzw\n", "wxy zzw", "wxy zzw.", "wx yz zw.", "wxy,zzw"),
    *(
        "w\nx\ny\nz\nz\nw",
        "w\nx\ny\nz\nz\nw\n.",
        "w\tx\ty\tz\tz\tw",
        "\twxyzzw.\t",
        "wxyzzw \n .",
        "wxyzzw,",
        "-wxyzzw",
    ),
    *(
        "wxyzzw .  ",
        "w  x  y  z  z  w",
        "wxyz zw",
        "wxyz-zw.",
        "w;xyzzw",
        "w x,y;z z|w",
        ">wxyzzw",
        "wxyzzw.;",
        "|wxyzzw|",
    ),
    *("w xyzzw", "wxyzz w", "wxyzz w.", "WXY ZZW.", "Wxy-Zzw."),
]

NEAR_MISSES = [
    *("wxyzzx.", "wxyzzy", "wxyzzz", "xxyzzw.", "wwyzzw", "wxxzzw", "wxywzw", "wxyzww", "zyxwwz", "wzzyxw", "wwwwww"),
    *("wxyzz", "wxyzz.", "wxyzzww", "wxyzzww.", "xyzzw", "wxyzzwwxyzzw", "w", "", ".", "......", "wxyzzw.."),
    *("wxy.zzw", "wxyzzw.w", "wxyzzw. wxyzzw.", "wxyzza", "awxyzzw", "abcdef:wxyzzw", "wxyzzw!", "wxyzzw?", "(wxyzzw)"),
    *(
        "'wxyzzw'",
        "path wxyzzw",
        "wxyzzw end",
        "the answer is wxyzzw",
        "wxyzz w w",
        "w x y z z",
        "w.x.y.z.z.w",
        "w/x/y/z/z/w",
    ),
    *("w+x+y+z+z+w", "w1x2y3z4z5w", "wxyzzｗ", "ｗxyzzw", "wxyzzw:", "=wxyzzw", "wxyzzw=", "wx**zw", "wxyzzv"),
    *("<answer>wxyzzw</answer>", "wxyzzw<eos>"),
]


def test_the_tables_are_complete() -> None:
    assert len(set(EQUIVALENTS)) == 50
    assert len(set(NEAR_MISSES)) == 50


@pytest.mark.parametrize("response", EQUIVALENTS)
def test_an_equivalent_writing_is_right(response: str) -> None:
    assert KeyPaths().verify(response, RIGHT).score == 1.0


@pytest.mark.parametrize("response", NEAR_MISSES)
def test_a_near_miss_is_not(response: str) -> None:
    verdict = KeyPaths().verify(response, RIGHT)
    well_formed = len(response.strip(".")) == 6 and set(response.strip(".")) <= set(ACTIONS) and ".." not in response
    assert verdict.score == (0.1 if well_formed else 0.0)
    assert verdict.valid == well_formed


@pytest.mark.parametrize("horizon", [1, 2, 6, 8, 14])
@pytest.mark.parametrize("seed", [0, 3])
def test_every_gold_is_right(horizon: int, seed: int) -> None:
    task = KeyPaths(horizon=horizon)
    for example in task.examples("train", 100, seed):
        demonstration = example.demonstrations[0]
        assert len(demonstration.chunks) == horizon
        assert task.verify(demonstration.text, example).score == 1.0


def test_the_table_is_hidden_fixed_and_different_for_another_seed() -> None:
    table = hidden_table(0)
    assert len(table) == len(SYMBOLS) * (len(ACTIONS) + 1)
    assert table == hidden_table(0)
    assert table != hidden_table(1)


def test_a_long_path_reads_the_key_cyclically() -> None:
    table = hidden_table(0)
    path = follow(table, "abcdef", 8)
    assert path[6] == table["a", path[5]]
    assert path[7] == table["b", path[6]]


def test_corruption_touches_intermediate_training_steps_only() -> None:
    task = KeyPaths(corrupted=0.3)
    train, heldout = task.examples("train", 1000, 0), task.examples("heldout", 200, 0)
    shown = [(example.answer, "".join(example.demonstrations[0].chunks)) for example in train]
    assert all(answer[-1] == steps[-1] for answer, steps in shown)
    wrong = sum(a != b for answer, steps in shown for a, b in zip(answer, steps, strict=True))
    assert wrong / 5000 == pytest.approx(0.3, abs=0.03)
    assert all("".join(e.demonstrations[0].chunks) == e.answer for e in heldout)
    assert [e.answer for e in train] == [e.answer for e in KeyPaths().examples("train", 1000, 0)]


def test_settings_without_meaning_are_refused() -> None:
    with pytest.raises(UserError, match="horizon of at least 1, got 0"):
        KeyPaths(horizon=0)
    with pytest.raises(UserError, match="lie between 0 and 1"):
        KeyPaths(corrupted=1.5)


@given(st.text())
def test_no_text_crashes_the_verifier(text: str) -> None:
    assert KeyPaths().verify(text, RIGHT).score in (0.0, 0.1, 1.0)


def test_what_is_rejected_is_wrong_even_where_the_demonstration_is_faulty() -> None:
    task = KeyPaths(corrupted=0.5, misconceptions=0.3)
    for example in task.examples("train", 60, seed=1):
        shown, rejected = example.demonstrations[0].text, example.facts["rejected"]
        assert sum(a != b for a, b in zip(shown, rejected, strict=True)) == 1
        assert task.verify(rejected, example).score == 0.1


def test_several_annotators_slip_on_their_own() -> None:
    alone, together = KeyPaths(misconceptions=0.3), KeyPaths(misconceptions=0.3, annotators=4)
    pairs = list(zip(alone.examples("train", 50, 0), together.examples("train", 50, 0), strict=True))
    for one, several in pairs:
        assert len(several.demonstrations) == 4
        assert several.demonstrations[0] == one.demonstrations[0]
        assert several.facts == one.facts
    assert any(len({d.text for d in several.demonstrations}) > 1 for _, several in pairs)
    assert all(len(e.demonstrations) == 1 for e in together.examples("heldout", 20, 0))
    with pytest.raises(UserError, match="at least 1 annotator"):
        KeyPaths(annotators=0)
