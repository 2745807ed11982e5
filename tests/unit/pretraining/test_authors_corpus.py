"""The corpus about the authors' questions: the same every time, writable, legal, and in other words than theirs."""

import random
import re

import pytest

from posttrain.pretraining.corpora import authors
from posttrain.pretraining.islanders import UTTERANCES, puzzle, reasoning
from posttrain.pretraining.players import play
from posttrain.tasks.answers import LastMatch
from posttrain.tasks.arithmetic import evaluate
from posttrain.tasks.countdown import CountdownProblem, judge
from posttrain.tasks.countdown_forms import AuthorsForm as CountdownForm
from posttrain.tasks.knights_forms import AuthorsForm
from posttrain.text import Text

THINK = "<think> "


def documents(count, write=authors.write, seed=0):
    numbers = random.Random(seed)
    return [write(numbers) for _ in range(count)]


@pytest.fixture(scope="module")
def text():
    return Text(authors.tokenizer())


def test_the_same_seed_writes_the_same_documents():
    assert documents(50) == documents(50)
    assert documents(50) != documents(50, seed=1)


def test_the_tokenizer_is_the_same_whenever_it_is_made(text):
    again = authors.tokenizer()
    assert again.get_vocab() == text.tokenizer.get_vocab()
    assert len(again) <= authors.TOKENS
    assert all(again.tokenize(d) == text.tokenizer.tokenize(d) for d in documents(20))


def test_every_document_comes_back_from_its_tokens_and_fits_the_context(text):
    for document in documents(300):
        tokens = text.encode(document)
        assert text.decode(tokens) == document
        assert len(tokens) < authors.SIZE.shape.context


def test_a_number_is_the_same_one_token_wherever_it_stands(text):
    for number in map(str, range(1, 100)):
        (token,) = text.encode(number)
        assert all(token in text.encode(before + number) for before in (" ", "(", "<think> ", "9 + ", "\n"))


def test_prompt_and_solution_apart_are_the_tokens_of_the_document(text):
    for document in documents(100, authors.countdown) + documents(100, authors.knights):
        prompt, solution = split_at_thinking(document)
        apart = [*text.encode(prompt + THINK), *text.encode(solution)]
        assert apart == text.encode(document).tolist()


def test_every_chunk_of_a_solution_ends_where_a_token_ends(text):
    numbers = random.Random(0)
    for _ in range(100):
        given = tuple(numbers.randint(1, 99) for _ in range(4))
        demonstration = CountdownForm().demonstration(play(numbers, given, 50, authors.BLIND))
        tokens, ends = text.demonstration(demonstration)
        hints = [text.decode(tokens[:end]) for end in ends[1:-1]]
        assert hints == ["".join(demonstration.chunks[: n + 1]) for n in range(len(demonstration.chunks))]


def test_countdown_tries_are_legal_and_some_are_right():
    answered = [d for d in documents(1000, authors.countdown) if "<answer> " in d.rpartition(THINK)[2]]
    assert 0.3 * 1000 < len(answered) < 0.5 * 1000
    verdicts = [judge_countdown(d) for d in answered]
    assert {v.reason for v in verdicts} <= {"right", "wrong value"}
    assert 0.2 < sum(v.score == 1.0 for v in verdicts) / len(verdicts) < 0.6


def test_nobody_speaks_as_the_released_solutions_do():
    for document in documents(300, authors.countdown) + documents(100, authors.knights):
        _, _, solution = document.rpartition(THINK)
        assert not re.search(r"\d+ [-+*/] \d+ = \d+\n|Therefore, |Assume |contradict", solution)


def test_arithmetic_is_right():
    written = "".join(documents(200, authors.arithmetic) + documents(200, authors.countdown))
    sums = re.findall(r"(\d+ [-+*/] \d+)(?: =|:) (\d+)\n", written)
    assert len(sums) > 1500
    assert all(evaluate(left) == int(value) for left, value in sums)


def test_reasoning_about_islanders_is_well_formed_and_blind():
    numbers = random.Random(0)
    roles, quoted = [], 0
    for _ in range(400):
        met = puzzle(numbers, 3)
        thoughts, answer = reasoning(numbers, met, (0, 1, 2))
        roles.append(AuthorsForm().roles(answer, met.names))
        claims = re.findall(r"(?:claim|lie) (?:of .*? )?that (.*)\.\n", thoughts)
        quoted += len(claims)
        assert set(claims) <= set(met.said)
    assert None not in roles
    assert quoted > 1200
    assert len(set(roles)) == 8
    assert 0.5 < sum(map(sum, roles)) / 1200 < 0.8


def test_all_ways_of_quoting_name_the_speaker_and_the_claim():
    assert all("{name}" in u and "{claim}" in u for u in UTTERANCES)


def split_at_thinking(document):
    """The instructions name the tag as well."""
    before, _, after = document.rpartition(THINK)
    return before, after


def judge_countdown(document):
    given, target = re.search(r"numbers \[([\d, ]+)\].*? equals (\d+)", document).groups()
    return judge(LastMatch()(document), CountdownProblem(tuple(map(int, given.split(", "))), int(target)))
