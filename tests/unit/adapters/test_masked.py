"""Fixed supports: which entries are chosen, and the penalty that draws them back."""

import copy

import pytest
import torch

from fixtures.models import bigram_policy, random_table, tiny_policy, weights
from posttrain.adapters.anchored import Anchored
from posttrain.adapters.masked import AtRandom, AttachedMasked, Largest, Masked, MostMoved
from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.types import Progress
from tolerances import ROUNDING

NOW = Progress(0, 10, 0)
QUERY, NORM = "model.layers.0.self_attn.q_proj.weight", "model.norm.weight"
TOTAL = sum(p.numel() for p in tiny_policy().model.parameters())


def changed(changes: dict[str, dict[int, float]]) -> Policy:
    """The tiny policy with some entries moved by so much."""
    policy = tiny_policy()
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            for index, by in changes.get(name, {}).items():
                parameter.view(-1)[index] += by
    return policy.frozen_copy()


def support(policy: Policy, masked: Masked, **remembered: Policy) -> dict[str, list[int]]:
    attached = masked.attach(policy, 0, remembered)
    return {name: delta.indices.tolist() for name, delta in attached.deltas.deltas.items()}


def share(count: int) -> float:
    return (count + 0.5) / TOTAL


def test_the_most_moved_are_compared_over_all_parameters() -> None:
    dense = changed({QUERY: {3: 0.5, 9: -0.7, 11: 0.1}, NORM: {2: 0.2, 4: -0.6}})
    for count, expected in [(1, {QUERY: [9]}), (3, {QUERY: [3, 9], NORM: [4]}), (4, {QUERY: [3, 9], NORM: [2, 4]})]:
        found = support(tiny_policy(), Masked(share(count)), pretrained=tiny_policy().frozen_copy(), dense=dense)
        assert found == expected


def test_equal_movements_do_not_exceed_the_number() -> None:
    dense = changed({NORM: {4: 0.5, 7: -0.5, 9: 0.5}})
    total = sum(p.numel() for name, p in tiny_policy().model.named_parameters() if "norm" in name)
    found = support(tiny_policy(), Masked(2.5 / total, names="norm"), pretrained=changed({}), dense=dense)
    assert found == {NORM: [4, 7]}


def test_each_of_several_states_adds_what_is_not_chosen_yet() -> None:
    states = {
        "pretrained": changed({}),
        "dense": changed({QUERY: {3: 0.5, 4: 0.4, 5: 0.3}}),
        "dense 2": changed({QUERY: {3: 9.0, 4: 8.0, 5: 0.1, 6: 0.2}}),
    }
    entries = MostMoved(moved_to=("dense", "dense 2"))
    assert support(tiny_policy(), Masked(share(4), entries), **states) == {QUERY: [3, 4, 5, 6]}
    assert support(tiny_policy(), Masked(share(3), entries), **states) == {QUERY: [3, 4]}  # equal parts, rounded down
    swapped = MostMoved(moved_to=("dense 2", "dense"))
    assert support(tiny_policy(), Masked(share(2), swapped), **states) == {QUERY: [3, 4]}


def test_the_largest_are_by_absolute_value() -> None:
    policy = tiny_policy()
    with torch.no_grad():
        dict(policy.model.named_parameters())[NORM].view(-1)[6] = -50.0
        dict(policy.model.named_parameters())[QUERY].view(-1)[8] = 40.0
    assert support(policy, Masked(share(2), Largest())) == {QUERY: [8], NORM: [6]}


def test_a_random_support_depends_on_the_seed_and_is_spread() -> None:
    def drawn(seed: int) -> dict[str, list[int]]:
        attached = Masked(0.2, AtRandom()).attach(tiny_policy(), seed, {})
        return {name: delta.indices.tolist() for name, delta in attached.deltas.deltas.items()}

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    assert sum(map(len, drawn(0).values())) == int(0.2 * TOTAL)
    sizes = {name: p.numel() for name, p in tiny_policy().model.named_parameters()}
    for name, found in drawn(0).items():
        assert len(set(found)) == len(found)
        expected, spread = 0.2 * sizes[name], (sizes[name] * 0.2 * 0.8) ** 0.5
        assert abs(len(found) - expected) <= 4 * spread + 1


def test_what_was_chosen_is_trained_on_whatever_weights_it_comes_back_to() -> None:
    def attached_to(name: str, index: int) -> tuple[Policy, AttachedMasked]:
        policy = tiny_policy()
        with torch.no_grad():
            dict(policy.model.named_parameters())[name].view(-1)[index] = 50.0
        return policy, Masked(share(1), Largest(), l1=1.0).attach(policy, 0, {})

    (first, chosen), (second, other) = attached_to(QUERY, 8), attached_to(NORM, 6)
    with torch.no_grad():
        for value in first.trainable():
            value.fill_(-3.0)
    chosen.deltas.write()
    state = copy.deepcopy((chosen.state_dict(), first.model.state_dict()))
    assert [set(a.deltas.deltas) for a in (chosen, other)] == [{QUERY}, {NORM}]
    other.load_state_dict(state[0])
    second.model.load_state_dict(state[1])
    assert [v.tolist() for v in second.named_trainable().values()] == [[-3.0]]
    ours, theirs = chosen.plain_weights(), other.plain_weights()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert other.deltas.weights[QUERY].view(-1)[8] == 47.0
    (delta,) = other.deltas.deltas.values()
    delta.values.grad = torch.zeros(1, dtype=torch.float64)
    other.before_update(torch.optim.SGD([delta.values], lr=1.0), NOW)
    assert delta.values.grad.tolist() == pytest.approx([-1.0 / TOTAL], abs=ROUNDING)


