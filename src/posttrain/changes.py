"""What a person may change about the training stages of any method: how weights move, what is trained on, the judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from posttrain.errors import UserError, unknown
from posttrain.frozen import FrozenPolicy
from posttrain.heads import check_reward_model, load_reward_model
from posttrain.policy import Policy
from posttrain.protocols import Adapter, Reward, Selection
from posttrain.recipe import Interlude, Later, Recipe, Workspace
from posttrain.rewards.model_score import ModelScore
from posttrain.runtime import LocalRuntime
from posttrain.stage import Stage


@dataclass(frozen=True)
class RewardModel:
    """The scores of a reward model. Its passes are not counted among the run's FLOPs.

    Args:
        folder: the ``checkpoint`` of a run of the method ``reward_model``.

    Raises:
        UserError: there is no reward model in it.
    """

    folder: str

    def __post_init__(self) -> None:
        """Look whether it is there before anything heavy begins."""
        check_reward_model(Path(self.folder))

    def start(self, policy: Policy) -> Reward:
        """Load it beside the policy that is going to be trained."""
        return ModelScore(load_reward_model(self.folder, LocalRuntime(policy.device, policy.autocast)))


@dataclass(frozen=True)
class StageChanges:
    """Parts that take the place of a method's own in its training stages; ``None`` leaves the method's.

    Args:
        adapter: which numbers of the model are trained.
        selection: which of the collected sequences and tokens are trained on.
        reference: the frozen policy called ``reference``, which KL terms compare with.
        reward: a reward model that judges instead of the verifier, and instead of what the method makes of its
            verdicts, wherever answers are judged in training; evaluations keep the verifier.
        only: names of the stages that are changed; all of them if it is empty.
    """

    adapter: Adapter | None = None
    selection: Selection | None = None
    reference: FrozenPolicy | None = None
    reward: RewardModel | None = None
    only: tuple[str, ...] = ()

    def applied_to(self, recipe: Recipe) -> Recipe:
        """The recipe with its stages changed.

        Raises:
            UserError: ``only`` names something that is no training stage, a stage cannot have the part, there is
                nothing that a reward model could judge, or nobody reads the reference.
        """
        trained = [part.name for part in recipe.stages if isinstance(part, Stage | Later)]
        for name in self.only:
            if name not in trained:
                raise unknown("training stage", name, trained)
        meant = self.only or tuple(trained)
        if self.reward is not None and not any(_may_judge(part) for part in recipe.stages if part.name in meant):
            raise UserError("no answer is judged in these stages, so a reward model would do nothing; leave it out")
        if self.reference is not None and not any(self._may_compare(p) for p in recipe.stages if p.name in meant):
            raise UserError("nothing in these stages reads a reference, so another one would do nothing; leave it out")
        changed: list[Stage | Later | Interlude] = []
        for part in recipe.stages:
            if isinstance(part, Stage | Later) and part.name in meant:
                changed.append(self._now(part) if isinstance(part, Stage) else self._later(part))
            else:
                changed.append(part)
        return Recipe(tuple(changed))

    def _may_compare(self, part: Stage | Later | Interlude) -> bool:
        """Whether a changed part reads the reference, or may turn out to."""
        return isinstance(part, Later) or (isinstance(part, Stage) and "reference" in self._stage(part).frozen_needed)

    def _now(self, stage: Stage) -> Stage | Later:
        """A reward model is loaded to where the policy is, so its stages are composed when they begin."""
        changed = self._stage(stage)
        if self.reward is None or not _may_judge(stage):
            return changed
        return Later(stage.name, stage.steps, lambda workspace: self._judged(changed, workspace))

    def _later(self, later: Later) -> Later:
        def build(workspace: Workspace) -> Stage:
            return self._judged(self._stage(later.build(workspace)), workspace)

        return replace(later, build=build)

    def _judged(self, stage: Stage, workspace: Workspace) -> Stage:
        if self.reward is None or not _may_judge(stage):
            return stage
        reward = self.reward.start(workspace.policy)
        streams = (replace(s, reward=reward) if s.reward is not None else s for s in stage.streams)
        return replace(stage, streams=tuple(streams))

    def _stage(self, stage: Stage) -> Stage:
        frozen = stage.frozen if self.reference is None else {**stage.frozen, "reference": self.reference}
        adapter, selection = self.adapter or stage.adapter, self.selection or stage.selection
        return replace(stage, adapter=adapter, selection=selection, frozen=frozen)


def _may_judge(part: Stage | Later | Interlude) -> bool:
    """Whether a part judges answers as it trains, or may turn out to."""
    return isinstance(part, Later) or (isinstance(part, Stage) and any(s.reward is not None for s in part.streams))
