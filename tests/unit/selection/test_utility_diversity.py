"""Nuclear norms, the memory, and which candidates are chosen."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fixtures.models import bigram_policy, random_table, tiny_policy
from fixtures.sequences import NOW, collected, sequence, spell
from fixtures.toy import toy_examples, toy_problems
from fixtures.training import CPU, SMALL_SUPERVISION, continue_run
from posttrain.durations import Steps
from posttrain.loop import start, train
from posttrain.methods import uds
from posttrain.policy import Policy
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.runs import checkpoint
from posttrain.selection.candidates import Quota
from posttrain.selection.sketch import FourierSketch
from posttrain.selection.utility_diversity import UtilityDiversity, mean_distance, nuclear_norm, sequence_logits
from posttrain.text import Text
from posttrain.types import Progress, TrainingSequence
from tolerances import FLOAT32_MODEL, MODEL, VISIBLE

SMALL = FourierSketch(columns=4, rows=3, longest=64)
SIZES = st.tuples(st.integers(1, 7), st.integers(1, 7))


def noise(shape: tuple[int, int], seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def demonstrations(text: Text, count: int = 12) -> list[TrainingSequence]:
    return collected(Demonstrations(), toy_examples(count), text)


def uids(sequences: list[TrainingSequence]) -> list[int]:
    return [s.uid for s in sequences]


@given(shape=SIZES)
def test_the_nuclear_norm_is_the_sum_of_the_singular_values(shape: tuple[int, int]) -> None:
    matrix = noise(shape)
    assert nuclear_norm(matrix) == pytest.approx(float(torch.linalg.svdvals(matrix).sum()), rel=MODEL)


def test_it_is_that_of_an_ill_conditioned_matrix_in_float32_too() -> None:
    left, right = (torch.linalg.qr(noise((40, 40), seed))[0] for seed in (0, 1))
    values = torch.logspace(0, -5, 40, dtype=torch.float64)
    matrix = (left * values @ right).float()
    assert nuclear_norm(matrix) == pytest.approx(float(values.sum()), rel=FLOAT32_MODEL)


@given(shape=SIZES, scale=st.floats(-3, 3))
def test_it_scales_and_ignores_permutations_rotations_and_rows_of_zeros(shape: tuple[int, int], scale: float) -> None:
    matrix = noise(shape)
    norm = nuclear_norm(matrix)
    rotation = torch.linalg.qr(noise((shape[0], shape[0]), seed=1))[0]
    assert nuclear_norm(scale * matrix) == pytest.approx(abs(scale) * norm, rel=MODEL, abs=MODEL)
    assert nuclear_norm(matrix.flip(0).flip(1)) == pytest.approx(norm, rel=MODEL)
    assert nuclear_norm(rotation @ matrix) == pytest.approx(norm, rel=MODEL)
    padded = torch.cat([matrix, torch.zeros(3, shape[1], dtype=matrix.dtype)])
    assert nuclear_norm(padded) == pytest.approx(norm, rel=MODEL)


def test_it_lies_between_the_frobenius_norm_and_its_multiple() -> None:
    matrix = noise((5, 9))
    frobenius = float(matrix.norm())
    assert frobenius < nuclear_norm(matrix) < math.sqrt(5) * frobenius
    assert nuclear_norm(torch.outer(matrix[0], matrix[1])) == pytest.approx(
        float(matrix[0].norm() * matrix[1].norm()), rel=MODEL
    )
    assert nuclear_norm(2 * torch.eye(4)) == pytest.approx(math.sqrt(4) * 4, rel=MODEL)
    assert nuclear_norm(torch.zeros(0, 7)) == 0


def test_columns_in_parts_give_the_same_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = noise((5, 9))
    norm = nuclear_norm(matrix)
    monkeypatch.setattr("posttrain.selection.utility_diversity.COLUMNS_AT_ONCE", 2)
    assert nuclear_norm(matrix) == pytest.approx(norm, rel=MODEL)


def test_logits_are_those_of_every_predicted_token_or_of_the_response() -> None:
    table, tokens = random_table(5), [1, 3, 2, 4, 0]
    row = sequence(tokens, spell("ppggg"))
    every, response = (sequence_logits(row, bigram_policy(table), p) for p in ("all", "response"))
    torch.testing.assert_close(every, table[tokens[:4]], rtol=0, atol=MODEL)
    torch.testing.assert_close(response, table[tokens[1:4]], rtol=0, atol=MODEL)


def test_a_candidates_logits_do_not_depend_on_its_batch_mates(policy: Policy, text: Text) -> None:
    rows = demonstrations(text, 8)
    alone = [nuclear_norm(sequence_logits(s, policy, "all")) for s in rows]
    for mates in (rows[::-1], rows[:3]):
        again = {s.uid: nuclear_norm(sequence_logits(s, policy, "all")) for s in mates}
        assert all(again[s.uid] == alone[s.uid] for s in mates)


def test_without_diversity_the_largest_nuclear_norms_are_chosen(policy: Policy, text: Text) -> None:
    rows = demonstrations(text)
    norms = [nuclear_norm(sequence_logits(s, policy, "all")) for s in rows]
    chosen = UtilityDiversity(Quota(0.5, 6), diversity=0.0).start(0)(rows, policy, NOW)
    expected = [i for at in (0, 6) for i in sorted(sorted(range(at, at + 6), key=lambda i: -norms[i])[:3])]
    assert uids(chosen) == expected


@pytest.mark.parametrize("compared_with", ["memory", "memory and candidates"])
def test_the_score_is_utility_plus_diversity_by_hand(policy: Policy, text: Text, compared_with: str) -> None:
    rows = demonstrations(text, 8)
    settings = UtilityDiversity(Quota(0.5, 4), 0.7, 30.0, compared_with=compared_with, sketch=SMALL)
    sketch = SMALL.draw(policy.model.config.vocab_size, 5, like=torch.zeros(1, dtype=torch.float64))
    memory, expected = [], []
    for at in (0, 4):
        logits = [sequence_logits(s, policy, "all") for s in rows[at : at + 4]]
        vectors = [sketch(matrix) for matrix in logits]
        scores = []
        for i, (matrix, vector) in enumerate(zip(logits, vectors)):
            others = [v for j, v in enumerate(vectors) if j != i] if "candidates" in compared_with else []
            novelty = sum(
                sum(float((vector - other).norm()) for other in group) / len(group)
                for group in (memory, others)
                if group
            )
            scores.append(0.7 * float(torch.linalg.svdvals(matrix).sum()) + 30.0 * novelty)
        best = sorted(sorted(range(4), key=lambda i: -scores[i])[:2])
        memory += [vectors[i] for i in best]
        expected += [at + i for i in best]
    session = settings.start(5)
    assert uids(session(rows, policy, NOW)) == expected
    torch.testing.assert_close(session.remembered, torch.stack(memory), rtol=MODEL, atol=MODEL)


def test_the_memory_holds_the_last_that_were_kept_in_their_order(policy: Policy, text: Text) -> None:
    rows = demonstrations(text)
    short, long = (UtilityDiversity(Quota(0.5, 4), utility=0.0, memory=m, sketch=SMALL).start(0) for m in (3, 100))
    # Without a utility and with everything alike in novelty at first, both begin with the same choices.
    short(rows[:4], policy, NOW)
    long(rows[:4], policy, NOW)
    assert short.kept == long.kept == 2
    assert torch.equal(short.remembered, long.remembered)
    kept = [*long.remembered]
    for at in (4, 8):
        before = short.kept
        chosen = short(rows[at : at + 4], policy, NOW)
        assert short.kept == before + len(chosen)
        sketch = SMALL.draw(policy.model.config.vocab_size, 0, like=kept[0])
        kept += [sketch(sequence_logits(s, policy, "all")) for s in chosen]
        torch.testing.assert_close(short.remembered, torch.stack(kept[-3:]), rtol=MODEL, atol=MODEL)


def test_the_mean_distance_is_that_of_each_pair_and_zero_to_nobody() -> None:
    others = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert mean_distance(torch.tensor([0.0, 0.0]), others) == pytest.approx(2.5)
    assert mean_distance(torch.tensor([0.0, 0.0]), others[:0]) == 0.0


def test_before_it_begins_everything_is_kept_and_nothing_remembered(policy: Policy, text: Text) -> None:
    rows = demonstrations(text)
    session = UtilityDiversity(Quota(0.25, 4), begins=Steps(2)).start(0)
    for step, count in ((0, 12), (1, 12), (2, 3)):
        assert len(session(rows, policy, Progress(step, 5, 0))) == count
        assert session.kept == (0 if step < 2 else 3)


def test_logits_that_are_not_finite_are_chosen_so_that_the_loop_sees_them() -> None:
    policy = bigram_policy(random_table(5))
    with torch.no_grad():
        policy.model.table[3] = float("nan")
    rows = [sequence(tokens, spell("pggg"), uid=uid) for uid, tokens in enumerate(([1, 2, 4, 0], [1, 3, 2, 0]))]
    session = UtilityDiversity(Quota(0.5, 2), diversity=1e9, sketch=SMALL).start(0)
    session.remembered = torch.ones(1, SMALL.size)
    assert uids(session(rows, policy, NOW)) == [1]


def test_a_resumed_run_chooses_as_the_uninterrupted_one(tmp_path: Path) -> None:
    selection = UtilityDiversity(Quota(0.5, 4), memory=5, sketch=SMALL)
    settings = dataclasses.replace(SMALL_SUPERVISION, prompts_per_step=8)
    (stage,) = uds.recipe(toy_problems(20), steps=6, selection=selection, supervision=settings).stages
    whole = start(stage, tiny_policy(), seed=0)
    continue_run(whole)
    first = start(stage, tiny_policy(), seed=0)
    train(first, CPU, lambda record: record.now.step < 2)
    checkpoint.save(tmp_path / "checkpoint", first, 0, 0.0)
    second = start(stage, tiny_policy(), seed=0)
    second.policy.model.load_state_dict(first.policy.model.state_dict())
    checkpoint.restore(second, checkpoint.read(tmp_path / "checkpoint"))
    assert torch.equal(second.selection.remembered, first.selection.remembered)
    continue_run(second)
    assert second.selection.kept == whole.selection.kept == 6 * 4
    assert torch.equal(second.selection.remembered, whole.selection.remembered)
    for one, other in zip(whole.policy.model.parameters(), second.policy.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_forgotten_memory_would_be_seen(policy: Policy, text: Text) -> None:
    rows = demonstrations(text)
    session = UtilityDiversity(Quota(0.25, 4), utility=0.0).start(0)
    session(rows, policy, NOW)
    fresh = UtilityDiversity(Quota(0.25, 4), utility=0.0).start(0)
    novelty, alone = session._novelty(session.remembered), fresh._novelty(session.remembered)
    assert min(novelty) > VISIBLE
    assert alone == [0.0] * len(alone)


@pytest.mark.parametrize("settings", [{"memory": 0}, {"utility": -1.0}, {"utility": 0.0, "diversity": 0.0}], ids=str)
def test_settings_that_could_not_choose_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"memory|utility"):
        UtilityDiversity(**settings)
