"""Thinking that is cut off, and thinking that may not end yet."""

import math

import pytest
import torch

from fixtures.models import tiny_policy
from posttrain.decoding.budget_forcing import BudgetForcing
from posttrain.decoding.thinking import Thinking
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.sampling import Sampling

START, STOP, WAIT = 5, 4, 6
ONE = Thinking(stop=(STOP,), start=(START,))
TWO = Thinking(stop=(STOP, 7), start=(START,))
PROMPT = torch.tensor([9, START])


def write(rule: BudgetForcing, temperature: float = 1.0, count: int = 12) -> list[list[int]]:
    engine = HuggingFaceEngine()
    engine.load(tiny_policy(seed=3), version=0)
    sampling = Sampling(temperature, 12, (rule,))
    ((*written,),) = engine.generate([PROMPT], sampling, count, torch.Generator().manual_seed(0))
    rows = [c.tokens.tolist() for c in written]
    return [row for row in rows if START not in row]  # which would begin the count anew


def thought(tokens: list[int], stop: tuple[int, ...]) -> int | None:
    """Tokens before the stop marker, or ``None`` if there is none."""
    starts = [at for at in range(len(tokens)) if tuple(tokens[at : at + len(stop)]) == stop]
    return starts[0] if starts else None


@pytest.mark.parametrize("most", [0, 3])
def test_the_stop_token_comes_after_at_most_so_many(most: int) -> None:
    rows = write(BudgetForcing(ONE, most=most))
    assert len(rows) > 4
    for tokens in rows:
        length = thought(tokens, (STOP,))
        assert 0 in tokens[:most] or (length is not None and length <= most)


def test_a_long_marker_is_forced_token_by_token() -> None:
    rows = [row for row in write(BudgetForcing(TWO, most=3)) if 0 not in row[:3]]
    assert len(rows) > 4
    for tokens in rows:
        assert thought(tokens, TWO.stop) <= 3
    assert any(STOP in tokens[: thought(tokens, TWO.stop)] for tokens in rows), "no false start of the marker was seen"


def test_a_forced_token_is_certain() -> None:
    texts = [torch.tensor([START, 1, 2]), torch.tensor([START, 1, 2, STOP]), torch.tensor([START, 1])]
    logits = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    chances = torch.softmax(BudgetForcing(TWO, most=2)(logits, texts), -1)
    assert chances[0].tolist() == [float(token == STOP) for token in range(8)]
    assert chances[1].tolist() == [float(token == 7) for token in range(8)]
    assert torch.equal(chances[2], torch.softmax(logits[2], -1))


def test_thinking_does_not_end_before_at_least_so_many() -> None:
    lengths = [thought(tokens, (STOP,)) for tokens in write(BudgetForcing(ONE, least=4), count=64)]
    early = [thought(tokens, (STOP,)) for tokens in write(BudgetForcing(ONE), count=64)]
    assert min(n for n in lengths if n is not None) >= 4 > min(n for n in early if n is not None)


def test_of_a_long_marker_only_the_last_token_is_withheld() -> None:
    texts = [torch.tensor([START, 1]), torch.tensor([START, 1, STOP])]
    changed = BudgetForcing(TWO, least=5)(torch.zeros(2, 8), texts)
    assert torch.equal(changed[0], torch.zeros(8))
    assert changed[1].tolist() == [-math.inf if token == 7 else 0.0 for token in range(8)]


def test_a_marker_of_several_tokens_does_not_end_the_thinking_before_the_least() -> None:
    rule, text = BudgetForcing(TWO, most=3, least=3), torch.tensor([START, 3, 1, STOP])  # two tokens, and a marker's
    changed = rule(torch.zeros(1, 8), [text])
    assert changed[0].tolist() == [-math.inf if token == 7 else 0.0 for token in range(8)]
    longer = rule(torch.zeros(1, 8), [torch.tensor([START, 3, 1, STOP, 2])])
    assert longer[0].argmax() == STOP
    assert longer[0].isinf().sum() == 7


def test_equal_budgets_leave_one_length_and_what_a_false_start_adds() -> None:
    rows = [row for row in write(BudgetForcing(TWO, most=3, least=3), count=64) if 0 not in row[:3]]
    lengths = {thought(tokens, TWO.stop) for tokens in rows}
    assert lengths == {3, 4}


def test_another_token_takes_the_place_of_a_withheld_one() -> None:
    logits = torch.tensor([[0.0, 1.0, 0.0, 0.0, 9.0, 0.0, -3.0, 0.0], [0.0, 1.0, 0.0, 0.0, -9.0, 0.0, -3.0, 0.0]])
    changed = BudgetForcing(ONE, least=5, instead=WAIT)(logits, [torch.tensor([START, 1])] * 2)
    assert changed[:, STOP].tolist() == [-math.inf] * 2
    assert changed[:, WAIT].tolist() == [9.0, -3.0]
    assert changed.argmax(-1).tolist() == [WAIT, 1]


def test_a_budget_of_any_length_changes_nothing() -> None:
    logits = torch.randn(1, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(BudgetForcing(ONE)(logits, [torch.tensor([START, 1])]), logits)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"thinking": Thinking((STOP,))}, "give thinking a start"),
        ({"thinking": ONE, "least": -1}, "0 <= least <= most"),
        ({"thinking": ONE, "least": 3, "most": 2}, "0 <= least <= most"),
        ({"thinking": ONE, "instead": STOP}, "another one"),
    ],
    ids=str,
)
def test_budgets_that_cannot_be_kept_are_refused(settings, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        BudgetForcing(**settings)
