"""Drawing a token: the distribution, its borders, and what no distribution is."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fixtures.models import random_table
from posttrain.engines.draws import BLOCK, sample
from tolerances import MODEL, STANDARD_ERRORS

JUST_BELOW_ONE = 1 - 2**-24


def by_definition(logits, temperature, uniform):
    """The first token whose cumulative probability is beyond the draw, in float64."""
    cumulative = torch.softmax(logits.double() / temperature, -1).cumsum(-1)
    return int((cumulative > uniform * cumulative[-1]).nonzero()[0])


def test_frequencies_are_those_of_the_tempered_distribution():
    logits, count = random_table(1 + 5)[0], 4000
    uniforms = torch.rand(count, generator=torch.Generator().manual_seed(0))
    tokens, logprobs = sample(logits.expand(count, -1), 0.7, uniforms)
    p = torch.softmax(logits / 0.7, -1)
    error = (torch.bincount(tokens, minlength=6) / count - p).abs() / (p * (1 - p) / count).sqrt()
    assert float(error.max()) < STANDARD_ERRORS
    torch.testing.assert_close(logprobs, p.log()[tokens], rtol=0, atol=MODEL)


@given(
    vocabulary=st.sampled_from([1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 1000]),
    temperature=st.sampled_from([0.3, 1.0, 2.0]),
    seed=st.integers(0, 1000),
    uniform=st.floats(0, JUST_BELOW_ONE, width=32),
)
def test_a_draw_is_the_inverse_of_the_cumulative_distribution(vocabulary, temperature, seed, uniform):
    logits = 3 * torch.randn(vocabulary, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    token, logprob = sample(logits[None], temperature, torch.tensor([uniform], dtype=torch.float64))
    assert int(token) == by_definition(logits, temperature, uniform)
    expected = torch.log_softmax(logits / temperature, -1)[token]
    torch.testing.assert_close(logprob, expected, rtol=0, atol=MODEL)


@given(
    possible=st.sets(st.integers(0, 3 * BLOCK - 1), min_size=1, max_size=6),
    uniform=st.one_of(st.floats(0, JUST_BELOW_ONE, width=32), st.sampled_from([0.0, JUST_BELOW_ONE])),
    spread=st.sampled_from([0.0, 20.0]),
)
def test_a_token_without_probability_is_never_drawn(possible, uniform, spread):
    logits = torch.full((1, 3 * BLOCK), -torch.inf)
    for place in possible:
        logits[0, place] = -spread * (place % 3)
    token, logprob = sample(logits, 1.0, torch.tensor([uniform]))
    assert int(token) in possible
    assert bool(torch.isfinite(logprob).all())


def test_known_draws():
    logits = torch.tensor([float("-inf"), 0.0, float("-inf"), 0.0, float("-inf")])
    uniforms = torch.tensor([0.0, 0.25, 0.5, 0.75, JUST_BELOW_ONE])
    assert sample(logits.expand(5, -1), 1.0, uniforms)[0].tolist() == [1, 1, 3, 3, 3]


def test_greedy_takes_the_likeliest_and_says_its_log_probability_at_temperature_one():
    logits = torch.randn(4, 200, generator=torch.Generator().manual_seed(0))
    token, logprob = sample(logits, 0, torch.zeros(4))
    assert token.tolist() == logits.argmax(-1).tolist()
    expected = torch.log_softmax(logits, -1).gather(1, token[:, None])[:, 0]
    torch.testing.assert_close(logprob, expected, rtol=0, atol=MODEL)


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_logits_that_are_no_numbers_show_in_the_log_probability(temperature):
    _, logprob = sample(torch.full((2, 100), float("nan")), temperature, torch.tensor([0.1, 0.9]))
    assert bool(logprob.isnan().all())


def test_the_logits_are_left_as_they_are():
    logits = torch.randn(2, 100)
    before = logits.clone()
    sample(logits, 1.0, torch.tensor([0.1, 0.9]))
    assert torch.equal(logits, before)
