"""The counter that keeps method files short."""

from fixtures.code_lines import code_lines

SOURCE = '''"""A docstring
of two lines."""

import os  # counted

# not counted
NAME = """
text
"""
"""Of a constant."""


def function(
    argument: int,
) -> str:
    """Docstring."""
    return (
        # not counted
        "a"
    )
'''


def test_docstrings_comments_and_blank_lines_are_no_code() -> None:
    assert code_lines(SOURCE) == 10
