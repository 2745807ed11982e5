"""The corpus of knights and knaves: the same every time, writable, in order, and blind."""

import random
import re

import pytest

from posttrain.pretraining.corpora import knights
from posttrain.tasks.answers import LastMatch
from posttrain.tasks.knights_forms import AuthorsForm
from posttrain.text import Text


def documents(count, write=knights.write, seed=0):
    numbers = random.Random(seed)
    return [write(numbers) for _ in range(count)]


@pytest.fixture(scope="module")
def text():
    return Text(knights.tokenizer())


def test_the_same_seed_writes_the_same_documents():
    assert documents(30) == documents(30)
    assert documents(30) != documents(30, seed=1)


def test_every_document_comes_back_from_its_tokens_and_fits_the_context(text):
    for document in documents(200):
        tokens = text.encode(document)
        assert text.decode(tokens) == document
        assert len(tokens) < knights.SIZE.shape.context


def test_prompt_and_solution_apart_are_the_tokens_of_the_document(text):
    for document in documents(50, knights.solved):
        prompt, _, solution = document.rpartition("<think> ")
        apart = [*text.encode(prompt + "<think> "), *text.encode(solution)]
        assert apart == text.encode(document).tolist()


def test_few_solutions_end_with_an_answer_and_it_is_well_formed():
    answered = 0
    for document in documents(300, knights.solved):
        prompt, _, solution = document.rpartition("<think> ")
        names = re.split(r", and |, ", re.search(r"inhabitants: (.*?)\.", prompt)[1])
        answer = LastMatch()(solution)
        answered += answer is not None
        assert answer is None or len(AuthorsForm().roles(answer, tuple(names))) == len(names)
    assert 35 < answered < 90


def test_rolls_name_everybody_in_order():
    for document in documents(50, knights.rolls):
        for listed, lines in re.findall(r"inhabitants: (.*?)\.\n<answer> (.*?) </answer>", document, re.DOTALL):
            assert re.split(r", and |, ", listed) == re.findall(r"\(\d\) (\w+) is a", lines)


def test_quotes_are_of_the_puzzle():
    for document in documents(50, knights.quotes):
        question, _, quoted = document.partition("So who is a knight and who is a knave?\n")
        claims = re.findall(r"\w+ claimed that (.*)\.\n", quoted)
        assert len(claims) == knights.QUOTED_PER_DOCUMENT
        assert all(claim in question for claim in claims)
