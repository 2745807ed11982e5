"""The critic's loss in numbers."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, with_critic
from fixtures.sequences import sequence, spell
from fixtures.stated import row, stated_batch
from posttrain.batching import collate
from posttrain.forward import Forward
from posttrain.objectives.value import ClippedValue
from tolerances import FLOAT32_RECORD, ROUNDING


@dataclass(frozen=True)
class StatedValues:
    """Stands in for a view of a pass."""

    values: Tensor


@pytest.mark.parametrize(
    ("value", "old", "returns", "loss", "slope"),
    [
        (1.1, 1.0, 2.0, 0.81 / 2, -0.9),  # inside
        (1.5, 1.0, 2.0, 0.64 / 2, 0.0),  # a value is not pulled further than 1.2
        (0.5, 1.0, 2.0, 2.25 / 2, -1.5),  # … but back from where it went wrong
        (2.5, 1.0, 2.0, 0.64 / 2, 0.0),  # the larger of the two errors counts
        (0.5, 1.0, 0.0, 0.64 / 2, 0.0),
        (1.0, 1.0, 1.0, 0.0, 0.0),
    ],
)
def test_clipping(value: float, old: float, returns: float, loss: float, slope: float) -> None:
    values = row(value)
    found = ClippedValue(0.2)(StatedValues(values), stated_batch(spell("s"), old_values=[old], returns=[returns]))
    assert float(found.detach()) == pytest.approx(loss, abs=ROUNDING)
    found.sum().backward()
    assert float(values.grad) == pytest.approx(slope, abs=ROUNDING)


def test_an_infinite_clip_is_half_the_squared_error() -> None:
    values = row(5.0, -1.0)
    batch = stated_batch(spell("ss"), old_values=[0.0, 0.0], returns=[1.0, 1.0])
    assert ClippedValue(float("inf"))(StatedValues(values), batch).tolist() == [[8.0, 2.0]]


def test_it_speaks_about_the_state_in_which_a_token_was_chosen() -> None:
    policy = with_critic(tiny_policy())
    batch = collate([sequence([5, 3, 4, 7], spell("ppss"), old_values=0.0, returns=0.0)], 0, policy.device)
    positions = torch.tensor([[False, False, True, True]])
    with torch.no_grad():
        states = policy.model.base_model(input_ids=batch.tokens, use_cache=False).last_hidden_state[0]
        expected = policy.heads["value"](states.float())[:, 0]
        found = ClippedValue(float("inf"))(Forward(policy, batch, positions), batch)[0]
    assert found[2:].tolist() == pytest.approx((expected[1:3].square() / 2).tolist(), abs=FLOAT32_RECORD)


def test_it_is_never_inert() -> None:
    assert not ClippedValue().inert(sequence([1, 2], spell("ps"), advantages=0.0, old_values=0.0, returns=0.0))


def test_an_empty_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="infinity turns it off"):
        ClippedValue(0.0)
