"""Chain sums: golds, fifty writings and fifty near-misses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.errors import UserError
from posttrain.tasks.chain_sums import ChainSums
from posttrain.tasks.splits import split_of
from posttrain.types import Example

SEVEN = Example("x", "3815=", 7)

EQUIVALENTS = [
    *(
        "3,1,2,7#7",
        "#7",
        "# 7",
        "#7 ",
        "#7\n",
        "\n#7",
        "3,1,2,7 #7",
        "3,1,2,7 # 7",
        "3,1,2,7#7\n",
        "3, 1, 2, 7 #7",
        "#7.",
    ),
    *(
        "#07",
        "#007",
        "#+7",
        "# +7",
        "# 07 ",
        "#\n7",
        "#\t7",
        "3,1,2,7\n#7",
        "3 1 2 7#7",
        "3;1;2;7#7",
        "3127#7",
        "#7.\n",
    ),
    *(
        "3,1,2,8#7",
        "1,1,1,1#7",
        "3#7",
        ",#7",
        "3,1,2,7,#7",
        "3,1,2,7##7",
        "3#5#7",
        "#1#2#7",
        "answer: #7",
        "so #7",
        "17#7",
    ),
    *(
        "3,11,12,17#7",
        "3+8=1,1+1=2,2+5=7#7",
        "(3),(1),(2),(7)#7",
        "x#7",
        "#7  \n\n",
        "3,1,2,7.#7",
        "7#7",
        "7777#7",
        "=7#7",
    ),
    *("3,1,2,7 # 7.", "##7", "# #7", "?#7", "3,1,2,7 #+7", "3,1,2,7#0007", "#   7"),
]

NEAR_MISSES = [
    *(
        "3,1,2,7#8",
        "#8",
        "#6",
        "#0",
        "#17",
        "#77",
        "#70",
        "#-7",
        "#- 7",
        "#-3",
        "#7.5",
        "#7,",
        "#7,7",
        "#7 7",
        "#7#8",
        "#7#",
    ),
    *(
        "7",
        "3,1,2,7",
        "",
        "#",
        "##",
        "# ",
        "3,1,2,7#",
        "7#",
        "7 #",
        "#seven",
        "#x",
        "#7x",
        "#x7",
        "#(7)",
        "#{7}",
        "#7!",
        "#=7",
    ),
    *(
        "#7=",
        "#7/1",
        "#14/2",
        "#3+4",
        "#7e0",
        "#0x7",
        "#７",
        "#٧",
        "#7%",
        "#7 mod 10",
        "#VII",
        "#7;",
        "#7..",
        "#.7",
        "#7\n8",
    ),
    *("#7 or 8", "#7 is the answer"),
]


def test_the_tables_are_complete() -> None:
    assert len(set(EQUIVALENTS)) == 50
    assert len(set(NEAR_MISSES)) == 50


@pytest.mark.parametrize("response", EQUIVALENTS)
def test_an_equivalent_writing_is_right(response: str) -> None:
    assert ChainSums().verify(response, SEVEN).score == 1.0


@pytest.mark.parametrize("response", NEAR_MISSES)
def test_a_near_miss_is_not(response: str) -> None:
    stated = response.rsplit("#", 1)[-1].strip() if "#" in response else ""
    assert ChainSums().verify(response, SEVEN).score == (0.1 if stated else 0.0)


@pytest.mark.parametrize("digits", [(2,), (3, 4), (6, 7, 8), (20,)])
@pytest.mark.parametrize("seed", [0, 9])
def test_every_gold_is_right(digits: tuple[int, ...], seed: int) -> None:
    task = ChainSums(digits=digits)
    for example in task.examples("train", 60, seed):
        demonstration = example.demonstrations[0]
        assert task.verify(demonstration.text, example).score == 1.0
        assert len(demonstration.chunks) == len(example.prompt) - 1
        assert len(demonstration.chunks) in digits


def test_the_running_sums_are_written_out() -> None:
    split = split_of("chain_sums/38")
    example = next(e for e in ChainSums(digits=(2,)).examples(split, 6, 0) if e.prompt == "38=")
    assert example.demonstrations[0].chunks == ("3,", "1")
    assert example.demonstrations[0].tail == "#1"


def test_lengths_without_meaning_are_refused() -> None:
    with pytest.raises(UserError, match="at least 2 digits"):
        ChainSums(digits=(1, 4))


@given(st.text() | st.text(st.sampled_from("#0123456789+. \n")))
def test_no_text_crashes_the_verifier(text: str) -> None:
    assert ChainSums().verify(text, SEVEN).score in (0.0, 0.1, 1.0)


def test_what_is_rejected_goes_on_from_one_wrong_step() -> None:
    for example in ChainSums().examples("train", 60, seed=0):
        shown, rejected = example.demonstrations[0].text, example.facts["rejected"]
        right, other = (list(map(int, text.split("#")[0].split(","))) for text in (shown, rejected))
        errors = [(b - a) % 10 for a, b in zip(right, other, strict=True)]
        slip = next(error for error in errors if error)
        assert errors == [0] * errors.index(slip) + [slip] * (len(errors) - errors.index(slip))
        assert rejected.endswith(f"#{other[-1]}")
