"""Masked fine-tuning and its controls."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, weights
from fixtures.toy import toy_problems
from fixtures.training import SMALL_SUPERVISION, gradient_of, run
from posttrain.batching import weigh
from posttrain.methods import mft
from posttrain.recipe import Recipe
from posttrain.rollouts.corrupted_copy import CorruptedCopy
from posttrain.rollouts.corruption import FixedRate, Masked, Replaced, UniformRate
from posttrain.stage import Problems, Stage
from posttrain.stages import supervised
from posttrain.types import Demonstration, Example, Origin
from tolerances import GRADIENT, ROUNDING, VISIBLE

WHOLE_SET = dataclasses.replace(SMALL_SUPERVISION, prompts_per_step=8)
INSTRUCTION = "\n="


def copying(rate=UniformRate(), **changes) -> CorruptedCopy:
    return CorruptedCopy(Masked(rate, mask="."), instruction=INSTRUCTION, **changes)


def only(recipe: Recipe) -> Stage:
    (stage,) = recipe.stages
    return stage


def masked(copy: CorruptedCopy, problems: Problems | None = None, supervision=WHOLE_SET, steps: int = 3) -> Stage:
    return only(mft.recipe(problems or toy_problems(), steps=steps, copy=copy, supervision=supervision))


def first_gradient(stage: Stage) -> Tensor:
    return gradient_of(dataclasses.replace(stage, steps=1), tiny_policy())


def trained(stage: Stage) -> dict[str, Tensor]:
    policy = tiny_policy()
    run(stage, policy)
    return weights(policy)


def test_always_plain_it_is_supervision_bit_for_bit_but_for_the_schedule() -> None:
    stage = masked(copying(plain=1.0))
    imitated = dataclasses.replace(supervised.stage(toy_problems(), 3, WHOLE_SET), learning_rate=stage.learning_rate)
    one, other, start = trained(stage), trained(imitated), weights(tiny_policy())
    assert all(torch.equal(one[name], other[name]) for name in start)
    assert not any(torch.equal(one[name], start[name]) for name in start)


def shown(example: Example) -> Example:
    """The same example with its solution verbatim in the prompt."""
    return dataclasses.replace(example, prompt=example.prompt + example.demonstrations[0].text + INSTRUCTION)


def test_without_masks_it_is_supervision_with_the_text_in_the_prompt_bit_for_bit() -> None:
    problems = toy_problems()
    copied = dataclasses.replace(problems, examples=tuple(map(shown, problems.examples)))
    expected = gradient_of(supervised.stage(copied, 1, WHOLE_SET), tiny_policy())
    assert float(expected.norm()) > VISIBLE
    assert torch.equal(first_gradient(masked(copying(FixedRate(0.0)))), expected)


@pytest.mark.parametrize("rate", [FixedRate(0.5), FixedRate(1.0)], ids=str)
def test_with_masks_it_is_not(rate) -> None:
    unmasked = first_gradient(masked(copying(FixedRate(0.0))))
    assert float((first_gradient(masked(copying(rate))) - unmasked).norm()) > VISIBLE


def passages(*texts: str) -> Problems:
    examples = tuple(Example(f"passage {n}", "", None, (Demonstration((), text),)) for n, text in enumerate(texts))
    return dataclasses.replace(toy_problems(), examples=examples)


def contexts(stage: Stage) -> list[list[int]]:
    (record,) = run(dataclasses.replace(stage, steps=1), tiny_policy())
    return [r.tokens[r.origin == int(Origin.PROMPT)].tolist() for r in record.collection.rollouts]


def test_fully_masked_texts_of_one_length_look_the_same() -> None:
    supervision = dataclasses.replace(WHOLE_SET, prompts_per_step=3)
    problems = passages("a1 b2", "c3 d4", "e5 f")
    first, second, shorter = sorted(contexts(masked(copying(FixedRate(1.0)), problems, supervision)), key=len)[::-1]
    assert first == second
    assert len(shorter) == len(first) - 1


@pytest.mark.parametrize("corruption", [Masked(mask="."), Replaced()], ids=str)
def test_only_what_stands_behind_the_instruction_is_trained(corruption) -> None:
    stage = masked(CorruptedCopy(corruption, instruction=INSTRUCTION), steps=1)
    (record,) = run(stage, tiny_policy())
    weighed = weigh(record.collection.sequences, stage.terms, float)
    given = sum(int((s.origin == int(Origin.GIVEN)).sum()) for s in weighed)
    for s in weighed:
        weight, target = s.weights["likelihood"], s.origin == int(Origin.GIVEN)
        assert torch.equal(weight > 0, target)  # masked or not, and end-of-sequence
        assert weight[target].tolist() == pytest.approx([1 / given] * int(target.sum()), abs=ROUNDING)


def test_saying_a_text_twice_changes_nothing() -> None:
    once, twice = passages("a1 b2", "c3"), passages("a1 b2", "c3", "a1 b2", "c3")
    rate = copying(FixedRate(1.0))  # the only draw that two ids share
    gradients = [
        first_gradient(masked(rate, problems, dataclasses.replace(WHOLE_SET, prompts_per_step=count)))
        for problems, count in ((once, 2), (twice, 4))
    ]
    assert float(gradients[0].norm()) > VISIBLE
    torch.testing.assert_close(gradients[1], gradients[0], rtol=GRADIENT, atol=GRADIENT)


def test_the_masks_change_from_epoch_to_epoch_and_the_targets_do_not() -> None:
    records = run(masked(copying(FixedRate(0.5))), tiny_policy())
    seen: dict[str, list[tuple[list[int], list[int]]]] = {}
    for rollout in (r for record in records for r in record.collection.rollouts):
        given = rollout.origin == int(Origin.GIVEN)
        seen.setdefault(rollout.example.id, []).append(
            (rollout.tokens[~given].tolist(), rollout.tokens[given].tolist())
        )
    assert all(len(epochs) == 3 for epochs in seen.values())
    assert all(target == epochs[0][1] for epochs in seen.values() for _, target in epochs)
    assert sum(len({tuple(context) for context, _ in epochs}) for epochs in seen.values()) > 2 * len(seen)
