"""The tiny Qwen2 and its tokenizers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

END = "<|end|>"
PIECES = r" ?\p{L}+|\d{1,2}|\)| ?[^\s\p{L}\d)]+ ?|\s+"
"""Words, numbers below 100, and signs, each with what belongs to it; see :func:`byte_pair_tokenizer`."""


@dataclass(frozen=True)
class Shape:
    """The size of a model; the default has about 0.4 million parameters.

    Args:
        hidden, layers, heads, key_value_heads, feed_forward: as in Qwen2.
        context: longest sequence in tokens.
        initializer_range: standard deviation of the first weights. Not far below ``1 / sqrt(hidden)``, attention that
            copies is found after some thousands of documents; with far smaller ones it takes many times as many.
    """

    hidden: int = 96
    layers: int = 4
    heads: int = 4
    key_value_heads: int = 2
    feed_forward: int = 256
    context: int = 256
    initializer_range: float = 0.02


def new_model(shape: Shape, vocabulary: int, end: int, seed: int) -> Any:
    """A Qwen2 with random float32 weights and tied embeddings."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        intermediate_size=shape.feed_forward,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end,
        initializer_range=shape.initializer_range,
    )
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(config)


def number_tokenizer(alphabet: str) -> Any:
    """A tokenizer with a token for each of the numbers 0 … 99 and each character of ``alphabet``.

    Any run of digits can be written (100 is 10 and 0); other characters are an error.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {END: 0}
    for piece in (*map(str, range(100)), *alphabet):
        vocabulary.setdefault(piece, len(vocabulary))
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=END))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[1-9][0-9]|[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return _wrap(tokenizer)


def byte_pair_tokenizer(texts: Iterable[str], size: int, pieces: str = PIECES) -> Any:
    """A byte-level BPE trained on ``texts``, with at most ``size`` tokens; it can write any text.

    By default no token joins digits to anything else, so a number is the same tokens wherever it stands. A space after
    a sign belongs to the sign, so that a text which ends in one can be continued by the tokens of any other text; only
    after a closing bracket it does not, so that an expression can end there.

    Args:
        texts: what it is trained on.
        size: of the vocabulary, at most.
        pieces: a regular expression; what it matches may be one token, and no token reaches further.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pieces), "isolated"), bytes_only])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[END], initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _wrap(tokenizer)


def _wrap(tokenizer: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END, clean_up_tokenization_spaces=False
    )
