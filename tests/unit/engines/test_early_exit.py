"""Leaving early against full passes that are cut off by hand, and against the in-process engine at both ends."""

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from fixtures.folders import deep_policy
from posttrain.blocks import up_to
from posttrain.engines.early_exit import EarlyExitEngine
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.protocols import Engine
from posttrain.sampling import Completion, Sampling
from tolerances import FLOAT32_RECORD

ARCHITECTURES = pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
PROMPTS = [torch.tensor(p) for p in ([5], [3, 99, 4, 7, 2], [250, 6, 8])]
GREEDY, SAMPLED = Sampling(0, 10), Sampling(1.0, 10)
NEVER = 1.1


def write(engine: Engine, policy: Policy, sampling: Sampling, count: int = 1) -> list[Completion]:
    engine.load(policy, version=3)
    return [c for row in engine.generate(PROMPTS, sampling, count, torch.Generator().manual_seed(0)) for c in row]


def same(ours: list[Completion], theirs: list[Completion]) -> None:
    assert [c.tokens.tolist() for c in ours] == [c.tokens.tolist() for c in theirs]
    assert [c.stopped for c in ours] == [c.stopped for c in theirs]
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a.logprobs, b.logprobs, rtol=0, atol=FLOAT32_RECORD)


@ARCHITECTURES
@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_if_nothing_is_ever_certain_the_whole_model_writes(architecture: str, sampling: Sampling) -> None:
    policy, engine = deep_policy(architecture), EarlyExitEngine({1: NEVER, 2: NEVER})
    same(write(engine, policy, sampling, 2), write(HuggingFaceEngine(), policy, sampling, 2))
    assert engine.tokens_at[1] == engine.tokens_at[2] == 0
    assert engine.mean_depth == 4


@ARCHITECTURES
@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_if_everything_is_certain_the_smallest_model_writes(architecture: str, sampling: Sampling) -> None:
    policy, engine = deep_policy(architecture), EarlyExitEngine({3: 0.0, 2: 0.0})
    same(write(engine, policy, sampling, 2), write(HuggingFaceEngine(), up_to(policy, 2), sampling, 2))
    assert engine.mean_depth == 2


def by_hand(policy: Policy, prompt: Tensor, thresholds: dict[int, float], steps: int) -> tuple[list[int], list[int]]:
    """Greedy tokens and their depths, from whole passes of models that are cut off."""
    text, depths = prompt, []
    for _ in range(steps):
        for depth, threshold in (*thresholds.items(), (4, 0.0)):
            with torch.no_grad():
                p = up_to(policy, depth).model(input_ids=text[None], use_cache=False).logits[0, -1].softmax(-1)
            if float(p.max()) >= threshold:
                break
        text = torch.cat([text, p.argmax()[None]])
        depths.append(depth)
        if int(text[-1]) == policy.text.end:
            break
    return text[len(prompt) :].tolist(), depths


@ARCHITECTURES
def test_every_token_leaves_at_the_first_exit_that_is_certain(architecture: str) -> None:
    policy, thresholds = deep_policy(architecture), {1: 0.5, 3: 0.25}
    engine, depths = EarlyExitEngine(thresholds), []
    for prompt, completion in zip(PROMPTS, write(engine, policy, GREEDY)):
        tokens, left_at = by_hand(policy, prompt, thresholds, 10)
        assert completion.tokens.tolist() == tokens
        depths += left_at
    assert engine.tokens_at == {depth: depths.count(depth) for depth in (1, 3, 4)}
    assert len(set(depths)) > 1
    assert engine.mean_depth == sum(depths) / len(depths)


def test_rules_change_what_is_written() -> None:
    policy = deep_policy("qwen2")

    def only_nines(logits: Tensor, texts: list[Tensor]) -> Tensor:
        assert all(len(text) >= 1 for text in texts)
        return torch.full_like(logits, float("-inf")).index_fill(-1, torch.tensor([9]), 0.0)

    written = write(EarlyExitEngine({2: 0.5}), policy, Sampling(1.0, 4, (only_nines,)))
    assert all(c.tokens.tolist() == [9] * 4 for c in written)


def test_no_text_outgrows_the_context() -> None:
    policy = deep_policy("gpt2")
    for prompt, completion in zip(PROMPTS, write(EarlyExitEngine({1: 0.3}), policy, Sampling(1.0, 100))):
        assert len(prompt) + len(completion.tokens) <= policy.context
        assert completion.stopped or len(prompt) + len(completion.tokens) == policy.context


def test_it_writes_with_the_weights_as_they_are_now() -> None:
    policy, engine = deep_policy("llama"), EarlyExitEngine({2: 0.3})
    first = write(engine, policy, GREEDY)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(-1.3)
    same(write(engine, policy, GREEDY), write(EarlyExitEngine({2: 0.3}), policy, GREEDY))
    assert engine.version == 3
    assert [c.tokens.tolist() for c in first] != [c.tokens.tolist() for c in write(engine, policy, GREEDY)]


@pytest.mark.parametrize("thresholds", [{0: 0.5}, {1: -0.1}])
def test_exits_that_no_model_has_are_refused(thresholds: dict[int, float]) -> None:
    with pytest.raises(UserError, match="depths of at least 1"):
        EarlyExitEngine(thresholds)


def test_an_exit_behind_the_last_layer_but_one_is_refused() -> None:
    with pytest.raises(UserError, match="between 1 and 3"):
        EarlyExitEngine({4: 0.5}).load(deep_policy("qwen2"), 0)


def test_generating_without_a_policy_is_refused() -> None:
    with pytest.raises(RuntimeError, match="load a policy"):
        EarlyExitEngine({}).generate(PROMPTS, GREEDY, 1, torch.Generator())


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize("depth", [1, 2])
def test_the_first_layers_as_draft_leave_greedy_decoding_alone(architecture: str, depth: int) -> None:
    """Self-speculation: transformers lets the first layers guess and the whole model check."""
    policy = deep_policy(architecture)
    model: PreTrainedModel = policy.model
    for prompt, completion in zip(PROMPTS, write(HuggingFaceEngine(), policy, GREEDY)):
        drafted = model.generate(
            prompt[None],
            attention_mask=torch.ones_like(prompt)[None],
            max_new_tokens=10,
            do_sample=False,
            assistant_early_exit=depth,
            pad_token_id=policy.text.end,
            eos_token_id=policy.text.end,
        )
        assert drafted[0, len(prompt) :].tolist() == completion.tokens.tolist()
