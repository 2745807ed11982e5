"""Drop and regrow, on a table whose gradients are stated."""

import pytest
import torch
from torch import Tensor

from fixtures.models import bigram_policy, random_table, tiny_policy
from posttrain.adapters.growth import ByGradients, ByMoments
from posttrain.adapters.spiel import AttachedSpiel, CosineReplacement, LinearReplacement, Spiel, trunk_matrices
from posttrain.errors import UserError
from posttrain.optimisers.per_entry import PerEntryAdamW
from posttrain.optimisers.sm3 import Sm3
from posttrain.policy import Policy
from posttrain.stage import AdamW
from posttrain.types import Progress
from tolerances import ROUNDING

SIZE, TOTAL = 5, 40
SHAPE = (SIZE, SIZE)
TEN = 0.2
"""Ten entries: the table and the output have 25 numbers each."""


class Driven:
    """A table under SpIEL whose gradient in every update is given."""

    def __init__(self, spiel: Spiel, spec: object = PerEntryAdamW(), rate: float = 0.1) -> None:
        self.policy: Policy = bigram_policy(random_table(SIZE))
        self.attached: AttachedSpiel = spiel.attach(self.policy, 0, {})
        (self.delta,) = self.attached.deltas.deltas.values()
        self.optimiser = spec.start([{"params": self.policy.trainable()}])
        self.rate, self.step = rate, 0

    def update(self, *gradients: Tensor) -> None:
        """One update whose gradient is the sum of several passes'."""
        for gradient in gradients:
            (self.policy.model.table * gradient).sum().backward()
        self.attached.before_update(self.optimiser, self.now)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.attached.after_update(self.optimiser, self.now)
        self.step += 1

    @property
    def now(self) -> Progress:
        return Progress(self.step, TOTAL, 0)

    @property
    def indices(self) -> list[int]:
        return self.delta.indices.tolist()

    @property
    def values(self) -> dict[int, float]:
        return dict(zip(self.indices, self.delta.values.tolist(), strict=True))

    def moments(self, name: str) -> dict[int, float]:
        state = self.optimiser.state[self.delta.values]
        return dict(zip(self.indices, state[name].tolist(), strict=True))


