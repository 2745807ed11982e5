"""Key tokens: where a tool's name parts from those of the others on offer, in tokens."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from fixtures.sequences import NOW, collected
from fixtures.tools import byte_text, tool_problems
from fixtures.toy import toy_examples
from posttrain.errors import UserError
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.rollouts.key_tokens import KeyTokens, called_tool, key_tokens
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Demonstration, Origin

NAMES = ("getPapersByKeywords", "getPaperDetails", "finish")
PIECES = ("get", "P", "apers", "aper", "By", "Key", "words", "Details", "finish")


def figure_text() -> Text:
    """The paper's figure cuts names into these pieces; everything else is a token per character."""
    letters = [chr(c) for c in range(32, 127)]
    words = ["<eos>", *PIECES, *(c for c in letters if c not in PIECES)]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<eos>"))
    pattern = "|".join([*PIECES, r"[\s\S]"])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return Text(PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>"))


def keys(turn: str, text: Text, tools: tuple[str, ...] = NAMES) -> list[str]:
    """The key tokens as text, in order."""
    name, start = called_tool(turn, tools)
    spans = text.spans(turn)
    return [turn[slice(*spans[t])] for t in sorted(key_tokens(turn, name, start, tools, text)[1])]


FIGURE = [
    ("getPapersByKeywords", ["get", "apers"], 22, 11.0),
    ("getPaperDetails", ["get", "aper"], 18, 9.0),
    ("finish", ["finish"], 49, 49.0),
]


@pytest.mark.parametrize(("name", "expected", "others", "ratio"), FIGURE)
def test_the_papers_figure(name: str, expected: list[str], others: int, ratio: float) -> None:
    text = figure_text()
    named = len(text.spans(name))
    # Characters without any bracket or quote that closes something, up to the figure's count; one more is the end.
    call = f"{name}({'x' * (others - (named - len(expected)) - 2)}"
    assert keys(call, text) == expected
    for largest in (9.0, 100.0):
        weights = KeyTokens(largest, closing="").weights(call, NAMES, text)
        assert weights.count(min(ratio, largest)) == len(expected) or ratio == 1
        assert len(weights) - len(expected) == others
        assert sum(w != 1 for w in weights) == len(expected)


def test_where_a_name_begins_another_the_token_behind_it_is_the_key() -> None:
    text = byte_text()
    assert keys("get(a)", text, ("get", "get_more")) == ["g", "("]
    assert keys("get_more(a)", text, ("get", "get_more")) == ["g", "_"]


def test_names_that_begin_differently_leave_the_first_token_alone() -> None:
    assert keys("book(a)", byte_text(), ("book", "find", "call")) == ["b"]
    assert keys("book(a)", byte_text(), ("book",)) == ["b"]


def test_every_other_tool_marks_the_place_where_it_parts() -> None:
    tools = ("find_room", "find_route", "find_road", "fetch_room")
    assert keys("find_room(x)", byte_text(), tools) == ["f", "i", "o"]
    assert keys("find_room(x)", byte_text(), ("find_room", "find_rooms")) == ["f", "("]


def test_the_call_may_stand_behind_a_thought() -> None:
    turn = "I need find_room: find_room(city='x')"
    text = byte_text()
    assert called_tool(turn, ("find_room", "room", "find_route")) == ("find_room", turn.index("find_room("))
    first, found = key_tokens(turn, "find_room", 18, ("find_room", "find_route"), text)
    assert (first, sorted(found)) == (18, [18, 25])
    weights = KeyTokens().weights(turn, ("find_room", "find_route"), text)
    assert set(weights[:18]) == {1.0}


def test_tokens_that_only_close_are_not_counted() -> None:
    """Keys g and t; counted are e, (, a, =, b and the end; two quotes, a bracket and a comma: three close."""
    turn, tools = "get(a='b','", ("get", "gem")
    counted = KeyTokens().weights(turn, tools, byte_text())
    everything = KeyTokens(closing="").weights(turn, tools, byte_text())
    assert counted[0] == counted[2] == (len(turn) + 1 - 2 - 3) / 2
    assert everything[0] == everything[2] == min(9.0, (len(turn) + 1 - 2) / 2)


def test_no_key_weighs_less_than_another_token() -> None:
    assert KeyTokens().weights("f(", ("f", "fg"), byte_text()) == [1.0, 1.0, 1.0]


def test_a_turn_that_calls_nothing_on_offer_weighs_one() -> None:
    for turn in ("hello", "other(x)", "xfind_room(y)", "a.find_room(y)"):
        assert KeyTokens().weights(turn, ("find_room",), byte_text()) == [1.0] * (len(turn) + 1)


NAME = st.text(alphabet="ab_", min_size=1, max_size=5).map(lambda name: f"t{name}")


@given(gold=NAME, others=st.lists(NAME, max_size=4), arguments=st.text("xy=',", max_size=12), most=st.floats(1, 9))
def test_the_first_token_is_always_a_key_and_weights_are_bounded(gold: str, others: list[str], arguments, most) -> None:
    turn, tools = f"{gold}({arguments})", (gold, *others)
    first, found = key_tokens(turn, gold, 0, tools, byte_text())
    assert first == 0
    assert {0} <= found <= set(range(len(gold) + 1))
    weights = KeyTokens(most).weights(turn, tools, byte_text())
    assert len(weights) == len(turn) + 1
    assert all(1 <= w <= most for w in weights)
    assert {w for t, w in enumerate(weights) if t not in found} == {1.0}


def test_the_emphasis_stands_on_the_answer() -> None:
    examples = tool_problems(4).examples
    for row in collected(KeyTokens(), examples, byte_text()):
        emphasis = row.signals["emphasis/likelihood"]
        assert bool((emphasis[row.origin == int(Origin.PROMPT)] == 1).all())
        prompt = len(byte_text().encode(row.rollout.example.prompt))
        turn = row.rollout.example.demonstrations[0].text
        expected = KeyTokens().weights(turn, tuple(row.rollout.example.facts["tools"]), byte_text())
        assert emphasis[prompt:].tolist() == expected
        assert float(emphasis.max()) > 1


def test_the_term_is_a_setting() -> None:
    source = KeyTokens(term="imitation")
    ((rollout,),) = source(tool_problems(1).examples, None, byte_text(), Sampling(), NOW)
    assert set(rollout.signals) == source.provides == {"emphasis/imitation"}


def test_without_tools_it_writes_what_demonstrations_are(text: Text) -> None:
    ours, plain = (collected(source, toy_examples(5), text) for source in (KeyTokens(), Demonstrations()))
    for one, other in zip(ours, plain, strict=True):
        assert torch.equal(one.tokens, other.tokens)
        assert bool((one.signals["emphasis/likelihood"] == 1).all())


def test_a_demonstration_that_ends_itself_is_refused() -> None:
    example = dataclasses.replace(tool_problems(1).examples[0], demonstrations=(Demonstration(("x<|end|>",)),))
    with pytest.raises(UserError, match="contains the end-of-sequence token"):
        collected(KeyTokens(), (example,), byte_text())
