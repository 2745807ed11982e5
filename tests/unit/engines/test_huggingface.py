"""The sampler against full forward passes: same numbers, whatever is cut, padded or shared."""

import pytest
import torch
from torch import Tensor

from fixtures.models import Bigrams, bigram_policy, tiny_policy, weights
from fixtures.sequences import sequence
from posttrain.batching import collate
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.sampling import Completion, Sampling
from posttrain.types import Origin
from tolerances import FLOAT32_RECORD

PROMPTS = [torch.tensor(p) for p in ([5], [3, 9, 4, 7, 2], [6, 6, 8], [2, 3, 4, 5, 6, 7, 8, 9], [11, 12])]
GREEDY = Sampling(temperature=0, max_new_tokens=12)


def write(
    policy: Policy, prompts: list[Tensor], sampling: Sampling, count: int = 3, rows_per_batch: int = 512, seed: int = 0
) -> list[list[Completion]]:
    engine = HuggingFaceEngine(rows_per_batch)
    engine.load(policy, version=0)
    return engine.generate(prompts, sampling, count, torch.Generator().manual_seed(seed))


def flat(groups: list[list[Completion]]) -> list[list[int]]:
    return [c.tokens.tolist() for group in groups for c in group]


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
def test_recorded_logprobs_are_those_of_a_training_pass(policy: Policy, temperature: float) -> None:
    groups = write(policy, PROMPTS, Sampling(temperature, 12))
    rows = [
        sequence(
            [*prompt.tolist(), *c.tokens.tolist()],
            [Origin.PROMPT] * len(prompt) + [Origin.SAMPLED] * len(c.tokens),
            temperature=temperature,
        )
        for prompt, group in zip(PROMPTS, groups)
        for c in group
    ]
    batch = collate(rows, 0, policy.device)
    with torch.no_grad():
        logprobs = Forward(policy, batch, batch.origin == int(Origin.SAMPLED)).logprobs
    recorded = [c.logprobs for group in groups for c in group]
    for row, values, known in zip(rows, logprobs, recorded):
        again = values[: len(row.tokens)][row.origin == int(Origin.SAMPLED)]
        torch.testing.assert_close(again.float(), known, rtol=0, atol=FLOAT32_RECORD)


def test_greedy_is_the_argmax_of_a_full_pass_at_every_step(policy: Policy) -> None:
    for prompt, (completion,) in zip(PROMPTS, write(policy, PROMPTS, GREEDY, 1)):
        tokens = prompt
        for token, logprob in zip(completion.tokens, completion.logprobs):
            with torch.no_grad():
                logits = policy.model(input_ids=tokens[None], use_cache=False).logits[0, -1]
            assert int(token) == int(logits.argmax())
            assert float(logprob) == pytest.approx(float(torch.log_softmax(logits, -1).max()), abs=FLOAT32_RECORD)
            tokens = torch.cat([tokens, token[None]])


@pytest.mark.parametrize("rows_per_batch", [1, 3, 6, 7])
def test_the_cut_into_batches_does_not_change_what_is_sampled(policy: Policy, rows_per_batch: int) -> None:
    sampling = Sampling(1.0, 12)
    whole, cut = (write(policy, PROMPTS, sampling, 3, size) for size in (512, rows_per_batch))
    assert flat(whole) == flat(cut)


def test_the_samples_differ_within_a_group_and_between_seeds(policy: Policy) -> None:
    sampling = Sampling(1.0, 12)
    first = flat(write(policy, PROMPTS, sampling))
    assert len(set(map(tuple, first))) == len(first)
    assert first != flat(write(policy, PROMPTS, sampling, seed=1))
    assert first == flat(write(policy, PROMPTS, sampling))


def test_equal_prompts_of_one_call_get_their_own_samples(policy: Policy) -> None:
    first, second = write(policy, [PROMPTS[0]] * 2, Sampling(1.0, 12))
    assert not set(map(tuple, flat([first]))) & set(map(tuple, flat([second])))


def test_padding_on_the_left_changes_nothing(policy: Policy) -> None:
    together = write(policy, PROMPTS, GREEDY, 1)
    for prompt, group in zip(PROMPTS, together):
        (alone,) = write(policy, [prompt], GREEDY, 1)
        assert flat([alone]) == flat([group])
        torch.testing.assert_close(alone[0].logprobs, group[0].logprobs, rtol=0, atol=FLOAT32_RECORD)


def ending_table() -> Tensor:
    """Token 1 is followed by 2, 2 by 3, 3 by the end (token 0), everything else by 1, almost surely."""
    table = torch.full((5, 5), -30.0, dtype=torch.float64)
    for before, after in ((1, 2), (2, 3), (3, 0), (0, 1), (4, 1)):
        table[before, after] = 0.0
    return table


class CachelessBigrams(Bigrams):
    """Bigrams that accept what an engine passes; they need no cache because they look at one token only."""

    def __getattr__(self, name: str) -> object:
        found = super().__getattr__(name)
        if name != "base_model":
            return found
        return lambda input_ids, **ignored: found(input_ids, use_cache=False)


def cacheless(monkeypatch: pytest.MonkeyPatch, table: Tensor) -> Policy:
    policy = bigram_policy(table)
    policy.model.__class__ = CachelessBigrams
    monkeypatch.setattr("transformers.DynamicCache", lambda config: NoCache())
    return policy