def noise(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spiel(**settings: object) -> Spiel:
    return Spiel(**{"density": TEN, "every": 4, "looking": 2, **settings})


def test_entries_are_drawn_in_proportion_to_the_size_of_each_matrix() -> None:
    policy = tiny_policy()
    matrices = trunk_matrices(policy)
    assert len(matrices) == 14
    assert all("_proj.weight" in name for name in matrices)
    attached = Spiel(density=0.1).attach(policy, 0, {})
    total, wanted = sum(p.numel() for p in matrices.values()), int(0.1 * tiny_policy().parameters_count)
    for name, delta in attached.deltas.deltas.items():
        assert len(delta.indices) == wanted * matrices[name].numel() // total
        assert delta.indices.tolist() == sorted(set(delta.indices.tolist()))
    assert {id(p) for p in policy.trainable()} == {id(d.values) for d in attached.deltas.deltas.values()}


def test_the_first_entries_depend_on_the_seed() -> None:
    def drawn(seed: int) -> list[int]:
        attached = Spiel(density=0.02, names="layers.0.mlp.up").attach(tiny_policy(), seed, {})
        (delta,) = attached.deltas.deltas.values()
        return delta.indices.tolist()

    assert drawn(0) == drawn(0) != drawn(1)


def test_entries_are_replaced_after_the_look_of_each_phase() -> None:
    driven, changes = Driven(spiel(replacement=LinearReplacement(1.0, 1.0))), []
    for step in range(15):
        before = driven.indices
        driven.update(noise(step))
        if driven.indices != before:
            changes.append(step + 1)
    assert changes == [2, 6, 10, 14]


def test_what_is_held_only_for_a_look() -> None:
    driven = Driven(spiel())
    growth = driven.attached.growth
    held = []
    for step in range(6):
        driven.update(noise(step))
        held.append((len(growth.followed), driven.delta.watch is None))
    #                after 1    2: replaced  3          4: phase opens  5    6: replaced
    assert held == [(1, False), (0, True), (0, True), (0, False), (1, False), (0, True)]


def test_the_first_replacement_takes_the_entries_of_the_largest_gradients() -> None:
    driven = Driven(spiel())
    first, second = noise(0), noise(1)
    driven.update(first)
    driven.update(second)
    candidates = first.flatten().abs().topk(10).indices
    assert sorted(driven.indices) == sorted(candidates.tolist())  # as many candidates as entries, all reconsidered


def test_new_moments_are_the_means_of_what_was_seen() -> None:
    driven, before = Driven(spiel()), None
    first, second = noise(0), noise(1)
    driven.update(first)
    before = set(driven.indices)
    driven.update(second)
    seen = torch.stack([first.flatten(), second.flatten()])
    grown = [i for i in driven.indices if i not in before]
    assert len(grown) > 3
    for index in grown:
        mean, square = float(seen[:, index].mean()), float((seen[:, index] ** 2).mean())
        assert driven.moments("exp_avg")[index] == pytest.approx(mean * (1 - 0.9**2), abs=ROUNDING)
        assert driven.moments("exp_avg_sq")[index] == pytest.approx(square * (1 - 0.999**2), abs=ROUNDING)
        assert driven.moments("age")[index] == 2.0
        assert driven.values[index] == 0.0


def test_entries_that_stay_keep_change_and_moments_bit_for_bit() -> None:
    driven = Driven(spiel(replacement=LinearReplacement(0.3, 0.3)))
    plain = Driven(spiel(replacement=LinearReplacement(0.0, 0.0)))
    for step in range(2):
        driven.update(noise(step))
        plain.update(noise(step))
    stayed = set(driven.indices) & set(plain.indices)
    assert len(stayed) == 7
    for index in stayed:
        assert driven.values[index] == plain.values[index]
        for name in ("exp_avg", "exp_avg_sq", "age"):
            assert driven.moments(name)[index] == plain.moments(name)[index]


def test_the_least_changed_are_dropped_and_their_change_is_gone() -> None:
    driven = Driven(spiel(replacement=LinearReplacement(0.3, 0.3)))
    plain = Driven(spiel(replacement=LinearReplacement(0.0, 0.0)))
    for step in range(2):
        driven.update(noise(step))
        plain.update(noise(step))
    dropped = set(plain.indices) - set(driven.indices)
    least = sorted(plain.values, key=lambda i: abs(plain.values[i]))[:3]
    assert dropped == set(least)
    table, base = driven.policy.model.table.detach().flatten(), random_table(SIZE).flatten()
    for index in range(SIZE * SIZE):
        expected = base[index] + driven.values[index] if index in driven.values else base[index]
        assert float(table[index]) == float(expected)


def test_among_the_candidates_the_largest_sums_are_grown() -> None:
    driven = Driven(spiel(replacement=LinearReplacement(0.2, 0.2)))
    before = driven.indices
    outside = [i for i in range(SIZE * SIZE) if i not in before]
    first, second = torch.zeros(25, dtype=torch.float64), torch.zeros(25, dtype=torch.float64)
    first[outside[:4]] = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    second[outside[:5]] = torch.tensor([-4.0, 1.0, 1.0, -9.0, 100.0], dtype=torch.float64)
    driven.update(first.view(SHAPE))
    driven.update(second.view(SHAPE))
    # Sums 0, 4, 3 and -8; the fifth was no candidate, because its gradient came after the first update.
    assert set(driven.indices) - set(before) == {outside[3], outside[1]}


def test_with_too_few_candidates_the_most_changed_stay() -> None:
    driven = Driven(spiel(replacement=LinearReplacement(0.5, 0.5)))
    before = driven.indices
    # The gradient is largest on eight trained entries and on two others: at most two can be grown.
    inside, outside = before[:8], [i for i in range(25) if i not in before][:2]
    gradient = torch.zeros(25, dtype=torch.float64)
    gradient[inside] = torch.arange(8, 0, -1, dtype=torch.float64)
    gradient[outside] = 1.0
    driven.update(gradient.view(SHAPE))
    plain = driven.values
    driven.update(gradient.view(SHAPE))
    assert set(driven.indices) - set(before) == set(outside)
    assert set(before) - set(driven.indices) == set(sorted(plain, key=lambda i: abs(plain[i]))[:2])


def test_the_number_of_entries_never_changes_and_none_is_twice() -> None:
    for growth, spec in ((ByGradients(), PerEntryAdamW()), (ByMoments(), Sm3())):
        driven = Driven(spiel(growth=growth), spec)
        for step in range(20):
            driven.update(noise(step))
            assert len(set(driven.indices)) == 10
            assert sum(p.numel() for p in driven.policy.trainable()) == 10


def test_replacing_changes_the_function_only_by_what_is_dropped() -> None:
    driven = Driven(spiel(replacement=LinearReplacement(0.4, 0.4)))
    plain = Driven(spiel(replacement=LinearReplacement(0.0, 0.0)))
    for step in range(2):
        driven.update(noise(step))
        plain.update(noise(step))
    difference = (driven.policy.model.table - plain.policy.model.table).detach().flatten()
    dropped = set(plain.indices) - set(driven.indices)
    assert set(difference.nonzero()[:, 0].tolist()) == dropped
    for index in dropped:
        assert float(difference[index]) == pytest.approx(-plain.values[index], abs=ROUNDING)


def test_the_cut_into_passes_changes_nothing() -> None:
    whole, cut = Driven(spiel()), Driven(spiel())
    for step in range(7):
        gradient, part = noise(step), noise(100 + step)
        whole.update(gradient)
        cut.update(gradient - part, part)
    assert cut.indices == whole.indices
    for one, other in zip(whole.values.values(), cut.values.values()):
        assert other == pytest.approx(one, abs=1000 * ROUNDING)


def test_a_full_density_never_replaces_anything() -> None:
    driven = Driven(spiel(density=1.0, replacement=LinearReplacement(1.0, 1.0)))
    for step in range(8):
        driven.update(noise(step))
        assert driven.indices == list(range(25))
        assert driven.moments("age")[0] == step + 1


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        (LinearReplacement(), [(0.1, True, 1.0), (0.1, False, 0.18), (1.0, False, 0.0)]),
        (CosineReplacement(), [(0.0, True, 0.2), (0.5, False, 0.1), (1.0, False, 0.0)]),
    ],
)
def test_how_many_are_replaced(replacement, expected) -> None:
    for done, first, share in expected:
        assert replacement.share(done, first) == pytest.approx(share, abs=ROUNDING)


