"""Scales and shifts: where they stand, what they become, and where they cannot go."""

import pytest
import torch
from torch import Tensor, nn
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from fixtures.folders import CONTEXT, VOCABULARY, bpe_tokenizer, float64_policy
from fixtures.models import weights
from posttrain.adapters.ssf import SCALE, SHIFT, Ssf
from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.text import Text
from tolerances import FLOAT32_RECORD, MODEL, ROUNDING, STANDARD_ERRORS

TOKENS = torch.arange(1, 11)[None]
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": None,
    "eos_token_id": 0,
    "initializer_range": 0.3,
}


def built(model, dtype: torch.dtype = torch.float64) -> Policy:
    return Policy(model.to(dtype), Text(bpe_tokenizer()))


def llama_with_biases() -> Policy:
    torch.manual_seed(0)
    return built(LlamaForCausalLM(LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True)))


def logits(policy: Policy) -> Tensor:
    with torch.no_grad():
        return policy.model(input_ids=TOKENS, use_cache=False).logits


def disturb(policy: Policy) -> None:
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.trainable():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=noise, dtype=parameter.dtype))


def test_scales_and_shifts_begin_as_published() -> None:
    policy = float64_policy("gpt2")
    Ssf().attach(policy, 0, {})
    drawn = {kind: [p for n, p in policy.named_trainable().items() if n.endswith(kind)] for kind in (SCALE, SHIFT)}
    for kind, mean in ((SCALE, 1.0), (SHIFT, 0.0)):
        numbers = torch.cat([p.detach() for p in drawn[kind]])
        error = STANDARD_ERRORS * 0.02 / len(numbers) ** 0.5
        assert float(numbers.mean()) == pytest.approx(mean, abs=error)
        assert float(numbers.std()) == pytest.approx(0.02, abs=error)


def test_gradients_are_sums_over_what_was_scaled() -> None:
    policy = float64_policy("qwen2")
    Ssf(start="identity").attach(policy, 0, {})
    layer = policy.model.get_submodule("model.layers.0.self_attn.q_proj")
    read, gradients = [], []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        read.append(inputs[0].detach())
        output.register_hook(gradients.append)

    layer.register_forward_hook(keep)
    policy.model(input_ids=TOKENS).logits.square().sum().backward()
    (gradient,) = gradients
    plain = read[0] @ layer.weight.detach().T + layer.bias.detach()
    torch.testing.assert_close(getattr(layer, SCALE).grad, (gradient * plain).sum((0, 1)), rtol=0, atol=MODEL)
    torch.testing.assert_close(getattr(layer, SHIFT).grad, gradient.sum((0, 1)), rtol=0, atol=MODEL)


def test_what_a_layer_becomes() -> None:
    """A scaled and shifted norm before a scaled and shifted layer: ``s (W (n + m) + b) + t``."""
    policy = float64_policy("qwen2")
    before = weights(policy)
    attached = Ssf().attach(policy, 0, {})
    disturb(policy)
    block = "model.layers.0"
    norm, query = (policy.model.get_submodule(f"{block}.{n}") for n in ("input_layernorm", "self_attn.q_proj"))
    weight, bias = (before[f"{block}.self_attn.q_proj.{n}"] for n in ("weight", "bias"))
    plain = attached.plain_weights()
    for name, expected in {
        "input_layernorm.weight": before[f"{block}.input_layernorm.weight"] * getattr(norm, SCALE),
        "self_attn.q_proj.weight": torch.diag(getattr(query, SCALE)) @ weight,
        "self_attn.q_proj.bias": getattr(query, SCALE) * (weight @ getattr(norm, SHIFT) + bias) + getattr(query, SHIFT),
    }.items():
        torch.testing.assert_close(plain[f"{block}.{name}"], expected.detach(), rtol=0, atol=ROUNDING)


