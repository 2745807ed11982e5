"""The models that are timed: Qwen2 with random weights, made once and loaded by every contestant from the same folder.

Three sizes for CPUs and one for GPUs, each with a vocabulary that suits it. No contestant can sample the
end-of-sequence token of these models, so that every completion has exactly the length that was asked for, without a
rule that would cost time: dimension 0 of the residual stream has the same positive value for every text (the embeddings
put it there and no layer adds to it), and the end-of-sequence row of the tied head answers it with a logit below -50.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.contestants.work import END, FIRST_CHARACTER

FOLDER = Path(__file__).parent / ".models"
CONTEXT = 2048


@dataclass(frozen=True)
class Size:
    """A model's shape; ``name`` is its number of parameters."""

    name: str
    width: int
    inner: int
    layers: int
    heads: int
    key_value_heads: int
    vocabulary: int


SIZES = {
    size.name: size
    for size in (
        Size("1M", 128, 384, 4, 4, 2, 1024),
        Size("10M", 384, 1024, 6, 6, 2, 4096),
        Size("100M", 768, 2048, 12, 12, 4, 32768),
        Size("0.5B", 896, 4864, 24, 14, 2, 151936),
    )
}


def model_folder(size: Size) -> Path:
    """The folder of the model, made if it is not there."""
    folder = FOLDER / f"{size.name}-{size.vocabulary}"
    if not (folder / "tokenizer.json").is_file():
        _make(size, folder)
    return folder


def _make(size: Size, folder: Path) -> None:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=size.vocabulary, hidden_size=size.width, intermediate_size=size.inner, num_hidden_layers=size.layers,
        num_attention_heads=size.heads, num_key_value_heads=size.key_value_heads, max_position_embeddings=CONTEXT,
        tie_word_embeddings=True, eos_token_id=END, pad_token_id=END, bos_token_id=None,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0] = 0.0
            layer.mlp.down_proj.weight[0] = 0.0
        model.model.embed_tokens.weight[:, 0] = 0.1
        model.model.embed_tokens.weight[END] = 0.0
        model.model.embed_tokens.weight[END, 0] = -1000.0
    model.save_pretrained(folder)
    _tokenizer(size.vocabulary).save_pretrained(folder)


def _tokenizer(vocabulary: int):
    """One token per character."""
    from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = {"<|end|>": END} | {chr(FIRST_CHARACTER + token): token for token in range(1, vocabulary)}
    inner = Tokenizer(WordLevel(words, unk_token="<|end|>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>", pad_token="<|end|>")
