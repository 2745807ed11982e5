"""What intuitive fine-tuning becomes without blend and without propagation."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fixtures.folders import model_folder
from fixtures.models import tiny_policy, weights
from fixtures.toy import toy_problems
from fixtures.training import CPU, SMALL_SUPERVISION, RecordingRuntime, gradient_of, run
from posttrain.batching import PerSequence
from posttrain.loading import load_policy
from posttrain.methods import ift, sft
from posttrain.objectives.intuitive import FutureLosses, LaterTokens
from posttrain.policy import Policy
from posttrain.recipe import Recipe
from posttrain.stage import Stage
from tolerances import FLOAT32_MODEL, GRADIENT, MODEL, VISIBLE

SEQUENCE_MEAN = dataclasses.replace(SMALL_SUPERVISION, share=PerSequence())


def only(recipe: Recipe) -> Stage:
    (stage,) = recipe.stages
    return stage


def stage(steps: int = 1, **settings: object) -> Stage:
    return only(ift.recipe(toy_problems(), **{"steps": steps, "supervision": SEQUENCE_MEAN, **settings}))


def plain(steps: int = 1) -> Stage:
    return only(sft.recipe(toy_problems(), steps=steps, supervision=SEQUENCE_MEAN))


BARE = {"blend": 0.0, "propagation": FutureLosses(0.0)}


def gradients(stage: Stage, policy: Policy) -> dict[str, Tensor]:
    """Of each parameter, in the first update."""
    names = list(policy.named_trainable())
    sizes = [p.numel() for p in policy.trainable()]
    return dict(zip(names, gradient_of(stage, policy).split(sizes)))


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_without_both_it_is_supervision_but_for_the_embeddings(tmp_path: Path, architecture: str) -> None:
    folder = model_folder(tmp_path, architecture)
    found, expected = (gradients(made, load_policy(folder, CPU)) for made in (stage(**BARE), plain()))
    table = {"llama": "model.embed_tokens.weight", "gpt2": "transformer.wte.weight"}[architecture]
    for name, gradient in found.items():
        if name != table:
            torch.testing.assert_close(gradient, expected[name], rtol=FLOAT32_MODEL, atol=FLOAT32_MODEL)
    assert bool(expected[table].any())
    assert bool(found[table].any()) == (architecture == "gpt2")  # its head is the table
    assert float((found[table] - expected[table]).abs().max()) > 0


def test_without_both_its_loss_is_that_of_supervision() -> None:
    (record,), (expected,) = run(stage(**BARE), tiny_policy()), run(plain(), tiny_policy())
    assert record.losses["likelihood"] == pytest.approx(expected.losses["likelihood"], abs=MODEL)


@pytest.mark.parametrize(
    "settings",
    [{"blend": 0.2, "propagation": FutureLosses(0.0)}, {"blend": 0.0}, {"blend": 0.0, "propagation": LaterTokens()}],
    ids=["blend", "future losses", "later tokens"],
)
def test_with_either_it_is_not_supervision(settings: dict[str, object]) -> None:
    bare = gradient_of(stage(**BARE), tiny_policy())
    assert float((gradient_of(stage(**settings), tiny_policy()) - bare).norm()) > VISIBLE


@pytest.mark.parametrize("propagation", [FutureLosses(), FutureLosses(0.0), LaterTokens()], ids=str)
@pytest.mark.parametrize("budget", [60, 1], ids=["2x4", "8x1"])
def test_no_cut_into_microbatches_changes_it(propagation: FutureLosses | LaterTokens, budget: int) -> None:
    found = []
    for size in (10_000, budget):
        settings = dataclasses.replace(SEQUENCE_MEAN, prompts_per_step=8, tokens_per_microbatch=size)
        runtime = RecordingRuntime()
        (record,) = run(stage(propagation=propagation, supervision=settings), tiny_policy(), runtime)
        found.append((runtime, record))
    (whole, record), (cut, other) = found
    assert len(whole.passes) == 1 < len(cut.passes)
    torch.testing.assert_close(cut.gradients[0], whole.gradients[0], rtol=GRADIENT, atol=GRADIENT)
    assert other.losses == pytest.approx(record.losses, rel=GRADIENT)


def test_its_optimiser_is_rmsprop_but_for_the_bias_correction() -> None:
    settings = ift.SUPERVISION
    parameters = [torch.ones(3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    adam = torch.optim.AdamW([parameters[0]], lr=1.0, betas=settings.betas, weight_decay=settings.weight_decay)
    rms = torch.optim.RMSprop([parameters[1]], lr=1.0, alpha=settings.betas[1])
    for step in range(1, 4):
        moves = []
        for parameter, optimiser in zip(parameters, (adam, rms)):
            before = parameter.detach().clone()
            parameter.grad = torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64) * step
            optimiser.step()
            moves.append(parameter.detach() - before)
        correction = (1 - settings.betas[1] ** step) ** 0.5
        torch.testing.assert_close(moves[0], moves[1] * correction, rtol=GRADIENT, atol=GRADIENT)


def test_its_defaults_are_the_released_codes() -> None:
    made = only(ift.recipe(toy_problems()))
    (term,) = made.terms
    assert (term.objective.blend, term.objective.propagation) == (0.2, FutureLosses(0.95))
    assert term.objective.over == term.over
    assert (term.share, made.optimiser.clip_norm, made.streams[0].prompts_per_step) == (PerSequence(), 10.0, 512)


def test_the_loss_falls() -> None:
    settings = dataclasses.replace(SEQUENCE_MEAN, learning_rate=0.01, warmup=0.0)
    policy = tiny_policy()
    losses = [record.losses["likelihood"] for record in run(stage(10, supervision=settings), policy)]
    assert losses[-1] < losses[0] / 2
    assert all(bool(value.isfinite().all()) for value in weights(policy).values())
