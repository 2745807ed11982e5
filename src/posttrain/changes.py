"""What a person may change about the training stages of any method: how weights move, what is trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from posttrain.errors import unknown
from posttrain.frozen import FrozenPolicy
from posttrain.protocols import Adapter, Selection
from posttrain.recipe import Interlude, Later, Recipe, Workspace
from posttrain.stage import Stage


@dataclass(frozen=True)
class StageChanges:
    """Parts that take the place of a method's own in its training stages; ``None`` leaves the method's.

    Args:
        adapter: which numbers of the model are trained.
        selection: which of the collected sequences and tokens are trained on.
        reference: the frozen policy called ``reference``, which KL terms compare with.
        only: names of the stages that are changed; all of them if it is empty.
    """

    adapter: Adapter | None = None
    selection: Selection | None = None
    reference: FrozenPolicy | None = None
    only: tuple[str, ...] = ()

    def applied_to(self, recipe: Recipe) -> Recipe:
        """The recipe with its stages changed.

        Raises:
            UserError: ``only`` names something that is no training stage, or a stage cannot have the part.
        """
        trained = [part.name for part in recipe.stages if isinstance(part, Stage | Later)]
        for name in self.only:
            if name not in trained:
                raise unknown("training stage", name, trained)
        meant = self.only or tuple(trained)
        changed: list[Stage | Later | Interlude] = []
        for part in recipe.stages:
            if isinstance(part, Stage | Later) and part.name in meant:
                changed.append(self._stage(part) if isinstance(part, Stage) else self._later(part))
            else:
                changed.append(part)
        return Recipe(tuple(changed))

    def _later(self, later: Later) -> Later:
        def build(workspace: Workspace) -> Stage:
            return self._stage(later.build(workspace))

        return replace(later, build=build)

    def _stage(self, stage: Stage) -> Stage:
        frozen = stage.frozen if self.reference is None else {**stage.frozen, "reference": self.reference}
        adapter, selection = self.adapter or stage.adapter, self.selection or stage.selection
        return replace(stage, adapter=adapter, selection=selection, frozen=frozen)
