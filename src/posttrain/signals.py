"""The names of what parts need: signals that a pass of a model computes, and what stands beside the signals.

A signal of a model is called ``ROLE_QUANTITY``, such as ``reference_logprobs``. The role ``old`` is the policy as it
stands before the update; every other role is a frozen policy of the stage.
"""

from __future__ import annotations

from collections.abc import Iterable

WHOLE_GROUPS = "whole groups"
"""What an objective needs that reads several sequences of a group at once."""
LAYERS = "layers"
"""What an objective needs that reads the states of every layer."""
HEAD = "head/"
"""What stands before the name of a head that an objective reads itself, such as ``"head/score"``."""
EMPHASIS = "emphasis/"
"""What stands before the name of a term in the signal of what its tokens weigh, such as ``"emphasis/likelihood"``."""
OLD = "old"
QUANTITIES = ("logprobs", "entropy", "values")
"""What :class:`posttrain.forward.Forward` can say about each token."""


def role_and_quantity(name: str) -> tuple[str, str] | None:
    """What a signal's name means, or ``None`` if no model computes a signal of that name."""
    role, _, quantity = name.rpartition("_")
    return (role, quantity) if role and quantity in QUANTITIES else None


def computed(names: Iterable[str]) -> frozenset[str]:
    """Those of ``names`` that a model computes."""
    return frozenset(name for name in names if role_and_quantity(name) is not None)


def frozen_roles(names: Iterable[str]) -> frozenset[str]:
    """The frozen policies behind signals (``NAME_logprobs``) and views (``policy/NAME``)."""
    views = {name.removeprefix("policy/") for name in names if name.startswith("policy/")}
    meant = (role_and_quantity(name) for name in names)
    return frozenset(views | {found[0] for found in meant if found is not None and found[0] != OLD})
