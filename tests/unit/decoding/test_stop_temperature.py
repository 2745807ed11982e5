"""The temperature of the stop token: what it changes, and what that does to how long a model thinks."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fixtures.models import random_table, tiny_policy
from posttrain.decoding.stop_temperature import Additive, Raw, Shifted, StopTemperature
from posttrain.decoding.thinking import Thinking
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.sampling import Sampling
from tolerances import MODEL, ROUNDING

START, STOP = 5, 4
THINKING = Thinking(stop=(STOP,), start=(START,))
OPEN, CLOSED, NEVER = torch.tensor([START, 1]), torch.tensor([START, 1, STOP, 2]), torch.tensor([1, 2, 3])
LOGITS = st.lists(st.floats(-20, 20), min_size=6, max_size=6)
IDENTITIES = [Shifted(1.0), Raw(1.0), Additive(0.0)]


def ruled(law, logits: Tensor, text: Tensor = OPEN) -> Tensor:
    return StopTemperature(THINKING, law)(logits[None], [text])[0]


@pytest.mark.parametrize("law", IDENTITIES, ids=str)
@given(values=LOGITS)
def test_temperature_one_leaves_the_logits_bit_for_bit(law, values: list[float]) -> None:
    for dtype in (torch.float32, torch.float64):
        logits = torch.tensor(values, dtype=dtype)
        assert torch.equal(ruled(law, logits), logits)


@pytest.mark.parametrize("law", [Shifted(0.3), Raw(0.3), Additive(3.0)], ids=str)
@given(values=LOGITS)
def test_only_the_stop_token_changes_and_only_while_thinking(law, values: list[float]) -> None:
    logits = torch.tensor(values)
    others = torch.arange(6) != STOP
    assert torch.equal(ruled(law, logits)[others], logits[others])
    assert torch.equal(ruled(law, logits, CLOSED), logits)
    assert torch.equal(ruled(law, logits, NEVER), logits)


def test_the_laws_at_known_values() -> None:
    logits = torch.tensor([1.0, 3.0, 0.0, 0.0, -2.0, 0.0])
    assert float(ruled(Shifted(0.5), logits)[STOP]) == 0.5  # half way from -2 to 3
    assert float(ruled(Raw(0.5), logits)[STOP]) == -4.0
    assert float(ruled(Additive(1.5), logits)[STOP]) == -0.5


@given(values=LOGITS, temperatures=st.lists(st.floats(0.01, 1.5), min_size=2, max_size=5).map(sorted))
def test_shifted_stopping_never_becomes_likelier_with_the_temperature(
    values: list[float], temperatures: list[float]
) -> None:
    logits = torch.tensor(values, dtype=torch.float64)
    chances = [float(torch.softmax(ruled(Shifted(t), logits), -1)[STOP]) for t in temperatures]
    assert all(later <= sooner + ROUNDING for sooner, later in itertools.pairwise(chances))


def test_raw_scaling_lowers_a_negative_logit_where_shifting_raises_it() -> None:
    logits = torch.tensor([1.0, 3.0, 0.0, 0.0, -2.0, 0.0])
    assert float(ruled(Raw(0.5), logits)[STOP]) < -2.0 < float(ruled(Shifted(0.5), logits)[STOP])


def test_towards_zero_the_stop_token_ties_with_the_best() -> None:
    logits = torch.tensor([1.0, 3.0, 0.0, 0.0, -2.0, 0.0], dtype=torch.float64)
    assert float(ruled(Shifted(1e-9), logits)[STOP]) == pytest.approx(3.0, abs=MODEL)


def test_a_forbidden_stop_token_stays_forbidden() -> None:
    logits = torch.tensor([1.0, 3.0, 0.0, 0.0, -math.inf, 0.0])
    for law in (Shifted(1.0), Shifted(0.5), Raw(0.5), Additive(1.0)):
        assert float(ruled(law, logits)[STOP]) == -math.inf


def expected_thinking(table: Tensor, law, most: int = 40) -> float:
    """Tokens between the markers under a table of bigrams, at most ``most``: the sum of the chances to go on."""
    chances = torch.zeros(len(table), dtype=torch.float64)
    chances[START], length = 1.0, 0.0
    for _ in range(most):
        texts = [torch.tensor([START, token]) if token != START else torch.tensor([START]) for token in range(6)]
        steps = torch.softmax(StopTemperature(THINKING, law)(table, texts), -1)
        steps[STOP] = 0.0
        chances = chances @ steps
        chances[STOP] = 0.0
        length += float(chances.sum())
    return length


@pytest.mark.parametrize("seed", range(4))
def test_expected_thinking_grows_with_the_temperature(seed: int) -> None:
    table = random_table(6, seed)
    table[:, START] = -math.inf  # no second thinking
    lengths = [expected_thinking(table, Shifted(t)) for t in (0.01, 0.3, 0.6, 0.9, 1.0, 1.3)]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-2]
    assert expected_thinking(table, Additive(1.0)) < lengths[-2] < expected_thinking(table, Additive(-1.0))


def test_of_a_long_marker_the_token_that_goes_on_is_raised() -> None:
    rule = StopTemperature(Thinking(stop=(3, 4), start=(START,)), Additive(1.0))
    logits = torch.zeros(3, 6)
    changed = rule(logits, [torch.tensor([START, 1]), torch.tensor([START, 1, 3]), torch.tensor([START, 3, 4])])
    assert changed.nonzero().tolist() == [[0, 3], [1, 4]]


def write(*rules) -> list[list[int]]:
    engine = HuggingFaceEngine()
    engine.load(tiny_policy(), version=0)
    prompts = [torch.tensor([7, 8, START]), torch.tensor([9])]
    groups = engine.generate(prompts, Sampling(1.0, 12, rules), 8, torch.Generator().manual_seed(0))
    return [c.tokens.tolist() for group in groups for c in group]


def test_in_an_engine_temperature_one_changes_nothing_and_a_bonus_stops_the_thinking_at_once() -> None:
    assert write(StopTemperature(THINKING, Shifted(1.0))) == write()
    sure = write(StopTemperature(THINKING, Additive(100.0)))
    assert all(tokens[0] == STOP for tokens in sure[:8])
    assert not all(tokens[0] == STOP for tokens in sure[8:])


@pytest.mark.parametrize("law", [Shifted, Raw])
@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_that_is_none_is_refused(law, temperature: float) -> None:
    with pytest.raises(ValueError, match="lies above 0"):
        law(temperature)
