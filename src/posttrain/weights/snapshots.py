"""Keep the weights as they are, bring kept ones back, take those of another model."""

from __future__ import annotations

from dataclasses import dataclass

from posttrain.errors import UserError
from posttrain.loading import check_same_tokens, load_policy
from posttrain.model_folder import check_model, located
from posttrain.policy import Policy
from posttrain.recipe import Workspace
from posttrain.runtime import LocalRuntime


@dataclass(frozen=True)
class Keep:
    """Remember the policy as it is.

    Args:
        name_kept: under which later parts of the recipe find it.
    """

    name_kept: str

    @property
    def name(self) -> str:
        """Names it in the journal."""
        return f"keep {self.name_kept}"

    def run(self, workspace: Workspace) -> Workspace:
        """Keep a copy that no update reaches."""
        return workspace.keeping(self.name_kept, workspace.policy.frozen_copy())


@dataclass(frozen=True)
class Rewind:
    """Give the policy the weights of a remembered one.

    Args:
        name_kept: under which they were kept.
        before: what follows; tells two rewinds of a recipe to the same weights apart.
    """

    name_kept: str
    before: str = ""

    @property
    def name(self) -> str:
        """Names it in the journal."""
        return f"rewind to {self.name_kept}" + (f" before {self.before}" if self.before else "")

    def run(self, workspace: Workspace) -> Workspace:
        """Copy them into the live policy, bit for bit.

        Raises:
            UserError: nothing was kept under this name.
        """
        kept = workspace.recalled(self.name_kept)
        workspace.policy.model.load_state_dict(kept.model.state_dict())
        return workspace


@dataclass(frozen=True)
class Load:
    """Remember the model of a folder, such as another run's checkpoint.

    Args:
        name_kept: under which later parts of the recipe find it.
        folder: in Hugging Face format, or ``embedded``; of the same architecture and tokenizer as the policy.

    Raises:
        UserError: there is no model in it.
    """

    name_kept: str
    folder: str

    def __post_init__(self) -> None:
        """Look whether it is there before anything heavy begins."""
        check_model(self.folder)

    @property
    def name(self) -> str:
        """Names it in the journal."""
        return f"load {self.name_kept}"

    def run(self, workspace: Workspace) -> Workspace:
        """Load it beside the policy.

        Raises:
            UserError: it cannot be loaded, predicts other tokens, or is not built as the policy is.
        """
        policy = workspace.policy
        check_same_tokens(self.folder, policy)
        loaded = load_policy(located(self.folder), LocalRuntime(policy.device, policy.autocast))
        if _shapes(loaded) != _shapes(policy):
            raise UserError(
                f"the model in {self.folder!r} is built in another way than the policy; take one from the same base"
            )
        loaded.model.requires_grad_(False)
        return workspace.keeping(self.name_kept, loaded)


def _shapes(policy: Policy) -> dict[str, tuple[int, ...]]:
    return {name: tuple(p.shape) for name, p in policy.model.named_parameters()}