def test_the_share_falls_with_the_steps_that_are_done() -> None:
    driven = Driven(spiel(density=1.0, replacement=LinearReplacement(1.0, 1.0)))
    asked = []
    driven.attached.growth.best, plain = (
        lambda o, n, d, count: asked.append(count) or plain(o, n, d, count),
        driven.attached.growth.best,
    )
    for step in range(7):
        driven.update(noise(step))
    assert asked == [25, int((1 - 6 / TOTAL) * 25)]


def test_updates_without_a_gradient_are_waited_out() -> None:
    driven = Driven(spiel())
    before = driven.indices
    (values,) = driven.policy.trainable()
    values.grad = torch.zeros_like(values)
    driven.attached.before_update(driven.optimiser, driven.now)
    driven.optimiser.step()
    driven.attached.after_update(driven.optimiser, driven.now)
    assert driven.attached.growth.followed == {}
    driven.update(noise(0))
    assert driven.indices != before


def test_with_plain_adamw_new_moments_are_as_old_as_the_others() -> None:
    driven = Driven(spiel(every=8, looking=2), AdamW(betas=(0.5, 0.75), weight_decay=0.0))
    for step in range(9):
        driven.update(noise(step))
    before = set(driven.indices)
    driven.update(noise(9))
    grown = [i for i in driven.indices if i not in before]
    assert grown
    seen = torch.stack([noise(8).flatten(), noise(9).flatten()])
    for index in grown:
        mean = float(seen[:, index].mean())
        assert driven.moments("exp_avg")[index] == pytest.approx(mean * (1 - 0.5**10), abs=ROUNDING)
        square = float((seen[:, index] ** 2).mean())
        assert driven.moments("exp_avg_sq")[index] == pytest.approx(square * (1 - 0.75**10), abs=ROUNDING)


