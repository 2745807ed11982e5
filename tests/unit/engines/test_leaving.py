"""Rows that have ended leave the batch, and nobody notices."""

import weakref
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from fixtures.models import tiny_policy
from posttrain.engines import huggingface
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.engines.rows import TOGETHER, staying
from posttrain.policy import Policy
from posttrain.prefixes import choose_attention
from posttrain.sampling import Completion, Sampling
from tolerances import FLOAT32_RECORD

PROMPTS = [torch.tensor(p) for p in ([5], [3, 9, 4, 7, 2], [6, 6, 8], [2, 3, 4, 5, 6, 7, 8, 9], [11, 12])]
ALIVE = some.integers(1, 5).flatmap(
    lambda n: some.lists(some.lists(some.booleans(), min_size=n, max_size=n), min_size=1, max_size=6)
)


@given(ALIVE)
def test_all_that_go_on_stay_once_in_their_order_with_their_prompts(lists: list[list[bool]]) -> None:
    alive = torch.tensor(lists)
    if not bool(alive.any()):
        return
    prompts, rows = staying(alive)
    assert rows.shape[0] == len(prompts)
    assert rows.flatten().tolist() == sorted(set(rows.flatten().tolist()))
    assert bool((rows // alive.shape[1] == prompts[:, None]).all())
    assert set(alive.flatten().nonzero()[:, 0].tolist()) <= set(rows.flatten().tolist())
    assert rows.numel() <= TOGETHER * int(alive.sum())


def test_rows_of_a_prompt_stay_together_unless_too_many_of_them_have_ended() -> None:
    prompts, rows = staying(torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1]]).bool())
    assert (prompts.tolist(), rows.tolist()) == ([0, 2], [[0, 2, 3], [8, 9, 11]])
    prompts, rows = staying(torch.tensor([[1, 1, 1, 1], [0, 0, 1, 0]]).bool())
    assert (prompts.tolist(), rows.tolist()) == ([0, 0, 0, 0, 1], [[0], [1], [2], [3], [6]])


def written(policy: Policy, tokens_between_looks: int | None = None) -> list[Completion]:
    engine = HuggingFaceEngine(tokens_between_looks=tokens_between_looks)
    engine.load(policy, 0)
    groups = engine.generate(PROMPTS, Sampling(1.0, 30), 6, torch.Generator().manual_seed(0))
    return [completion for group in groups for completion in group]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("leaving", "together"), [(1.0, 1.0), (0.5, 1.0), (1.0, 100.0), (0.0, 1.0)])
def test_when_they_leave_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, shared: bool, leaving: float, together: float
) -> None:
    policy = tiny_policy()
    if shared:
        choose_attention(policy.model)
    usual = written(policy)
    assert 5 < sum(c.stopped for c in usual) < len(usual)
    monkeypatch.setattr("posttrain.engines.steps.Directly.leaving", leaving)
    monkeypatch.setattr("posttrain.engines.rows.TOGETHER", together)
    for one, other in zip(usual, written(policy), strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        torch.testing.assert_close(one.logprobs, other.logprobs, rtol=0, atol=FLOAT32_RECORD)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("context", [64, 20])
@pytest.mark.parametrize("between", [2, 7, 30, 1000])
def test_how_often_it_is_looked_who_has_ended_changes_nothing(shared: bool, context: int, between: int) -> None:
    policy = tiny_policy(context=context)
    if shared:
        choose_attention(policy.model)
    for one, other in zip(written(policy), written(policy, between), strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        torch.testing.assert_close(one.logprobs, other.logprobs, rtol=0, atol=FLOAT32_RECORD)


def test_rules_are_asked_about_rows_that_go_on_alone_however_seldom_it_is_looked() -> None:
    asked = []

    def rule(logits: torch.Tensor, texts: Sequence[torch.Tensor]) -> torch.Tensor:
        asked.append(len(texts))
        ending = torch.full_like(logits, -torch.inf)
        ending[:, 0 if len(asked) == 3 else 5] = 0.0
        return ending

    policy = tiny_policy()
    engine = HuggingFaceEngine(tokens_between_looks=16)
    engine.load(policy, 0)
    groups = engine.generate(PROMPTS, Sampling(1.0, 30, (rule,)), 2, torch.Generator())
    assert policy.text.end == 0
    assert [len(c.tokens) for group in groups for c in group] == [3] * 2 * len(PROMPTS)
    assert asked == [2 * len(PROMPTS)] * 3


def test_a_batch_is_let_go_before_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    living: weakref.WeakSet[object] = weakref.WeakSet()
    counts: list[int] = []
    begin = huggingface._begin

    def watched(*arguments: object) -> object:
        counts.append(len(living))
        logits, rows = begin(*arguments)
        living.add(rows.cache)
        return logits, rows

    monkeypatch.setattr(huggingface, "_begin", watched)
    engine = HuggingFaceEngine(rows_per_batch=2)
    engine.load(tiny_policy(), 0)
    engine.generate(PROMPTS, Sampling(1.0, 4), 1, torch.Generator())
    assert counts == [0, 0, 0]


def test_an_engine_that_never_looks_is_refused() -> None:
    with pytest.raises(ValueError, match="between looks"):
        HuggingFaceEngine(tokens_between_looks=0)


def test_sharing_prompts_changes_nothing() -> None:
    policy = tiny_policy()
    apart = written(policy)
    choose_attention(policy.model)
    for one, other in zip(apart, written(policy), strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        torch.testing.assert_close(one.logprobs, other.logprobs, rtol=0, atol=FLOAT32_RECORD)


def test_a_model_that_does_not_ask_for_the_prompts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy()
    choose_attention(policy.model)
    plain = type(policy.model.model).forward

    def deaf(self: object, *given: object, readers: object = None, **named: object) -> object:
        return plain(self, *given, **named)

    monkeypatch.setattr(type(policy.model.model), "forward", deaf)
    with pytest.raises(RuntimeError, match="shared prompts"):
        written(policy)
