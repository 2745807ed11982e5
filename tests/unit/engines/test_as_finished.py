"""Completions are handed over as they are finished, and are the same as those that are waited for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy
from fixtures.training import recitation
from posttrain.arrivals import in_order
from posttrain.engines.counting import CountingEngine
from posttrain.engines.early_exit import EarlyExitEngine
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.prefixes import choose_attention
from posttrain.protocols import Engine
from posttrain.sampling import Completion, Sampling
from posttrain.stopwatch import Stopwatch, phase, watching

PROMPTS = [torch.tensor(p) for p in ([5], [3, 9, 4, 7, 2], [6, 6, 8], [2, 3, 4, 5, 6, 7, 8, 9], [11, 12], [4, 4])]
LONG = Sampling(1.0, 40)
ENGINES: dict[str, Callable[[], Engine]] = {
    "batches": lambda: HuggingFaceEngine(rows_per_batch=7),
    "one batch": HuggingFaceEngine,
    "counted": lambda: CountingEngine(HuggingFaceEngine()),
    "early": lambda: EarlyExitEngine({}),
    "scripted": lambda: recitation(tiny_policy().text),
}


def numbers() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def live(name: str, shared: bool = False) -> Engine:
    engine, policy = ENGINES[name](), tiny_policy()
    if shared:
        choose_attention(policy.model)
    engine.load(policy, 0)
    return engine


def words(groups: Sequence[Sequence[Completion]]) -> list[tuple[list[int], str, bool]]:
    return [(c.tokens.tolist(), str(c.logprobs.tolist()), c.stopped) for group in groups for c in group]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", ENGINES)
def test_every_prompt_comes_once_with_the_same_completions(name: str, shared: bool) -> None:
    engine = live(name, shared)
    arrived = list(engine.as_finished(PROMPTS, LONG, 3, numbers()))
    assert sorted(place for place, _ in arrived) == list(range(len(PROMPTS)))
    assert words(in_order(iter(arrived), len(PROMPTS))) == words(engine.generate(PROMPTS, LONG, 3, numbers()))


def longest(group: Sequence[Completion]) -> int:
    return max(len(completion.tokens) for completion in group)


def test_prompts_of_a_batch_come_in_the_order_in_which_they_end() -> None:
    engine = live("one batch")
    arrived = list(engine.as_finished(PROMPTS, LONG, 2, numbers()))
    lengths = [longest(group) for _, group in arrived]
    assert lengths == sorted(lengths)
    assert [place for place, _ in arrived] != list(range(len(PROMPTS)))


@dataclass(frozen=True)
class Ending:
    """Ends every text whose prompt begins with 5 at once, and the others never; notes how long texts have become."""

    end: int
    lengths: list[int] = field(default_factory=list)

    def __call__(self, logits: Tensor, texts: Sequence[Tensor]) -> Tensor:
        self.lengths.append(max(map(len, texts)))
        ruled = logits.clone()
        for row, text in enumerate(texts):
            others = [token for token in range(logits.shape[1]) if (token == self.end) != (int(text[0]) == 5)]
            ruled[row, others] = -torch.inf
        return ruled


def test_a_prompt_is_there_before_the_others_have_ended() -> None:
    engine, policy = live("one batch"), tiny_policy()
    rule = Ending(policy.text.end)
    sampling = Sampling(1.0, 9, (rule,))
    arriving = engine.as_finished([torch.tensor([4]), torch.tensor([5])], sampling, 2, numbers())
    place, (first, second) = next(arriving)
    assert (place, first.stopped, second.stopped) == (1, True, True)
    assert len(rule.lengths) == 1
    ((place, group),) = arriving
    assert (place, longest(group), len(rule.lengths)) == (0, 9, 9)


def modes() -> tuple[bool, bool, bool]:
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")


def reading(engine: Engine) -> Iterator[tuple[bool, bool, bool]]:
    return (modes() for _ in engine.as_finished(PROMPTS, LONG, 2, numbers()))


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "scripted"])
@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_modes_of_torch_do_not_leak_to_who_reads(name: str, precision: torch.dtype | None) -> None:
    engine, policy = ENGINES[name](), tiny_policy()
    policy.autocast = precision
    engine.load(policy, 0)
    assert set(reading(engine)) == {(True, False, False)}
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert set(reading(engine)) == {(False, False, True)}
    unread = reading(engine)
    next(unread)
    assert modes() == (True, False, False)
    unread.close()
    assert modes() == (True, False, False)


def test_what_the_reader_does_meanwhile_is_not_the_time_of_writing() -> None:
    engine, watch = live("one batch"), Stopwatch()
    with watching(watch):
        for _ in engine.as_finished(PROMPTS, LONG, 2, numbers()):
            assert not watch.within
            with phase("verify"):
                pass
    assert {name for name, seconds in watch.take().items() if seconds > 0} == {"prefill", "decode", "verify"}