def test_growth_by_moments_takes_the_greatest_products_of_what_is_not_trained() -> None:
    driven = Driven(spiel(growth=ByMoments(), replacement=LinearReplacement(0.3, 0.3)), Sm3())
    driven.update(noise(0))
    before = driven.indices
    rows, columns = (a.clone() for a in driven.optimiser.accumulators(driven.delta.values))
    last = torch.zeros(SHAPE, dtype=torch.float64)
    driven.update(last)
    scores = torch.outer(rows, columns).flatten()
    scores[before] = -1
    assert set(driven.indices) - set(before) == set(scores.topk(3).indices.tolist())


def test_rows_and_columns_without_gradient_are_not_grown() -> None:
    driven = Driven(spiel(growth=ByMoments()), Sm3())
    before, gradient = driven.indices, torch.zeros(25, dtype=torch.float64)
    gradient[before[0]] = 1.0  # one entry alone: the only product above 0 is its own
    driven.update(gradient.view(SHAPE))
    driven.update(gradient.view(SHAPE))
    assert driven.indices == before


def test_optimisers_whose_memory_is_unknown_are_refused() -> None:
    class Plain:
        def start(self, groups):
            return torch.optim.SGD(groups, lr=0.1)

    with pytest.raises(UserError, match="SGD cannot take in new entries; use AdamW, PerEntryAdamW or Sm3"):
        Driven(spiel(), Plain()).update(noise(0))
    with pytest.raises(UserError, match="reads what SM3 remembers, and AdamW is another optimiser"):
        Driven(spiel(growth=ByMoments()), AdamW()).update(noise(0))


@pytest.mark.parametrize(("growth", "spec"), [(ByGradients(), PerEntryAdamW()), (ByMoments(), Sm3())], ids=str)
@pytest.mark.parametrize("stop", range(8))
def test_going_on_from_a_saved_state_is_never_having_stopped(growth, spec, stop: int) -> None:
    whole, first, second = (Driven(spiel(growth=growth), spec) for _ in range(3))
    for step in range(9):
        whole.update(noise(step))
    for step in range(stop):
        first.update(noise(step))
    second.attached.load_state_dict(first.attached.state_dict())
    second.policy.model.load_state_dict(first.policy.model.state_dict())
    second.optimiser.load_state_dict(first.optimiser.state_dict())
    second.step = stop
    for step in range(stop, 9):
        second.update(noise(step))
    assert second.values == whole.values
    assert torch.equal(second.policy.model.table, whole.policy.model.table)


def test_merging_ends_the_look_and_keeps_the_changes() -> None:
    driven = Driven(spiel())
    driven.update(noise(0))
    before = driven.policy.model.table.detach().clone()
    driven.attached.merge()
    assert isinstance(driven.policy.model.table, torch.nn.Parameter)
    assert torch.equal(driven.policy.model.table, before)
    (driven.policy.model.table * noise(1)).sum().backward()
    assert (driven.attached.growth.followed, driven.delta.watch) == ({}, None)


def test_what_is_differentiated_on_the_side_is_no_part_of_an_update() -> None:
    driven, disturbed = Driven(spiel()), Driven(spiel())
    for step in range(6):
        torch.autograd.grad((disturbed.policy.model.table * noise(99)).sum(), [disturbed.delta.values])
        for one in (driven, disturbed):
            one.update(noise(step), noise(10 + step))
    assert disturbed.values == driven.values


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"density": 0.0}, "above 0 and at most 1"),
        ({"looking": 4}, "between 1 and every - 1"),
        ({"looking": 0}, "between 1 and every - 1"),
    ],
)
def test_settings_without_meaning_are_refused(settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spiel(**settings)
    with pytest.raises(ValueError, match="between 0 and 1"):
        LinearReplacement(at_first=1.5)


@pytest.mark.parametrize(
    ("settings", "message"), [({"names": "nowhere"}, "matches 'nowhere'"), ({"density": 1e-9}, "no matrix a single")]
)
def test_what_would_train_nothing_is_refused(settings, message: str) -> None:
    with pytest.raises(UserError, match=message):
        spiel(**settings).attach(tiny_policy(), 0, {})
