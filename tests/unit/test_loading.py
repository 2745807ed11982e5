"""Policies from folders: float32 weights whatever was stored, and a sentence where there is no model."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BloomConfig, BloomForCausalLM, Gemma2Config, Gemma2ForCausalLM

from fixtures.folders import CONTEXT, VOCABULARY, model_folder
from fixtures.training import CPU
from posttrain.errors import UserError
from posttrain.loading import load_policy
from posttrain.runtime import LocalRuntime, local_runtime


def stored_types(folder: Path) -> set[str]:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 - no mapping


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_weights_are_float32_whatever_was_stored(tmp_path: Path, stored: torch.dtype) -> None:
    folder = model_folder(tmp_path, "llama", stored)
    assert stored_types(folder) == {"F32" if stored is torch.float32 else "BF16"}
    policy = load_policy(folder, CPU)
    assert {p.dtype for p in policy.trainable()} == {torch.float32}
    assert len(policy.trainable()) == len(list(policy.model.parameters()))


def test_the_type_that_was_stored_is_what_a_plain_load_would_give(tmp_path: Path) -> None:
    plain = AutoModelForCausalLM.from_pretrained(model_folder(tmp_path, "llama", torch.bfloat16))
    assert {p.dtype for p in plain.parameters()} == {torch.bfloat16}


def test_the_values_are_those_that_were_stored(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "llama", torch.bfloat16)
    plain = AutoModelForCausalLM.from_pretrained(folder)
    for ours, theirs in zip(load_policy(str(folder), CPU).model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs.float())


def test_the_runtimes_precision_becomes_the_policys(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "llama")
    policy = load_policy(folder, LocalRuntime(torch.device("cpu"), torch.bfloat16))
    assert policy.autocast is torch.bfloat16
    assert {p.dtype for p in policy.trainable()} == {torch.float32}


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no model folder"):
        load_policy(tmp_path / "nothing", CPU)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_lacks_something(tmp_path: Path, missing: str) -> None:
    folder = model_folder(tmp_path, "llama")
    (folder / missing).unlink()
    with pytest.raises(UserError, match="no model folder"):
        load_policy(folder, CPU)


@pytest.mark.parametrize("content", ["", "{", "{}", json.dumps({"model_type": "no such thing"})])
def test_a_configuration_that_means_nothing(tmp_path: Path, content: str) -> None:
    folder = model_folder(tmp_path, "llama")
    (folder / "config.json").write_text(content)
    with pytest.raises(UserError, match=str(folder.name)):
        load_policy(folder, CPU)


def test_weights_that_are_no_weights(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "llama")
    (folder / "model.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(UserError, match=str(folder.name)):
        load_policy(folder, CPU)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_weights_of_which_one_is_missing_are_not_made_up(tmp_path: Path, architecture: str) -> None:
    folder = model_folder(tmp_path, architecture)
    weights = load_file(folder / "model.safetensors")
    weights.pop(sorted(weights)[3])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="lacks weights"):
        load_policy(folder, CPU)


def test_weights_of_another_shape(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))
    with pytest.raises(UserError, match=str(folder.name)):
        load_policy(folder, CPU)


def test_a_tokenizer_that_is_no_tokenizer(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "llama")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=str(folder.name)):
        load_policy(folder, CPU)


def test_the_tokenizer_is_the_one_that_was_saved(tmp_path: Path) -> None:
    """transformers rebuilds the usual tokenizer of the model type unless it is told to read tokenizer.json."""
    from posttrain.pretraining.architecture import Shape, new_model
    from posttrain.pretraining.corpora import compact

    tokenizer = compact.tokenizer()
    model = new_model(Shape(hidden=16, layers=1, heads=2, key_value_heads=1, feed_forward=16), len(tokenizer), 0, 0)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_policy(tmp_path, local_runtime("float32"))
    text = "16+77=93\nabc: 44 19 100\n"
    assert loaded.text.encode(text).tolist() == tokenizer(text)["input_ids"]
    assert loaded.text.decode(loaded.text.encode(text)) == text
    assert loaded.text.end == tokenizer.eos_token_id


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_a_model_without_fused_attention_is_loaded_all_the_same(tmp_path: Path, precision: torch.dtype | None) -> None:
    folder = model_folder(tmp_path, "llama")
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": CONTEXT}
    Gemma2ForCausalLM(Gemma2Config(**sizes, **heads, eos_token_id=0)).save_pretrained(folder)
    policy = load_policy(folder, LocalRuntime(torch.device("cpu"), precision))
    assert policy.model.config._attn_implementation == "eager"


def test_a_model_that_states_no_longest_sequence_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "llama")
    config = BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=1, n_head=2, eos_token_id=0)
    BloomForCausalLM(config).save_pretrained(folder)
    with pytest.raises(UserError, match="BloomForCausalLM is not supported"):
        load_policy(folder, CPU)


def test_weights_that_a_diverged_run_left_are_called_what_they_are(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "llama")
    weights = load_file(folder / "model.safetensors")
    lost = {name: w * float("inf") for name, w in weights.items()}
    save_file(lost, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="not finite"):
        load_policy(folder, CPU)


def test_a_gpu_that_only_emulates_bfloat16_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert local_runtime("auto", "cuda").autocast is None
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert local_runtime("auto", "cuda").autocast is torch.bfloat16
