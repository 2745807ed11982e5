"""From a folder in Hugging Face format to a policy with float32 weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from posttrain.blocks import blocks
from posttrain.compiled import CompiledLayers
from posttrain.errors import UserError
from posttrain.model_folder import check_model, check_model_folder, located
from posttrain.policy import Policy
from posttrain.prefixes import choose_attention
from posttrain.runtime import LocalRuntime
from posttrain.text import Text


def load_policy(folder: str | Path, runtime: LocalRuntime) -> Policy:
    """Load model and tokenizer; the weights become float32 whatever type the files hold.

    transformers 5 loads the stored type by default, and training in bfloat16 weights loses most small updates.

    Raises:
        UserError: the folder is no model that can be trained here, or its layers cannot be compiled, where that is
            asked for.
    """
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    folder = Path(folder)
    check_model_folder(folder)
    try:
        model: Any
        model, found = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
        )
        # Not AutoTokenizer: it rebuilds the tokenizer that the model type usually has, and tokenizer.json is the truth.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder} cannot be loaded as a causal language model: {_first_line(error)}") from error
    if found["missing_keys"]:  # they would be random numbers
        raise UserError(f"{folder} lacks weights of its model, {sorted(found['missing_keys'])[0]} among them")
    model = model.to(runtime.device)
    choose_attention(model, runtime.autocast)
    policy = Policy(model, Text(tokenizer), runtime.autocast)
    if runtime.layers == "compiled":
        policy.training_pass = CompiledLayers(_layers(policy))
    return policy


def _layers(policy: Policy) -> list[nn.Module]:
    try:
        return list(blocks(policy))
    except UserError as error:
        raise UserError(f"{error}; to train it, choose --layers eager") from error


def check_same_tokens(folder: str, policy: Policy) -> None:
    """Refuse a model whose probabilities are not those of the policy's tokens, before its weights are read.

    Args:
        folder: in Hugging Face format, or ``embedded``.
        policy: what it is going to be compared with.

    Raises:
        UserError: it is no model, has another tokenizer, or predicts another number of tokens.
    """
    from transformers import AutoConfig, PreTrainedTokenizerFast

    check_model(folder)
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(located(folder), local_files_only=True)
        width = int(AutoConfig.from_pretrained(located(folder), local_files_only=True).vocab_size)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder} cannot be loaded as a causal language model: {_first_line(error)}") from error
    if tokenizer.get_vocab() != policy.text.tokenizer.get_vocab():
        raise UserError(
            f"the model in {folder!r} has another tokenizer than the policy, so its probabilities are those of other "
            "tokens; choose a model of the same family"
        )
    ours = int(policy.model.config.vocab_size)
    if width != ours:
        raise UserError(
            f"the model in {folder!r} has {width} logits and the policy {ours}, so that their distributions cannot be "
            "compared; choose a model of the same family whose config.json has the same vocab_size"
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
