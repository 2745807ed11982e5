r"""A normal form for written mathematical answers: two writings of it that agree are the same answer.

The rules are those of the string comparison that comes with the MATH data (Hendrycks et al., arXiv 2103.03874), as
UFT's reward uses it, with three repairs: a unit is removed only at the end (``12\text{ and }13`` is not 12), words
keep their text (``\text{Navin}`` and ``Navin`` agree), and thousands may be separated.
"""

from __future__ import annotations

import re

# Not after a backslash: two of them end a row of a matrix, whatever follows.
_SPACES = re.compile(r"(?<!\\)\\[,; ]|~")
_NEGATIVE_SPACE = re.compile(r"\s*(?<!\\)\\!\s*")
_DELIMITERS = re.compile(r"^(?:\$\$?|\\\(|\\\[)(.*?)(?:\$\$?|\\\)|\\\])$", re.DOTALL)
_BOXED = re.compile(r"^\\(?:boxed|fbox)\s*\{(.*)\}$", re.DOTALL)
_UNIT = re.compile(r"(?<=[0-9}a-z)])\s*\\(?:text|mbox|mathrm)\{\s+[^{}]*\}(?:\^\{?[0-9]\}?)?\s*$")
_WORDS = re.compile(r"\\(?:text|mbox|mathrm|textbf|textrm|mathbf)\s*\{([^{}]*)\}")
_DEGREES = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)|\\degree|°")
_PREFIX = re.compile(r"^[A-Za-z]{1,2}\s*(?:=|\\in\b)\s*(?=[^=]*$)")
_BARE_ARGUMENT = r"\s*([0-9A-Za-z]|\\(?:pi|theta)\b)"
_THOUSANDS = re.compile(r"^([-+]?[0-9]{1,3})((?:,[0-9]{3})+)(\.[0-9]+)?$")
_SLASH = re.compile(r"^(-?)([0-9]+)/([0-9]+)$")
_CHOICE = re.compile(r"^\(([A-Z])\)$")


def normal_form(text: str) -> str:
    """The normal form of an answer written in plain text or LaTeX."""
    text = _unwrapped(text.replace("\n", " ").strip())
    text = _SPACES.sub(" ", _NEGATIVE_SPACE.sub("", text)).replace("−", "-")
    text = re.sub(r"\\(?:left|right)(?![A-Za-z])", "", text)
    text = re.sub(r"\\[td]frac", r"\\frac", text)
    text = _DEGREES.sub("", _UNIT.sub("", text))
    text = re.sub(r"\\?[$%]", "", text).strip().rstrip(".").strip()
    text = _WORDS.sub(r"\1", text)
    text = _PREFIX.sub("", text)
    text = re.sub(r"([_^])\{([0-9A-Za-z])\}", r"\1\2", text)
    text = re.sub(r"\s+", "", _braced(_without_thousands(text)))
    return _number(text)


def _unwrapped(text: str) -> str:
    """Without the signs that only say "here is mathematics" or "here is the answer"."""
    for wrapper in (_DELIMITERS, _BOXED, _DELIMITERS):
        match = wrapper.match(text)
        if match and (wrapper is _DELIMITERS or _balanced(match[1])):
            text = match[1].strip()
    return text


def _balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0


def _braced(text: str) -> str:
    r"""``\frac12`` and ``\sqrt3`` with the braces that LaTeX allows one to leave out."""
    text = re.sub(r"\\frac" + _BARE_ARGUMENT + _BARE_ARGUMENT, r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac" + _BARE_ARGUMENT + r"\s*(?=\{)", r"\\frac{\1}", text)
    text = re.sub(r"(\\frac\s*\{[^{}]*\})" + _BARE_ARGUMENT, r"\1{\2}", text)
    return re.sub(r"\\sqrt" + _BARE_ARGUMENT, r"\\sqrt{\1}", text)


def _without_thousands(text: str) -> str:
    """``8,000`` is one number, ``45, 135`` is two: a space makes the difference."""
    match = _THOUSANDS.match(text.strip())
    return match[1] + match[2].replace(",", "") + (match[3] or "") if match else text


def _number(text: str) -> str:
    """A leading zero before a point, 0.5 and a/b as fractions, a lone choice without brackets."""
    text = re.sub(r"(?<![0-9])\.(?=[0-9])", "0.", text)
    if text == "0.5":
        return r"\frac{1}{2}"
    text = _SLASH.sub(r"\1\\frac{\2}{\3}", text)
    return _CHOICE.sub(r"\1", text)
