"""Value-guided decoding: what is judged, what is looked ahead from, and what that costs."""

import math
from collections.abc import Sequence

import pytest
import torch

from fixtures.characters import character_text
from fixtures.models import tiny_policy
from posttrain.decoding.transfer_q import Immediate, Indirect, LookAhead, ValueGuided, scored
from posttrain.engines.counting import CountingEngine
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.engines.scripted import ScriptedEngine
from posttrain.sampling import Sampling
from posttrain.text import Text
from tolerances import ROUNDING


def count_of_a(texts: Sequence[str]) -> list[float]:
    return [float(text.count("a")) for text in texts]


class Listening:
    """A score that remembers what it was asked about."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __call__(self, texts: Sequence[str]) -> list[float]:
        self.heard += texts
        return [0.0] * len(texts)


def test_the_whole_text_is_judged_with_its_prompt_and_markers_but_not_its_end(text: Text) -> None:
    score = Listening()
    prompt = [text.end, *text.encode("1+1=").tolist()]
    Immediate(text, score)([torch.tensor([*prompt, *text.encode("2").tolist()]), torch.tensor([*prompt, text.end])])
    assert score.heard == ["<eos>1+1=2", "<eos>1+1="]


def test_looked_ahead_texts_are_judged_to_their_end(text: Text) -> None:
    score = Listening()
    engine = ScriptedEngine(text, lambda prompt, index: "ab"[index] * 3)
    LookAhead(engine, text, score, tokens=2, rollouts=2, temperature=1.0)([text.encode("1=c")])
    assert score.heard == ["1=caa", "1=cbb"]
    score.heard.clear()
    LookAhead(engine, text, score, tokens=9, rollouts=2, temperature=1.0)([text.encode("1=c")])
    assert score.heard == ["1=caaa", "1=cbbb"]


def test_a_finished_text_is_not_looked_ahead_from(text: Text) -> None:
    engine = CountingEngine(ScriptedEngine(text, lambda prompt, index: "aaa"))
    value = LookAhead(engine, text, count_of_a, tokens=3)
    finished = torch.cat([text.encode("1=a"), torch.tensor([text.end])])
    assert value([finished, text.encode("1=a"), finished]).tolist() == [1.0, 4.0, 1.0]
    assert engine.written.completions == 1
    assert value([finished]).tolist() == [1.0]
    assert engine.written.completions == 1


def test_the_cost_is_a_look_ahead_per_candidate_and_rollout(text: Text) -> None:
    engine = CountingEngine(ScriptedEngine(text, lambda prompt, index: "aaaaaa"))
    value = LookAhead(engine, text, count_of_a, tokens=4, rollouts=2, temperature=1.0)
    logits = torch.zeros(1, 20)
    logits[0, 2:5] = 1.0
    ValueGuided(value, candidates=3)(logits, [text.encode("1=")])
    written = engine.written
    assert (written.completions, written.tokens_read, written.tokens_written) == (6, 9, 24)
    assert written.tokens_passed == 9 + 24 - 6


def test_only_candidates_stay_possible_and_their_scores_are_logits_plus_values() -> None:
    text = character_text()
    logits = torch.tensor([[0.0, 0.0, 1.0, 3.0, 2.0]])
    rule = ValueGuided(lambda texts: torch.tensor([float(t[-1]) for t in texts]), candidates=2, alpha=0.5)
    assert rule(logits, [text.encode("1=")]).tolist() == [[-math.inf, -math.inf, -math.inf, 9.0, 10.0]]


def test_equal_texts_are_judged_once() -> None:
    score = Listening()
    assert scored(["a", "b", "a"], score).tolist() == [0.0] * 3
    assert score.heard == ["a", "b"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_no_number_stops(value: float) -> None:
    with pytest.raises(ValueError, match="the score of 'a' is"):
        scored(["a"], lambda texts: [value])


def test_guidance_raises_the_reward_of_what_is_written(text: Text) -> None:
    base, guide = HuggingFaceEngine(), HuggingFaceEngine()
    base.load(tiny_policy(), version=0)
    guide.load(tiny_policy(seed=2), version=0)
    prompts = [text.encode(p) for p in ("1=", "2+2=", "3=")]

    def mean_reward(*rules: ValueGuided) -> float:
        groups = base.generate(prompts, Sampling(1.0, 8, rules), 4, torch.Generator().manual_seed(0))
        return sum(count_of_a([text.decode(c.tokens) for group in groups for c in group])) / 12

    value = LookAhead(guide, text, count_of_a, tokens=2)
    gentle, strong = (mean_reward(ValueGuided(value, 5, alpha)) for alpha in (2.0, 0.2))
    assert mean_reward() < gentle < strong


def test_self_normalised_weights_are_relative_to_the_rollouts_of_the_candidate() -> None:
    estimate = Indirect(lambda texts: [0.0, 1.0, 0.0, 0.0], beta=0.5)
    scores = torch.tensor([[1.0, 3.0], [2.0, 2.0]], dtype=torch.float64)
    first, second = math.exp(1.0 / 0.5), math.exp((3.0 - 1.0) / 0.5)
    expected = [(first * 1.0 + second * 3.0) / (first + second), 2.0]
    assert estimate(["p", "q", "r", "s"], scores).tolist() == pytest.approx(expected, abs=ROUNDING)


def test_weights_of_large_rewards_do_not_overflow() -> None:
    estimate = Indirect(lambda texts: [0.0] * len(texts), beta=1e-3)
    assert estimate(["p", "q"], torch.tensor([[5.0, 4.0]], dtype=torch.float64)).tolist() == [5.0]


def test_sampled_look_aheads_repeat_with_their_seed(text: Text) -> None:
    engine = HuggingFaceEngine()
    engine.load(tiny_policy(), version=0)
    texts = [text.encode(words) for words in ("1=", "2+2=a", "b")]

    def values(seed: int) -> list[float]:
        value = LookAhead(engine, text, count_of_a, 6, rollouts=6, temperature=1.0, seed=seed)
        return value(texts).tolist()

    assert values(0) == values(0) != values(1)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"tokens": -1}, "tokens of at least 0"),
        ({"rollouts": 0}, "rollouts of at least 1"),
        ({"rollouts": 2}, "all alike"),
        ({"estimate": Indirect(count_of_a)}, "at least 2 rollouts"),
    ],
    ids=["tokens", "rollouts", "greedy rollouts", "estimate"],
)
def test_look_aheads_that_estimate_nothing_are_refused(text: Text, settings, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        LookAhead(HuggingFaceEngine(), text, count_of_a, **settings)


def test_settings_that_cannot_choose_are_refused(text: Text) -> None:
    value = Immediate(text, count_of_a)
    for settings, sentence in (
        ({"candidates": 0}, "candidates"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": -1.0}, "alpha"),
    ):
        with pytest.raises(ValueError, match=sentence):
            ValueGuided(value, **settings)
    with pytest.raises(ValueError, match="beta lies above 0"):
        Indirect(count_of_a, beta=0.0)
