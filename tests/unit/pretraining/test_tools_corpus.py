"""The corpus of tool calls: the same every time, writable, in the right form, and blind to what a request means."""

import random
import re
from collections import Counter

import pytest

from posttrain.pretraining.corpora import tools
from posttrain.rewards.tool_calls import parse_call
from posttrain.rollouts.key_tokens import KeyTokens
from posttrain.tasks.tool_calls import FIRST, SECOND, ToolCalls, all_signatures, hidden_table
from posttrain.text import Text

OFFER = re.compile(r"(\w+)\(([\w,]*)\)")


def documents(count, write=tools.write, seed=0):
    numbers = random.Random(seed)
    return [write(numbers) for _ in range(count)]


def parts(conversation):
    """The tools on offer, the words of the request, the calls and the errors."""
    system, user, *rest = conversation.split("\n")
    offered = {name: tuple(parameters.split(",")) for name, parameters in OFFER.findall(system)}
    calls = [line.removeprefix("call: ") for line in rest if line.startswith("call: ")]
    errors = [line.removeprefix("error: ") for line in rest if line.startswith("error: ")]
    return offered, tuple(user.split()[1:3]), calls, errors


@pytest.fixture(scope="module")
def text():
    return Text(tools.tokenizer())


def test_the_same_seed_writes_the_same_documents():
    assert documents(30) == documents(30)
    assert documents(30) != documents(30, seed=1)


def test_every_document_and_every_problem_comes_back_from_its_tokens_and_fits_the_context(text):
    problems = [example.prompt + example.answer for example in ToolCalls().examples("train", 50, 0)]
    for document in (*documents(200), *problems):
        tokens = text.encode(document)
        assert text.decode(tokens) == document
        assert len(tokens) < tools.SIZE.shape.context


def test_prompt_and_call_apart_are_the_tokens_of_the_whole(text):
    for example in ToolCalls(failing=0.5).examples("train", 50, 0):
        apart = [*text.encode(example.prompt), *text.encode(example.answer)]
        assert apart == text.encode(example.prompt + example.answer).tolist()


def test_a_parameter_is_the_same_token_wherever_it_is_given_a_value(text):
    beginning = text.encode("end='")
    assert len(beginning) == 1
    assert beginning[0] in text.encode("find_room(city='omari', end='sukel')")


def test_names_of_tools_part_at_tokens_that_weigh_more(text):
    example = ToolCalls().examples("train", 1, 0)[0]
    weights = KeyTokens().weights(example.answer, tuple(example.facts["tools"]), text)
    assert 1 < max(weights) <= 9
    assert sum(weight > 1 for weight in weights) <= 2


def test_conversations_end_where_a_call_does_not_fail_or_nobody_tries_again():
    for document in documents(200, tools.conversation):
        offered, _, calls, errors = parts(document)
        assert len(calls) - len(errors) == 1
        assert len(calls) <= tools.MOST_CALLS
        parsed = [parse_call(call, all_signatures(0)) for call in calls]
        assert all(call.name in all_signatures(0) for call in parsed)
        for call, error in zip(parsed, errors):
            assert error == f"{call.name} is not defined" or error.startswith("unexpected keyword ")
            assert (error == f"{call.name} is not defined") == (call.name not in offered)


def test_most_calls_have_the_parameters_of_their_tool():
    signatures = all_signatures(0)
    calls = [parse_call(parts(document)[2][0], signatures) for document in documents(300, tools.conversation)]
    right = sum(set(call.arguments) == set(signatures[call.name]) for call in calls)
    assert 0.8 < right / len(calls) < 0.98


def test_nobody_knows_which_tool_words_mean():
    found = Counter()
    for document in documents(10_000, tools.conversation):
        offered, words, calls, _ = parts(document)
        meant = hidden_table(0)[words]
        if meant in offered:
            found[len(offered), parse_call(calls[0], all_signatures(0)).name == meant] += 1
    for size in (2, 4):
        share = found[size, True] / (found[size, True] + found[size, False])
        assert share == pytest.approx((1 - tools.ABSENT) / size, abs=0.08)


def test_every_pair_of_words_is_said():
    assert len({parts(document)[1] for document in documents(2000, tools.conversation)}) == len(FIRST) * len(SECOND)


def test_echoes_and_values_say_what_was_said():
    for document in documents(50, tools.echo):
        said = [sorted(line.removeprefix("user: ").split()) for line in document.splitlines()]
        assert len(said) == tools.ECHOES
        assert said == [said[0]] * tools.ECHOES
    for document in documents(50, tools.values):
        said, _, again = document.removeprefix("user: ").partition("\n")
        assert {pair.replace("'", "") for pair in again.split(", ")} <= set(said.split())
