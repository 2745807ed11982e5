"""Text survives the round trip or is refused, and chunks end where their characters end."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from fixtures.characters import CHARACTERS, END, VOCABULARY
from fixtures.toy import toy_examples
from posttrain.errors import UserError
from posttrain.text import Text
from posttrain.types import Demonstration

WORDS = st.text(alphabet=CHARACTERS, max_size=8)


def merging_text(*merges: tuple[str, str]) -> Text:
    """A tokenizer that merges these pairs of characters, so that tokens can reach over chunk boundaries."""
    names = [END, *CHARACTERS, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({name: number for number, name in enumerate(names)}, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("never", "isolated")
    tokenizer.decoder = decoders.Fuse()
    return Text(PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END))


@given(WORDS)
def test_known_characters_come_back(text: Text, words: str) -> None:
    tokens = text.encode(words)
    assert len(tokens) == len(words)
    assert text.decode(tokens) == words


@pytest.mark.parametrize("words", ["3*4", "é", "1 + 2 = x"])
def test_an_unknown_character_is_the_users_error(text: Text, words: str) -> None:
    with pytest.raises(UserError, match="cannot represent"):
        text.encode(words)


def test_a_demonstration_with_an_unknown_character_is_refused(text: Text) -> None:
    with pytest.raises(UserError, match="cannot represent"):
        text.demonstration(Demonstration(("1 ", "Z "), "a"))


def test_a_prompt_may_hold_the_markers_of_a_chat(text: Text) -> None:
    tokens = text.encode(f"a{END}b")
    assert tokens.tolist() == [*text.encode("a").tolist(), text.end, *text.encode("b").tolist()]


def test_a_demonstration_does_not_end_itself(text: Text) -> None:
    with pytest.raises(UserError, match="contains the end-of-sequence token"):
        text.demonstration(Demonstration(("a", "b"), END))


def test_decoding_leaves_special_tokens_out(text: Text) -> None:
    tokens = text.encode("ab").tolist()
    assert text.decode([*tokens, text.end]) == "ab"


def test_verbatim_text_has_its_special_tokens(text: Text) -> None:
    assert text.verbatim([*text.encode("ab").tolist(), text.end]) == f"ab{END}"


def test_a_text_that_is_one_token(text: Text) -> None:
    assert [text.token("a")] == text.encode("a").tolist()


@pytest.mark.parametrize(
    ("several", "message"),
    [("ab", "'ab' has to be one token of the tokenizer, but is 2 tokens"), ("", "0 tokens"), (END, "end-of-sequence")],
)
def test_a_text_that_is_not_is_refused(text: Text, several: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        text.token(several)


def test_every_token_is_below_the_size_of_the_vocabulary(text: Text) -> None:
    assert text.vocabulary_size == VOCABULARY
    assert int(text.encode(CHARACTERS).max()) == VOCABULARY - 1


def test_a_tokenizer_without_an_end_token_is_refused(text: Text) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=text.tokenizer.backend_tokenizer)
    with pytest.raises(UserError, match="end-of-sequence"):
        Text(bare)


@given(st.lists(WORDS.filter(bool), min_size=1, max_size=6), WORDS)
def test_boundaries_count_the_characters_of_the_first_chunks(text: Text, chunks: list[str], tail: str) -> None:
    demonstration = Demonstration(tuple(chunks), tail)
    tokens, boundaries = text.demonstration(demonstration)
    assert boundaries == [sum(map(len, [*chunks, tail][:k])) for k in range(len(chunks) + 2)]
    assert text.decode(tokens) == demonstration.text


def test_a_token_over_a_boundary_belongs_to_the_later_chunk() -> None:
    text = merging_text(("a", "b"))
    tokens, boundaries = text.demonstration(Demonstration(("0a", "b1"), "2"))
    assert len(tokens) == 4  # 0 · ab · 1 · 2
    assert boundaries == [0, 1, 3, 4]


def test_a_chunk_swallowed_by_a_later_token_is_empty() -> None:
    text = merging_text(("a", "b"))
    assert text.demonstration(Demonstration(("a", "b"), ""))[1] == [0, 0, 1, 1]


@given(WORDS)
def test_spans_say_which_characters_a_token_stands_for(words: str) -> None:
    text = merging_text(("a", "b"))
    spans = text.spans(words)
    assert [text.decode([token]) for token in text.encode(words).tolist()] == [words[a:b] for a, b in spans]


def test_spans_of_a_text_that_tokens_cannot_represent_are_refused(text: Text) -> None:
    with pytest.raises(UserError, match="cannot represent"):
        text.spans("a*b")


def test_length_counts_prompt_longest_demonstration_and_the_end(text: Text) -> None:
    example = toy_examples(3)[2]
    assert text.length(example) == len(example.prompt) + len(example.demonstrations[0].text) + 1


def test_a_rejected_answer_has_to_fit_as_well(text: Text) -> None:
    example = toy_examples(3)[2]
    for rejected, longest in (("a" * 40, 40), ("a", len(example.demonstrations[0].text))):
        pair = dataclasses.replace(example, facts={"rejected": rejected})
        assert text.length(pair) == len(example.prompt) + longest + 1
