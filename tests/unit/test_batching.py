"""Shares worked by hand, and what no cut may do."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fixtures.sequences import ragged, sequence, sequences, spell
from fixtures.training import CPU
from posttrain.batching import PerConstant, PerGroup, PerSequence, PerToken, collate, microbatches, minibatches, weigh
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.protocols import Term
from posttrain.types import Origin, TrainingSequence
from tolerances import ROUNDING

SAMPLED = frozenset({Origin.SAMPLED})
SHARES = [PerToken(), PerSequence(), PerGroup(), PerConstant(4.0)]


def term(share, over=SAMPLED, **settings) -> Term:
    return Term("term", CrossEntropy(), over, share, **settings)


def worked() -> list[TrainingSequence]:
    """Members 1 and 3 in group A, 2 in group B, none in group C."""
    patterns = [("pgs", "A"), ("psss", "A"), ("ppgsos", "B"), ("pg", "C")]
    return [sequence([1] * len(p), spell(p), uid=uid, group=group) for uid, (p, group) in enumerate(patterns)]


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (PerToken(), [1 / 6, 1 / 6, 1 / 6]),
        (PerSequence(), [1 / 3, 1 / 9, 1 / 6]),
        (PerGroup(), [1 / 8, 1 / 8, 1 / 4]),
        (PerConstant(5.0), [1 / 20, 1 / 20, 1 / 20]),
    ],
)
def test_shares_worked_by_hand(share, expected: list[float]) -> None:
    first, second, third, fourth = (s.weights["term"].tolist() for s in weigh(worked(), [term(share)], CPU.total))
    assert first == pytest.approx([0, 0, expected[0]])
    assert second == pytest.approx([0, *[expected[1]] * 3])
    assert third == pytest.approx([0, 0, 0, expected[2], 0, expected[2]])
    assert fourth == [0, 0]


def test_denominators_are_of_all_ranks() -> None:
    twice = weigh(worked(), [term(PerToken())], lambda number: 2 * number)
    assert twice[0].weights["term"].tolist() == pytest.approx([0, 0, 1 / 12])


def test_a_term_over_two_origins_has_one_denominator() -> None:
    both = term(PerToken(), frozenset({Origin.GIVEN, Origin.SAMPLED}))
    assert weigh(worked(), [both], CPU.total)[0].weights["term"].tolist() == pytest.approx([0, 1 / 9, 1 / 9])


def test_a_term_reads_only_its_stream() -> None:
    made = [sequence([1, 1], spell("ps"), stream=name, uid=uid) for uid, name in enumerate(("answers", "others"))]
    first, second = weigh(made, [term(PerToken(), stream="answers")], CPU.total)
    assert first.weights["term"].tolist() == [0, 1]
    assert second.weights["term"].tolist() == [0, 0]


@pytest.mark.parametrize("share", SHARES)
def test_other_streams_do_not_count(share) -> None:
    """A term of one stream weighs as if the others were not there: also where sequences without members count."""
    own = [sequence([1] * 4, spell(p), uid=uid, group=uid) for uid, p in enumerate(("pgss", "pggg"))]
    others = [sequence([1] * 3, spell("pss"), stream="others", uid=uid) for uid in (2, 3, 4)]
    alone = weigh(own, [term(share, stream="answers")], CPU.total)
    mixed = weigh([*others, *own], [term(share, stream="answers")], CPU.total)
    for a, b in zip(alone, mixed[3:]):
        assert torch.equal(a.weights["term"], b.weights["term"])
    assert not any(s.weights["term"].any() for s in mixed[:3])
    assert float(alone[0].weights["term"].sum()) > 0


def test_the_first_token_is_never_a_member() -> None:
    assert weigh([sequence([1, 1], spell("ss"))], [term(PerToken())], CPU.total)[0].weights["term"].tolist() == [0, 1]


@pytest.mark.parametrize("share", [PerToken(), PerSequence(), PerGroup()])
@given(made=sequences(), over=st.sets(st.sampled_from([Origin.GIVEN, Origin.SAMPLED, Origin.OBSERVED]), min_size=1))
def test_weights_are_on_members_only_and_sum_to_one(share, made: list[TrainingSequence], over: set[Origin]) -> None:
    weighed = weigh(made, [term(share, frozenset(over))], CPU.total)
    members = sum(int(sum(s.origin == o for o in over).sum()) for s in made)
    assert sum(float(s.weights["term"].sum()) for s in weighed) == pytest.approx(float(members > 0), abs=ROUNDING)
    for s in weighed:
        assert torch.equal(s.weights["term"] > 0, sum(s.origin == o for o in over) > 0)


@given(made=sequences(), tokens=st.sampled_from([1.0, 7.0]))
def test_a_constant_share_sums_to_the_mean_number_of_members(made: list[TrainingSequence], tokens: float) -> None:
    weighed = weigh(made, [term(PerConstant(tokens))], CPU.total)
    members = sum(int((s.origin == Origin.SAMPLED).sum()) for s in made)
    total = sum(float(s.weights["term"].sum()) for s in weighed)
    assert total == pytest.approx(members / len(made) / tokens, abs=ROUNDING)


@given(made=sequences(), size=st.one_of(st.none(), st.integers(1, 4)), passes=st.integers(1, 3))
def test_minibatches_never_split_a_group_and_every_pass_sees_all(
    made: list[TrainingSequence], size: int | None, passes: int
) -> None:
    cut = list(minibatches(made, size, passes, torch.Generator().manual_seed(0)))
    groups = {s.group for s in made}
    for minibatch in cut:
        present = {s.group for s in minibatch}
        assert len(present) <= (size or len(groups))
        assert {s.uid for s in minibatch} == {s.uid for s in made if s.group in present}
    assert sorted(s.uid for m in cut for s in m) == sorted(s.uid for s in made for _ in range(passes))
    assert len(cut) == passes * math.ceil(len(groups) / (size or len(groups)))


def test_passes_after_the_first_are_shuffled() -> None:
    made = [sequence([1, 1], spell("ps"), uid=uid, group=uid) for uid in range(20)]
    first, second = minibatches(made, None, 2, torch.Generator().manual_seed(0))
    assert [s.uid for s in first] == list(range(20))
    assert [s.uid for s in second] != list(range(20))


def test_groups_of_two_streams_are_two_groups() -> None:
    made = [sequence([1, 1], spell("ps"), uid=uid, stream=name) for uid, name in enumerate("ab")]
    assert len(list(minibatches(made, 1, 1, torch.Generator()))) == 2


@given(made=sequences(), budget=st.integers(1, 60))
def test_microbatches_keep_the_budget_unless_a_sequence_is_alone(made: list[TrainingSequence], budget: int) -> None:
    cut = list(microbatches(made, budget))
    for rows in cut:
        assert len(rows) == 1 or len(rows) * max(len(s.tokens) for s in rows) <= budget
    assert sorted(s.uid for rows in cut for s in rows) == sorted(s.uid for s in made)


def test_a_budget_of_everything_is_one_microbatch() -> None:
    assert len(list(microbatches(ragged(8), 8 * 20))) == 1
    assert len(list(microbatches(ragged(8), 1))) == 8


def test_padding_is_prompt_and_carries_nothing() -> None:
    made = weigh(
        [sequence([3, 4], spell("ps"), advantages=2.0), sequence([5, 6, 7], spell("pgs"), uid=1, advantages=3.0)],
        [term(PerToken())],
        CPU.total,
    )
    batch = collate(made, 9, torch.device("cpu"))
    assert batch.tokens.tolist() == [[3, 4, 9], [5, 6, 7]]
    assert batch.origin.tolist() == [[0, 2, 0], [0, 1, 2]]
    assert batch.attention_mask.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch.weights["term"].tolist() == [[0, 0.5, 0], [0, 0, 0.5]]
    assert batch.signals["advantages"].tolist() == [[2, 2, 0], [3, 3, 3]]


def test_a_signal_that_only_some_sequences_have_is_zero_on_the_others() -> None:
    made = [sequence([3, 4], spell("pg"), stream="demonstrations"), sequence([5, 6], spell("ps"), advantages=3.0)]
    for rows in (made, made[::-1]):
        values = collate(rows, 9, torch.device("cpu")).signals["advantages"].tolist()
        assert sorted(values) == [[0, 0], [3, 3]]


def emphasised() -> list[TrainingSequence]:
    """Three members emphasised 2, 0 and 1, and one sequence without any emphasis."""
    first = sequence([1] * 4, spell("psss"), uid=0, group="A")
    second = sequence([1] * 2, spell("ps"), uid=1, group="A")
    known = {"emphasis/term": torch.tensor([9.0, 2.0, 0.0, 1.0])}
    return [dataclasses.replace(first, signals=known), second]


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (PerToken(), [2 / 4, 0, 1 / 4, 1 / 4]),
        (PerToken(counts="weights"), [2 / 4, 0, 1 / 4, 1 / 4]),  # they sum to 3 + 1 as well
        (PerSequence(), [2 / 6, 0, 1 / 6, 1 / 2]),
        (PerSequence(counts="weights"), [2 / 6, 0, 1 / 6, 1 / 2]),
        (PerConstant(5.0), [2 / 10, 0, 1 / 10, 1 / 10]),
    ],
)
def test_emphasis_multiplies_membership(share, expected: list[float]) -> None:
    first, second = (s.weights["term"].tolist() for s in weigh(emphasised(), [term(share)], CPU.total))
    assert [*first[1:], second[1]] == pytest.approx(expected)
    assert first[0] == 0


def test_counting_weights_divides_by_what_is_left_of_the_members() -> None:
    first, second = emphasised()
    pruned = dataclasses.replace(first, signals={"emphasis/term": torch.tensor([0.0, 1.0, 0.0, 0.0])})
    kept, counted = (
        weigh([pruned, second], [term(PerToken(counts=counts))], CPU.total)[0].weights["term"].tolist()
        for counts in ("weights", "members")
    )
    assert kept == pytest.approx([0, 1 / 2, 0, 0])
    assert counted == pytest.approx([0, 1 / 4, 0, 0])


def test_the_emphasis_of_another_term_does_not_matter() -> None:
    other = Term("other", CrossEntropy(), SAMPLED, PerToken())
    assert weigh(emphasised(), [other], CPU.total)[0].weights["other"].tolist() == pytest.approx(
        [0, 1 / 4, 1 / 4, 1 / 4]
    )


@given(made=sequences(), budget=st.integers(1, 60))
def test_whole_groups_stay_together(made: list[TrainingSequence], budget: int) -> None:
    batches = list(microbatches(made, budget, whole_groups=True))
    assert sorted(s.uid for rows in batches for s in rows) == sorted(s.uid for s in made)
    homes = [{s.group for s in rows} for rows in batches]
    assert sum(len(groups) for groups in homes) == len(set().union(*homes))
    for rows in batches:
        longest = max(len(s.tokens) for s in rows)
        assert len({s.group for s in rows}) == 1 or longest * len(rows) <= budget


def test_a_batch_tells_who_belongs_together() -> None:
    rows = [sequence([1, 1], spell("ps"), uid=uid, group=group) for uid, group in enumerate("abca")]
    group = collate(rows, 0, torch.device("cpu")).group.tolist()
    assert group[0] == group[3]
    assert len(set(group)) == 3
