"""A corpus states its model's size; what a spec says goes before it."""

from types import SimpleNamespace

from posttrain.pretraining.architecture import Shape
from posttrain.pretraining.corpora import authors
from posttrain.pretraining.pretrain import PretrainSpec, size_of
from posttrain.pretraining.size import Size


def test_a_corpus_without_a_size_has_the_default():
    assert size_of(PretrainSpec("somewhere"), SimpleNamespace()) == Size()


def test_the_spec_goes_before_the_corpus():
    assert size_of(PretrainSpec("somewhere", corpus="authors"), authors) == authors.SIZE
    changed = size_of(PretrainSpec("somewhere", corpus="authors", steps=7, shape=Shape(hidden=32)), authors)
    assert (changed.steps, changed.shape.hidden) == (7, 32)
    assert changed.documents_per_step == authors.SIZE.documents_per_step
