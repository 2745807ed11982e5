"""Which layers are exits, and what the mean over them is."""

import pytest
import torch
from torch import Tensor

from fixtures.folders import deep_policy
from fixtures.models import tiny_policy
from fixtures.sequences import ragged, sequence, spell
from posttrain.batching import PerToken, collate, weigh
from posttrain.blocks import blocks
from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.objectives.clipped import ClippedPolicy
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.objectives.exits import AtDepths, AtFractions, AverageOverExits, EveryFew
from posttrain.objectives.intuitive import IntuitiveLikelihood
from posttrain.objectives.undesirable import StateDistance
from posttrain.policy import Policy
from posttrain.protocols import Objective, Term
from posttrain.types import Origin
from tolerances import MODEL, ROUNDING, VISIBLE


@pytest.mark.parametrize(
    ("exits", "layers", "depths"),
    [
        (EveryFew(), 40, (12, 16, 20, 24, 28, 32, 36, 40)),  # Sorted LLaMA 13B
        (EveryFew(), 32, (12, 16, 20, 24, 28, 32)),
        (EveryFew(), 2, (2,)),
        (EveryFew(2, 0.0), 8, (2, 4, 6, 8)),
        (EveryFew(1, 1.0), 5, (5,)),
        (EveryFew(1, 0.7), 10, (7, 8, 9, 10)),
        (AtDepths((5, 2)), 8, (2, 5)),
        (AtFractions((1.0, 0.5)), 9, (4, 9)),
        (AtFractions((0.1, 0.2)), 2, (1,)),
    ],
    ids=str,
)
def test_exits_of_a_model(exits: EveryFew | AtDepths | AtFractions, layers: int, depths: tuple[int, ...]) -> None:
    assert exits(layers) == depths


def test_an_exit_behind_the_last_layer_is_refused() -> None:
    with pytest.raises(UserError, match="2 layers; it has no exit after 3, choose 1 to 2"):
        averaged(tiny_policy(), AtDepths((1, 3)))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: AtDepths(()),
        lambda: AtDepths((1, 1)),
        lambda: AtDepths((0, 1)),
        lambda: AtFractions(()),
        lambda: AtFractions((0.0, 1.0)),
        lambda: AtFractions((0.5, 1.1)),
        lambda: EveryFew(0),
        lambda: EveryFew(1, 1.5),
    ],
)
def test_exits_that_no_model_has_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="exits"):
        wrong()


def test_an_objective_about_all_layers_has_no_exits() -> None:
    with pytest.raises(ValueError, match="StateDistance reads all layers"):
        AverageOverExits(StateDistance())


def test_an_objective_with_a_pass_of_its_own_has_no_exits() -> None:
    with pytest.raises(UserError, match="a pass of its own, such as IntuitiveLikelihood, cannot have exits"):
        averaged(deep_policy("llama"), AtDepths((1, 2)), IntuitiveLikelihood(over=frozenset({Origin.SAMPLED})))


def view(policy: Policy, row_origins: str = "pggsss") -> Forward:
    row = sequence([3, 9, 4, 7, 2, 5][: len(row_origins)], spell(row_origins), advantages=0.7)
    (weighed,) = weigh([row], [Term("t", CrossEntropy(), frozenset({Origin.SAMPLED}), PerToken())], float)
    batch = collate([weighed], 0, torch.device("cpu"))
    return Forward(policy, batch, batch.weights["t"] != 0, keeps_layers=True)


def averaged(policy: Policy, exits: EveryFew | AtDepths | AtFractions, objective: Objective = CrossEntropy()) -> Tensor:
    forward = view(policy)
    return AverageOverExits(objective, exits)(forward, forward.batch)


@pytest.mark.parametrize("objective", [CrossEntropy(), ClippedPolicy()], ids=str)
def test_it_is_the_mean_of_what_the_objective_is_at_each_exit(objective: Objective) -> None:
    policy = deep_policy("llama")
    forward = view(policy)
    at = [objective(forward.at_exit(depth), forward.batch) for depth in (1, 2, 4)]
    torch.testing.assert_close(
        averaged(policy, AtDepths((1, 2, 4)), objective), (at[0] + at[1] + at[2]) / 3, rtol=0, atol=ROUNDING
    )


def test_a_single_exit_at_the_end_is_the_objective_to_the_last_bit() -> None:
    policy = deep_policy("qwen2")
    forward = view(policy)
    assert torch.equal(averaged(policy, AtDepths((4,))), CrossEntropy()(forward, forward.batch))


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
@pytest.mark.parametrize("depths", [(2,), (1, 3), (2, 4)], ids=str)
def test_a_layer_learns_from_exactly_the_exits_behind_it(architecture: str, depths: tuple[int, ...]) -> None:
    def gradients(*exits: int) -> list[Tensor | None]:
        policy = deep_policy(architecture)
        averaged(policy, AtDepths(exits)).sum().backward()
        return [next(block.parameters()).grad for block in blocks(policy)]

    together, apart = gradients(*depths), [gradients(depth) for depth in depths]
    for index, gradient in enumerate(together):
        if index >= max(depths):
            assert gradient is None
            continue
        parts = [alone[index] for alone, depth in zip(apart, depths) if index < depth]
        assert all(alone[index] is None for alone, depth in zip(apart, depths) if index >= depth)
        torch.testing.assert_close(gradient, sum(parts) / len(depths), rtol=MODEL, atol=MODEL)
        assert float(gradient.abs().max()) > 0


def test_equal_losses_everywhere_are_the_loss() -> None:
    """The mean and not the sum: layers that add nothing make every exit the same."""
    policy = deep_policy("gpt2")
    with torch.no_grad():
        for block in blocks(policy):
            for part in (block.attn.c_proj, block.mlp.c_proj):
                part.weight.zero_()
                part.bias.zero_()
    forward = view(policy)
    whole = CrossEntropy()(forward, forward.batch).detach()
    assert float(whole.abs().max()) > VISIBLE
    torch.testing.assert_close(averaged(policy, AtDepths((1, 2, 3, 4))).detach(), whole, rtol=0, atol=MODEL)


def test_it_is_inert_where_the_objective_is() -> None:
    for row in ragged(3):
        assert not AverageOverExits().inert(row)
        row.signals["advantages"].zero_()
        assert AverageOverExits(ClippedPolicy()).inert(row)
    assert AverageOverExits(ClippedPolicy()).needs == {"advantages", "layers"}