class NoCache:
    layers: tuple[object, ...] = ()


def test_the_end_token_is_written_and_ends_its_row_only(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = cacheless(monkeypatch, ending_table())
    groups = write(policy, [torch.tensor([2]), torch.tensor([4])], Sampling(1.0, 10), 2)
    assert flat(groups) == [[3, 0], [3, 0], [1, 2, 3, 0], [1, 2, 3, 0]]
    assert all(c.stopped for group in groups for c in group)


def test_a_row_that_runs_out_of_length_has_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = cacheless(monkeypatch, ending_table())
    ((short,), (exact,)) = write(policy, [torch.tensor([4]), torch.tensor([1])], Sampling(1.0, 3), 1)
    assert (short.tokens.tolist(), short.stopped) == ([1, 2, 3], False)
    assert (exact.tokens.tolist(), exact.stopped) == ([2, 3, 0], True)


def test_no_sequence_outgrows_the_context() -> None:
    policy = tiny_policy(context=10)
    prompts = [torch.tensor([5] * n) for n in (1, 6, 9)]
    lengths = [len(p) + len(c.tokens) for p, g in zip(prompts, write(policy, prompts, Sampling(1.0, 30), 8)) for c in g]
    assert max(lengths) == policy.context


def test_sampling_leaves_the_weights_alone_and_trainable(policy: Policy) -> None:
    before = weights(policy)
    write(policy, PROMPTS, Sampling(1.0, 4))
    assert all(torch.equal(before[name], value) for name, value in weights(policy).items())
    assert not any(p.is_inference() for p in policy.trainable())


def test_the_engine_writes_with_the_weights_as_they_are_now(policy: Policy) -> None:
    engine = HuggingFaceEngine()
    engine.load(policy, version=0)
    before = flat(engine.generate(PROMPTS, GREEDY, 1, torch.Generator()))
    with torch.no_grad():
        for ours, other in zip(policy.model.parameters(), tiny_policy(seed=1).model.parameters()):
            ours.copy_(other)
    engine.load(policy, version=1)
    assert engine.version == 1
    assert flat(engine.generate(PROMPTS, GREEDY, 1, torch.Generator())) == flat(
        write(tiny_policy(seed=1), PROMPTS, GREEDY, 1)
    )
    assert before != flat(engine.generate(PROMPTS, GREEDY, 1, torch.Generator()))


def test_generating_without_a_policy_is_refused() -> None:
    with pytest.raises(RuntimeError, match="load a policy"):
        HuggingFaceEngine().generate(PROMPTS, GREEDY, 1, torch.Generator())


class Forbid:
    """Never the token that the text ends with; remembers what it was shown."""

    def __init__(self) -> None:
        self.seen: list[list[list[int]]] = []

    def __call__(self, logits: Tensor, texts: list[Tensor]) -> Tensor:
        self.seen.append([text.tolist() for text in texts])
        last = torch.tensor([int(text[-1]) for text in texts])
        return logits.scatter(1, last[:, None], -torch.inf)


def test_rules_see_the_whole_text_of_every_row_and_change_what_is_written(policy: Policy) -> None:
    rule = Forbid()
    groups = write(policy, PROMPTS, Sampling(1.0, 6, rules=(rule,)), 2)
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            text = [*prompt.tolist(), *completion.tokens.tolist()]
            assert all(a != b for a, b in zip(text[len(prompt) - 1 :], text[len(prompt) :]))
            assert bool(completion.logprobs.isfinite().all())
    assert sorted(rule.seen[0]) == sorted(p.tolist() for p in PROMPTS for _ in range(2))
    assert all(len(text) >= 2 for texts in rule.seen[1:] for text in texts)


def test_logprobs_are_those_after_the_rules(policy: Policy) -> None:
    ((only,),) = write(policy, [PROMPTS[0]], Sampling(0.8, 1, rules=(Forbid(),)), 1)
    with torch.no_grad():
        logits = policy.model(input_ids=PROMPTS[0][None]).logits[0, -1]
    logits[PROMPTS[0][-1]] = -torch.inf
    expected = torch.log_softmax(logits / 0.8, -1)[only.tokens[0]]
    assert float(only.logprobs[0]) == pytest.approx(float(expected), abs=FLOAT32_RECORD)


def test_a_rule_that_changes_nothing_changes_nothing(policy: Policy) -> None:
    plain = write(policy, PROMPTS, Sampling(1.0, 8))
    assert flat(write(policy, PROMPTS, Sampling(1.0, 8, rules=(lambda logits, texts: logits,)))) == flat(plain)


@pytest.mark.parametrize("tokens_per_batch", [1, 30, 70])
def test_a_budget_of_tokens_changes_nothing_but_the_batches(policy: Policy, tokens_per_batch: int) -> None:
    engine = HuggingFaceEngine(tokens_per_batch=tokens_per_batch)
    engine.load(policy, 0)
    groups = engine.generate(PROMPTS, Sampling(1.0, 12), 3, torch.Generator().manual_seed(0))
    assert flat(groups) == flat(write(policy, PROMPTS, Sampling(1.0, 12)))