def test_names_limit_what_may_be_chosen() -> None:
    found = support(tiny_policy(), Masked(1.0, AtRandom(), names=r"layers\.1\..*norm"))
    assert set(found) == {f"model.layers.1.{n}_layernorm.weight" for n in ("input", "post_attention")}


@pytest.mark.parametrize(
    ("masked", "states", "message"),
    [
        (Masked(0.5), {}, "no part of the recipe kept the policy 'pretrained'"),
        (Masked(0.5), {"pretrained": {}, "dense": {}}, "no weight differs between 'pretrained' and 'dense'"),
        (Masked(0.5, AtRandom(), "nowhere"), {}, "no parameter's name matches 'nowhere'"),
        (Masked(1e-9, AtRandom()), {}, "not a single one; raise it"),
    ],
)
def test_what_cannot_be_chosen_is_refused(masked: Masked, states: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        masked.attach(tiny_policy(), 0, {name: changed(changes) for name, changes in states.items()})


def test_a_full_support_needs_nothing_that_moved() -> None:
    found = support(tiny_policy(), Masked(1.0), pretrained=changed({}), dense=changed({}))
    assert sum(map(len, found.values())) == TOTAL


@pytest.mark.parametrize("make", [lambda: Masked(0.0), lambda: Masked(1.5), lambda: Masked(0.1, l1=-1.0)])
def test_settings_without_meaning_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"above 0 and at most 1|cannot be negative"):
        make()


def test_the_penalty_adds_the_sign_of_the_distance() -> None:
    policy, before = bigram_policy(random_table(3)), random_table(3)
    anchor = bigram_policy(before).frozen_copy()
    with torch.no_grad():
        policy.model.table[0, 0] += 2.0
        policy.model.table[1, 1] -= 2.0
    attached = Masked(1.0, AtRandom(), l1=1.8, l1_towards="begin").attach(policy, 0, {"begin": anchor})
    (delta,) = attached.deltas.deltas.values()
    delta.values.grad = torch.full((9,), 0.25, dtype=torch.float64)
    attached.before_update(torch.optim.SGD([delta.values], lr=1.0), NOW)
    expected = torch.full((9,), 0.25, dtype=torch.float64)
    expected[0] += 0.1  # 1.8 over the 18 parameters of the model
    expected[4] -= 0.1
    torch.testing.assert_close(delta.values.grad, expected, rtol=0, atol=ROUNDING)


def test_without_a_remembered_state_the_penalty_draws_to_the_beginning() -> None:
    policy = bigram_policy(random_table(3))
    attached = Masked(1.0, AtRandom(), l1=18.0).attach(policy, 0, {})
    (delta,) = attached.deltas.deltas.values()
    with torch.no_grad():
        delta.values[3], delta.values[5] = 1.0, -1.0
    attached.after_update(torch.optim.SGD([delta.values], lr=1.0), NOW)
    delta.values.grad = torch.zeros(9, dtype=torch.float64)
    attached.before_update(torch.optim.SGD([delta.values], lr=1.0), NOW)
    assert delta.values.grad.tolist() == [0, 0, 0, 1, 0, -1, 0, 0, 0]


def test_dense_training_is_drawn_in_the_same_way() -> None:
    policy = bigram_policy(random_table(3))
    attached = Anchored("begin", 1.8).attach(policy, 0, {"begin": policy.frozen_copy()})
    with torch.no_grad():
        policy.model.table[0, 2] += 1.0
    policy.model.table.grad = torch.zeros(3, 3, dtype=torch.float64)
    attached.before_update(torch.optim.SGD(policy.trainable(), lr=1.0), NOW)
    expected = torch.zeros(3, 3, dtype=torch.float64)
    expected[0, 2] = 0.1
    torch.testing.assert_close(policy.model.table.grad, expected, rtol=0, atol=ROUNDING)
    assert attached.plain_weights().keys() == policy.model.state_dict().keys()


def test_an_anchor_that_nobody_kept_is_refused() -> None:
    with pytest.raises(UserError, match="no part of the recipe kept the policy 'begin'"):
        Anchored("begin", 0.1).attach(tiny_policy(), 0, {})
    with pytest.raises(ValueError, match="cannot be negative"):
        Anchored("begin", -0.1)


def test_merging_gives_everything_back() -> None:
    policy, before = tiny_policy(), weights(tiny_policy())
    attached = Masked(0.1, AtRandom()).attach(policy, 0, {})
    attached.merge()
    assert [n for n, _ in policy.model.named_parameters()] == list(before)
    assert all(p.requires_grad for p in policy.model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in weights(policy).items())
