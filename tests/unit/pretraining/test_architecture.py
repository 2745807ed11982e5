"""First weights are as wide as the shape says, and tokens stay within the pieces that may be one."""

import pytest

from posttrain.pretraining.architecture import PIECES, Shape, byte_pair_tokenizer, new_model
from posttrain.text import Text

TEXTS = ["call: find(city='a', day='b')\n"] * 50


@pytest.mark.parametrize("width", [0.02, 0.08])
def test_first_weights_are_as_wide_as_the_shape_says(width):
    model = new_model(Shape(hidden=64, layers=1, initializer_range=width), vocabulary=50, end=0, seed=0)
    weights = model.model.layers[0].mlp.up_proj.weight
    assert weights.std().item() == pytest.approx(width, rel=0.05)


def test_no_token_reaches_beyond_a_piece():
    plain, joined = (Text(byte_pair_tokenizer(TEXTS, 400, pieces)) for pieces in (PIECES, r" ?\p{L}+='?|" + PIECES))
    assert len(plain.encode("city='")) == 2
    assert len(joined.encode("city='")) == 1
    assert plain.decode(plain.encode(TEXTS[0])) == joined.decode(joined.encode(TEXTS[0])) == TEXTS[0]