def test_two_in_a_row_compose() -> None:
    """Scales multiply, and the first shift is scaled by the second scale."""
    policy = float64_policy("gpt2")
    before = weights(policy)
    name = "transformer.h.0.mlp.c_fc"
    drawn: list[tuple[Tensor, Tensor]] = []
    for seed in (0, 1):
        attached = Ssf(places=("linear",)).attach(policy, seed, {})
        layer = policy.model.get_submodule(name)
        drawn.append((getattr(layer, SCALE).detach().clone(), getattr(layer, SHIFT).detach().clone()))
        attached.merge()
    (first, shift), (second, added) = drawn
    after = weights(policy)
    expected = before[f"{name}.weight"] * (first * second)
    torch.testing.assert_close(after[f"{name}.weight"], expected, rtol=0, atol=ROUNDING)
    bias = before[f"{name}.bias"] * first * second + shift * second + added
    torch.testing.assert_close(after[f"{name}.bias"], bias, rtol=0, atol=ROUNDING)


def test_shifts_stand_where_the_model_has_a_bias_for_them() -> None:
    policy = float64_policy("llama")
    Ssf().attach(policy, 0, {})
    assert [n for n in policy.named_trainable() if n.endswith(SHIFT)] == [f"model.embed_tokens.{SHIFT}"]
    policy = llama_with_biases()
    Ssf().attach(policy, 0, {})
    unshifted = {n.removesuffix(f".{SCALE}") for n in policy.named_trainable() if n.endswith(SCALE)}
    unshifted -= {n.removesuffix(f".{SHIFT}") for n in policy.named_trainable() if n.endswith(SHIFT)}
    assert unshifted == {"model.norm"}


def test_a_llama_with_biases_takes_nearly_all_shifts_and_folds_them() -> None:
    policy = llama_with_biases()
    attached = Ssf().attach(policy, 0, {})
    disturb(policy)
    adapted = logits(policy)
    attached.merge()
    torch.testing.assert_close(logits(policy), adapted, rtol=0, atol=MODEL)


def test_norms_of_single_heads_are_scaled_too() -> None:
    torch.manual_seed(0)
    policy = built(Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=8)))
    attached = Ssf().attach(policy, 0, {})
    assert f"model.layers.0.self_attn.q_norm.{SCALE}" in policy.named_trainable()
    disturb(policy)
    adapted = logits(policy)
    attached.merge()
    torch.testing.assert_close(logits(policy), adapted, rtol=0, atol=MODEL)


def test_embeddings_that_are_also_the_head_are_left_out() -> None:
    for architecture, scaled in (("qwen2", False), ("gpt2", False), ("llama", True)):
        policy = float64_policy(architecture)
        Ssf().attach(policy, 0, {})
        assert any("embed" in name or "wte" in name for name in policy.named_trainable()) == scaled


def refused(policy: Policy, adapter: Ssf, sentence: str) -> None:
    """Refused, and the model is as it was."""
    before, computed = weights(policy), logits(policy)
    with pytest.raises(UserError, match=sentence):
        adapter.attach(policy, 0, {})
    assert weights(policy).keys() == before.keys()
    assert torch.equal(logits(policy), computed)
    assert all(p.requires_grad for p in policy.model.parameters())


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_a_shift_without_a_bias_is_refused(architecture: str) -> None:
    refused(float64_policy(architecture), Ssf(shift="all"), r"folds into a bias that .* use shift=foldable, or begin")


def test_places_that_a_model_does_not_have_are_refused() -> None:
    refused(float64_policy("qwen2"), Ssf(places=("embeddings",)), "has none of the places embeddings; name others")


def gemma() -> Policy:
    """Norms that multiply by one plus their weight."""
    torch.manual_seed(0)
    return built(Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=16)), torch.float32)


def test_a_norm_that_computes_something_else_is_refused_rather_than_folded_wrongly() -> None:
    refused(gemma(), Ssf(), r"do not fold into a Gemma2ForCausalLM.*stage\.adapter\.places=\[linear\]")
    policy = gemma()
    attached = Ssf(places=("linear",)).attach(policy, 0, {})
    disturb(policy)
    adapted = logits(policy)
    attached.merge()
    torch.testing.assert_close(logits(policy), adapted, rtol=FLOAT32_RECORD, atol=FLOAT32_RECORD)


def test_half_precision_stays_half_precision() -> None:
    policy = float64_policy("gpt2")
    Ssf().attach(policy, 0, {})
    seen: list[torch.dtype] = []
    layer = policy.model.get_submodule("transformer.h.0.mlp.c_fc")
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    policy.model.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        policy.model(input_ids=TOKENS)
    assert seen == [torch.bfloat16]
