"""Where value-guided decoding coincides with something else, on a vocabulary small enough to write every text down."""

import itertools
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fixtures.characters import VOCABULARY
from fixtures.models import random_table, tiny_policy
from posttrain.decoding.transfer_q import Immediate, Indirect, LookAhead, ValueGuided
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.engines.scripted import ScriptedEngine
from posttrain.policy import Policy
from posttrain.sampling import Sampling
from posttrain.text import Text
from tolerances import MODEL, ROUNDING, VISIBLE

LETTERS, DEPTH = "abc", 3
CONTINUATIONS = ["".join(letters) for letters in itertools.product(LETTERS, repeat=DEPTH)]
START = "1="


def target(text: str) -> float:
    """Delayed: a bonus where the last letter repeats the first one after the prompt; a decoy for every b."""
    written = text.removeprefix(START)
    return 2.0 * (len(written) > 1 and written[-1] == written[0]) + 0.3 * written.count("b")


def other(text: str) -> float:
    """The target with its clause turned around."""
    written = text.removeprefix(START)
    return 2.0 * (len(written) > 1 and written[-1] != written[0]) + 0.3 * written.count("b")


def on_each(score: Callable[[str], float]) -> Callable[[Sequence[str]], list[float]]:
    return lambda texts: [score(text) for text in texts]


def multiplicities(seed: int = 0) -> list[int]:
    """How often each continuation is written: the aligned model's distribution in units of one rollout."""
    return torch.randint(1, 5, (len(CONTINUATIONS),), generator=torch.Generator().manual_seed(seed)).tolist()


def enumerating(text: Text, counts: list[int]) -> ScriptedEngine:
    """An engine whose completions of a prompt are all continuations, each as often as ``counts`` says."""
    script = [words for words, count in zip(CONTINUATIONS, counts) for _ in range(count)]
    return ScriptedEngine(text, lambda prompt, index: script[index])


def candidates(text: Text) -> list[Tensor]:
    return [text.encode(START + letter) for letter in LETTERS]


def look_ahead(text: Text, counts: list[int], **settings) -> LookAhead:
    chosen = {"score": on_each(target), "tokens": DEPTH, "rollouts": sum(counts), "temperature": 1.0}
    return LookAhead(enumerating(text, counts), text, **{**chosen, **settings})


def mean_under(weights: list[float], letter: str, score: Callable[[str], float]) -> float:
    values = [score(START + letter + words) for words in CONTINUATIONS]
    return sum(w * v for w, v in zip(weights, values)) / sum(weights)


