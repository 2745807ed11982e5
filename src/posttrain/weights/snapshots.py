"""Keeping the weights as they stand, for later parts of a recipe to compare with or to go back to."""

from __future__ import annotations

from dataclasses import dataclass

from posttrain.recipe import Workspace


@dataclass(frozen=True)
class Keep:
    """Remember the policy as it stands; ``Remembered`` and adapters find it under its name.

    Args:
        name_kept: under which it is kept; what was kept under the same name before is forgotten.
    """

    name_kept: str

    @property
    def name(self) -> str:
        """Names it in the journal."""
        return f"keep {self.name_kept}"

    def run(self, workspace: Workspace) -> Workspace:
        """The workspace with a frozen copy of its policy."""
        return workspace.keeping(self.name_kept, workspace.policy.frozen_copy())
