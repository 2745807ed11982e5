"""The engine that counts."""

import pytest
import torch

from fixtures.models import tiny_policy
from fixtures.training import recitation
from posttrain.engines.counting import CountingEngine
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.sampling import Sampling
from posttrain.text import Text

PROMPTS = [torch.tensor([5, 3, 4]), torch.tensor([7])]


def test_it_writes_what_the_inner_engine_writes() -> None:
    inner, policy = HuggingFaceEngine(), tiny_policy()
    counting = CountingEngine(inner)
    counting.load(policy, version=4)
    assert counting.version == inner.version == 4
    ours, theirs = (
        engine.generate(PROMPTS, Sampling(1.0, 6), 2, torch.Generator().manual_seed(0)) for engine in (counting, inner)
    )
    assert [[c.tokens.tolist() for c in g] for g in ours] == [[c.tokens.tolist() for c in g] for g in theirs]


def test_it_adds_up_what_is_read_and_written(text: Text) -> None:
    counting = CountingEngine(recitation(text, "abc"))  # "abc" and its end, then "ab" and its end
    for _ in range(2):
        counting.generate(PROMPTS, Sampling(1.0, 9), 2, torch.Generator())
    written = counting.written
    assert (written.completions, written.tokens_read, written.tokens_written) == (8, 8, 28)


def test_the_positions_passed_are_those_of_the_model_if_rows_leave_when_they_end(
    text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posttrain.engines.steps.Directly.leaving", 1.0)
    monkeypatch.setattr("posttrain.engines.rows.TOGETHER", 1.0)
    policy, passed = tiny_policy(), []
    policy.model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: passed.append(
            int(kwargs["attention_mask"][:, -kwargs["input_ids"].shape[1] :].sum())
        ),
        with_kwargs=True,
    )
    counting = CountingEngine(HuggingFaceEngine())
    counting.load(policy, version=0)
    passed.clear()
    counting.generate(PROMPTS, Sampling(1.0, 6), 3, torch.Generator().manual_seed(0))
    assert counting.written.tokens_passed == sum(passed)
