"""What source says about methods and tasks is what Python says about them."""

import importlib
import inspect

import pytest

from posttrain.errors import UserError
from posttrain.settings import catalogue, docstrings
from posttrain.settings.building import build


@pytest.mark.parametrize("name", catalogue.method_names())
def test_arguments_and_defaults_read_from_source_are_those_of_the_function(name):
    recipe = importlib.import_module(f"posttrain.methods.{name}").recipe
    keywords = {p.name: p.default for p in inspect.signature(recipe).parameters.values() if p.kind == p.KEYWORD_ONLY}
    assert build(name, {}) == keywords
    assert list(catalogue.method(name).settings.fields) == list(keywords)


@pytest.mark.parametrize("name", catalogue.method_names())
def test_every_method_says_where_it_comes_from(name):
    method = catalogue.method(name)
    assert method.title.endswith(".")
    assert method.paper
    assert method.arxiv
    assert method.axes


def test_tasks_are_found_by_their_name():
    assert {"chain_sums", "countdown", "key_paths", "knights_and_knaves"} <= set(catalogue.tasks())
    assert list(catalogue.task("countdown").fields) == ["counts", "form", "largest_number", "largest_value"]


def test_a_protocol_stands_for_the_dataclasses_beside_it_that_have_its_members():
    assert list(catalogue.task("countdown").fields["form"].kind.parts) == ["authors_form", "compact_form"]


def test_union_through_an_alias_of_another_module():
    hints = catalogue.method("staged").settings.fields["hints"].kind
    assert list(hints.fields["hinted"].kind.parts) == ["steps", "fraction"]


@pytest.mark.parametrize(
    ("find", "name", "near"), [(catalogue.method, "utf", "uft"), (catalogue.task, "count", "countdown")]
)
def test_unknown_names_are_answered_with_the_nearest(find, name, near):
    with pytest.raises(UserError, match=f"did you mean '{near}'"):
        find(name)


def test_arguments_of_a_docstring():
    text = """Title.

    Args:
        low, high: ends of
            the interval.
        other: more.

    Returns:
        low: nothing.
    """
    assert docstrings.arguments(text) == {
        "low": "ends of the interval.",
        "high": "ends of the interval.",
        "other": "more.",
    }


def test_readable_joins_paragraphs_and_drops_markup():
    assert (
        docstrings.readable("A ``b``\nc.\n\nPaper: X\narXiv: 1\n\n:func:`d` e") == "A b c.\n\nPaper: X\narXiv: 1\n\nd e"
    )