def test_direct_is_the_expected_reward_under_the_aligned_model(text: Text) -> None:
    counts = multiplicities()
    expected = [mean_under(counts, letter, target) for letter in LETTERS]
    assert look_ahead(text, counts)(candidates(text)).tolist() == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_indirect_is_the_expected_reward_under_the_model_aligned_with_the_target(text: Text, beta: float) -> None:
    """With ``rho_other = rho exp(r_other / beta)`` written, values are those of ``rho exp(r / beta)``, exactly."""
    counts = multiplicities()
    expected = []
    for letter in LETTERS:
        texts = [START + letter + words for words in CONTINUATIONS]
        base = [count * math.exp(-other(t) / beta) for count, t in zip(counts, texts)]
        aligned = [weight * math.exp(target(t) / beta) for weight, t in zip(base, texts)]
        expected.append(mean_under(aligned, letter, target))
    estimate = Indirect(on_each(other), beta)
    values = look_ahead(text, counts, estimate=estimate)(candidates(text))
    assert values.tolist() == pytest.approx(expected, abs=ROUNDING)
    assert values.tolist() != pytest.approx(look_ahead(text, counts)(candidates(text)).tolist(), abs=VISIBLE)


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_reweighting_one_tilt_gives_the_other(beta: float) -> None:
    texts = [START + words for words in CONTINUATIONS]
    base = torch.softmax(random_table(len(texts), seed=1)[0], -1)
    r, r_other = (torch.tensor([score(t) for t in texts], dtype=torch.float64) for score in (target, other))
    written = base * (r_other / beta).exp()
    once_more = (written / written.sum()) * ((r - r_other) / beta).exp()
    aligned = base * (r / beta).exp()
    torch.testing.assert_close(once_more / once_more.sum(), aligned / aligned.sum(), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("weighting", ["self_normalised", "unnormalised"])
def test_indirect_with_the_target_itself_is_direct(text: Text, weighting: str) -> None:
    counts = multiplicities()
    estimate = Indirect(on_each(target), 0.5, weighting)
    indirect, direct = look_ahead(text, counts, estimate=estimate), look_ahead(text, counts)
    torch.testing.assert_close(indirect(candidates(text)), direct(candidates(text)), rtol=0, atol=ROUNDING)


def test_of_one_rollout_the_unnormalised_value_is_the_weighted_reward(text: Text) -> None:
    engine = ScriptedEngine(text, lambda prompt, index: "aba")
    value = LookAhead(engine, text, on_each(target), 3, estimate=Indirect(on_each(other), 2.0, "unnormalised"))
    expected = [math.exp((target(t) - other(t)) / 2) * target(t) for t in (f"{START}{x}aba" for x in LETTERS)]
    assert value(candidates(text)).tolist() == pytest.approx(expected, abs=ROUNDING)


def test_without_looking_ahead_it_is_args(text: Text) -> None:
    blind = LookAhead(enumerating(text, multiplicities()), text, on_each(target), tokens=0)
    args = Immediate(text, on_each(target))
    assert torch.equal(blind(candidates(text)), args(candidates(text)))
    assert args(candidates(text)).tolist() == [target(START + letter) for letter in LETTERS]
    assert not torch.equal(args(candidates(text)), look_ahead(text, multiplicities())(candidates(text)))


def engine_of(policy: Policy) -> HuggingFaceEngine:
    engine = HuggingFaceEngine()
    engine.load(policy, version=0)
    return engine


def test_looking_ahead_with_the_base_model_is_controlled_decoding(text: Text) -> None:
    """The value is the reward of what the base model itself writes from the candidate on."""
    base = engine_of(tiny_policy())
    values = LookAhead(base, text, on_each(target), tokens=4)(candidates(text))
    for tokens, value in zip(candidates(text), values):
        ((completion,),) = base.generate([tokens], Sampling(0, 4), 1, torch.Generator())
        assert float(value) == target(text.verbatim(torch.cat([tokens, completion.tokens])).removesuffix("<eos>"))


class Valued:
    """Values by the candidate token."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = values

    def __call__(self, texts: Sequence[Tensor]) -> Tensor:
        return torch.tensor([self.values[int(text[-1])] for text in texts], dtype=torch.float64)


NUMBERS = st.lists(st.floats(-3, 3), min_size=6, max_size=6)
HERE = [torch.tensor([3, 4])]


def tilted(logits: Tensor, values: Sequence[float], candidates: int, alpha: float) -> Tensor:
    return torch.softmax(ValueGuided(Valued(values), candidates, alpha)(logits[None], HERE)[0], -1)


@given(logits=NUMBERS, values=NUMBERS, alpha=st.sampled_from([0.3, 1.0, 5.0]))
def test_over_the_whole_vocabulary_it_is_the_exact_tilt(logits: list[float], values: list[float], alpha: float) -> None:
    base = torch.tensor(logits, dtype=torch.float64)
    expected = torch.softmax(base, -1) * (torch.tensor(values, dtype=torch.float64) / alpha).exp()
    torch.testing.assert_close(tilted(base, values, 6, alpha), expected / expected.sum(), rtol=0, atol=ROUNDING)


@given(logits=NUMBERS, values=NUMBERS, candidates=st.integers(1, 6), alpha=st.sampled_from([0.3, 1.0, 5.0]))
def test_a_token_diverges_from_the_base_by_at_most_the_range_of_values_over_alpha(
    logits: list[float], values: list[float], candidates: int, alpha: float
) -> None:
    base = torch.tensor(logits, dtype=torch.float64)
    policy = tilted(base, values, candidates, alpha)
    kept = policy > 0
    reference = torch.where(kept, base, -math.inf).softmax(-1)
    divergence = float((policy[kept] * (policy[kept].log() - reference[kept].log())).sum())
    worth = torch.tensor(values)[kept]
    assert divergence <= float(worth.max() - worth.min()) / alpha + MODEL


@given(logits=NUMBERS, values=NUMBERS, constant=st.sampled_from([-5.0, 2.5]))
def test_adding_to_every_reward_changes_nothing(logits: list[float], values: list[float], constant: float) -> None:
    base = torch.tensor(logits, dtype=torch.float64)
    moved = tilted(base, [value + constant for value in values], 4, 0.5)
    torch.testing.assert_close(moved, tilted(base, values, 4, 0.5), rtol=0, atol=MODEL)


@given(logits=NUMBERS, values=NUMBERS)
def test_raw_logits_and_log_probabilities_choose_alike(logits: list[float], values: list[float]) -> None:
    base = torch.tensor(logits, dtype=torch.float64)
    torch.testing.assert_close(
        tilted(torch.log_softmax(base, -1), values, 6, 0.5), tilted(base, values, 6, 0.5), rtol=0, atol=MODEL
    )


@given(values=NUMBERS)
def test_the_penalty_decides_between_the_base_model_and_the_best_value(values: list[float]) -> None:
    base = torch.tensor([1.0, 0.9, 0.8, -1.0, -2.0, -3.0], dtype=torch.float64)
    anything = tilted(base, values, 3, math.inf)
    torch.testing.assert_close(anything[:3], torch.softmax(base[:3], -1), rtol=0, atol=ROUNDING)
    assert anything[3:].tolist() == [0.0] * 3
    chosen = int(tilted(base, values, 3, 1e-9).argmax())
    assert values[chosen] >= max(values[:3]) - MODEL


def write(rules: tuple[ValueGuided, ...], temperature: float) -> list[list[int]]:
    prompts = [torch.tensor([5, 9, 4]), torch.tensor([7])]
    groups = engine_of(tiny_policy()).generate(
        prompts, Sampling(temperature, 8, rules), 3, torch.Generator().manual_seed(0)
    )
    return [c.tokens.tolist() for group in groups for c in group]


def test_with_one_candidate_it_is_the_greedy_base_model() -> None:
    guided = ValueGuided(Valued([7.0 * (t % 3) for t in range(VOCABULARY)]), candidates=1)
    assert write((guided,), 1.0) == write((guided,), 0.0) == write((), 0.0)


def test_with_an_infinite_penalty_and_every_candidate_it_is_sampling_from_the_base_model() -> None:
    indifferent = ValueGuided(Valued([7.0 * (t % 3) for t in range(VOCABULARY)]), VOCABULARY, math.inf)
    assert write((indifferent,), 1.0) == write((), 1.0)


def expected_reward(base: Tensor, choose: Callable[[str, Tensor], Tensor], depth: int) -> float:
    """Of all texts of ``depth`` letters, drawn letter by letter from ``choose(text, base logits)``."""
    reached = {"": 1.0}
    for _ in range(depth):
        reached = {
            words + letter: chance * float(p)
            for words, chance in reached.items()
            for letter, p in zip(LETTERS, choose(words, base[LETTERS.find(words[-1:]) if words else 0]))
        }
    return sum(chance * target(START + words) for words, chance in reached.items())


def test_a_delayed_reward_needs_looking_ahead() -> None:
    """Exact values of all three, the same penalty: the aligned model's look-ahead, the base model's, and none."""
    base, depth, beta, alpha = random_table(3, seed=3), 4, 0.5, 0.5

    def chance(words: str) -> float:
        rows = [LETTERS.find(before) for before in LETTERS[0] + words[:-1]]
        return math.prod(float(torch.softmax(base[row], -1)[LETTERS.find(w)]) for row, w in zip(rows, words))

    every = ["".join(letters) for letters in itertools.product(LETTERS, repeat=depth)]
    plain = {words: chance(words) for words in every}
    aligned = {words: p * math.exp(target(START + words) / beta) for words, p in plain.items()}

    def value(under: dict[str, float], begun: str) -> float:
        rows = [(p, target(START + words)) for words, p in under.items() if words.startswith(begun)]
        return sum(p * r for p, r in rows) / sum(p for p, _ in rows)

    def guided(worth: Callable[[str], float]) -> float:
        def choose(words: str, logits: Tensor) -> Tensor:
            values = [worth(words + letter) for letter in LETTERS]
            rule = ValueGuided(lambda texts: torch.tensor(values), 3, alpha)
            return torch.softmax(rule(logits[None], [torch.tensor([0])])[0], -1)

        return expected_reward(base, choose, depth)

    sampled = expected_reward(base, lambda words, logits: torch.softmax(logits, -1), depth)
    transfer = guided(lambda begun: value(aligned, begun))
    controlled = guided(lambda begun: value(plain, begun))
    immediate = guided(lambda begun: target(START + begun))
    assert sampled < immediate < controlled < transfer
