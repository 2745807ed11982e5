"""Forward against logits that are known, and where its gradients go."""

import pytest
import torch
from torch import Tensor

from fixtures.models import bigram_policy, random_table, tiny_policy
from fixtures.sequences import ragged, sequence, spell
from fixtures.training import CPU
from posttrain import forward as forward_module
from posttrain.batching import PerToken, collate, weigh
from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.policy import Policy
from posttrain.protocols import Term
from posttrain.types import Origin, TokenBatch, TrainingSequence
from tolerances import MODEL, ROUNDING, VISIBLE

TABLE = random_table(5)
TOKENS = [1, 3, 2, 4, 0]


def batch_of(*rows: TrainingSequence) -> TokenBatch:
    return collate(rows, 0, torch.device("cpu"))


def written(batch: TokenBatch) -> Tensor:
    """Every position but the prompt's and the first."""
    positions = batch.origin != int(Origin.PROMPT)
    positions[:, 0] = False
    return positions


def forward(policy: Policy, *rows: TrainingSequence, frozen: dict[str, Policy] | None = None) -> Forward:
    batch = batch_of(*rows)
    return Forward(policy, batch, written(batch), frozen)


def expected_logprobs(temperature: float = 1.0, shift: int = 1) -> list[float]:
    """From the table: token t is predicted by token t - ``shift``."""
    predicted = torch.log_softmax(TABLE / temperature, -1)
    return [float(predicted[TOKENS[t - shift], TOKENS[t]]) for t in range(2, len(TOKENS))]


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_logprobs_are_read_off_the_table(temperature: float) -> None:
    values = forward(bigram_policy(TABLE), sequence(TOKENS, spell("ppsss"), temperature=temperature)).logprobs
    assert values[0].tolist() == pytest.approx([0, 0, *expected_logprobs(temperature)], abs=ROUNDING)


def test_the_table_would_show_a_shift_and_an_ignored_temperature() -> None:
    right = expected_logprobs()
    for wrong in (expected_logprobs(shift=0), expected_logprobs(shift=2), expected_logprobs(temperature=0.5)):
        assert all(abs(a - b) > VISIBLE for a, b in zip(right, wrong))


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_entropy_is_read_off_the_table(temperature: float) -> None:
    values = forward(bigram_policy(TABLE), sequence(TOKENS, spell("ppsss"), temperature=temperature)).entropy
    p = torch.softmax(TABLE[TOKENS[1:4]] / temperature, -1)
    assert values[0].tolist() == pytest.approx([0, 0, *(-(p * p.log()).sum(-1)).tolist()], abs=ROUNDING)


def test_each_row_has_its_own_temperature() -> None:
    rows = [sequence(TOKENS, spell("ppsss"), temperature=t, uid=uid) for uid, t in enumerate((1.0, 0.5))]
    values = forward(bigram_policy(TABLE), *rows).logprobs
    assert values[0, 2:].tolist() == pytest.approx(expected_logprobs(1.0), abs=ROUNDING)
    assert values[1, 2:].tolist() == pytest.approx(expected_logprobs(0.5), abs=ROUNDING)


def test_only_sampled_tokens_have_a_temperature() -> None:
    """A hint was written by somebody else: its likelihood is that of the model as it is."""
    values = forward(bigram_policy(TABLE), sequence(TOKENS, spell("ppgso"), temperature=0.5)).logprobs
    plain, tempered = expected_logprobs(1.0), expected_logprobs(0.5)
    assert values[0, 2:].tolist() == pytest.approx([plain[0], tempered[1], plain[2]], abs=ROUNDING)


def test_against_gives_both_distributions_of_the_same_token() -> None:
    other = random_table(5, seed=1)
    view = forward(bigram_policy(TABLE), sequence(TOKENS, spell("ppsss")), frozen={"other": bigram_policy(other)})
    differences = view.against("other", lambda ours, theirs: (ours - 2 * theirs)[:, 0])
    assert differences[0].tolist() == pytest.approx(
        [0, 0, *(TABLE[TOKENS[1:4], 0] - 2 * other[TOKENS[1:4], 0]).tolist()], abs=ROUNDING
    )


def test_the_logits_are_a_row_per_position_in_the_order_of_the_batch() -> None:
    rows = [sequence(TOKENS, spell("ppsss"), temperature=0.5), sequence(TOKENS[:3], spell("pgg"), uid=1)]
    found = forward(bigram_policy(TABLE), *rows).logits
    expected = torch.cat([TABLE[TOKENS[1:4]] / 0.5, TABLE[TOKENS[:2]]])
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)


def test_every_pass_is_counted_once_by_its_real_tokens(policy: Policy) -> None:
    view = forward(policy, *ragged(4))
    assert policy.tokens_passed == 0
    assert view.logprobs.shape == view.entropy.shape
    assert policy.tokens_passed == int(view.batch.attention_mask.sum())
    _ = view.again().logits
    assert policy.tokens_passed == 2 * int(view.batch.attention_mask.sum())


def test_a_transformers_logprobs_equal_its_own_logits_shifted(policy: Policy) -> None:
    row = ragged(1)[0]
    values = forward(policy, row).logprobs[0]
    with torch.no_grad():
        logits = policy.model(input_ids=row.tokens[None], use_cache=False).logits[0]
    own = torch.log_softmax(logits[:-1], -1).gather(-1, row.tokens[1:, None])[:, 0]
    mask = row.origin[1:] != int(Origin.PROMPT)
    torch.testing.assert_close(values[1:][mask], own[mask], rtol=0, atol=MODEL)


def test_padding_and_neighbours_change_nothing(policy: Policy) -> None:
    rows = ragged(6)
    together = forward(policy, *rows).logprobs
    for row, values in zip(rows, together):
        alone = forward(policy, row).logprobs[0]
        torch.testing.assert_close(values[: len(row.tokens)], alone, rtol=0, atol=MODEL)
        assert not values[len(row.tokens) :].any()


def quantities(view: Forward) -> dict[str, Tensor]:
    return {
        "logprobs": view.logprobs,
        "entropy": view.entropy,
        "largest": view.at_logits(lambda logits, tokens: logits.logsumexp(-1)),
        "against": view.against("other", lambda ours, theirs: (ours.softmax(-1) * theirs).sum(-1)),
    }


@pytest.mark.parametrize("name", ["logprobs", "entropy", "largest", "against"])
@pytest.mark.parametrize("positions_at_once", [1, 5])
def test_chunks_of_positions_give_the_same_values_and_gradients(
    monkeypatch: pytest.MonkeyPatch, name: str, positions_at_once: int
) -> None:
    results = []
    for limit in (1 << 25, positions_at_once * int(tiny_policy().model.config.vocab_size)):
        monkeypatch.setattr(forward_module, "POSITIONS_AT_ONCE", 1)
        monkeypatch.setitem(forward_module.LOGITS_AT_ONCE, "cpu", limit)
        monkeypatch.setattr(forward_module, "LOGITS_HELD", limit)
        ours = tiny_policy()
        values = quantities(forward(ours, *ragged(3), frozen={"other": tiny_policy(seed=1).frozen_copy()}))[name]
        (values * torch.arange(values.numel()).view_as(values)).sum().backward()
        results.append((values.detach(), [p.grad for p in ours.trainable()]))
    (whole, whole_gradients), (cut, cut_gradients) = results
    torch.testing.assert_close(cut, whole, rtol=0, atol=ROUNDING)
    for a, b in zip(cut_gradients, whole_gradients):
        torch.testing.assert_close(a, b, rtol=MODEL, atol=MODEL)


def test_gradient_reaches_only_the_predictors_of_weighted_positions() -> None:
    policy = bigram_policy(TABLE)
    rows = weigh([sequence(TOKENS, spell("ppgss"))], [given_term()], CPU.total)
    batch = batch_of(*rows)
    view = Forward(policy, batch, written(batch))
    (view.logprobs * batch.weights["given"]).sum().backward()
    touched = policy.model.table.grad.abs().sum(-1) > 0
    assert touched.nonzero()[:, 0].tolist() == [TOKENS[1]]  # only token 2 is GIVEN, and token 1 predicts it


def given_term() -> Term:
    return Term("given", CrossEntropy(), frozenset({Origin.GIVEN}), PerToken())


def test_nothing_is_computed_outside_the_positions() -> None:
    policy, batch = bigram_policy(TABLE), batch_of(sequence(TOKENS, spell("ppsss")))
    positions = torch.tensor([[False, False, False, True, False]])
    values = Forward(policy, batch, positions).logprobs
    assert (values != 0).tolist() == positions.tolist()


def test_a_weight_on_the_first_token_is_refused() -> None:
    batch = batch_of(sequence(TOKENS, spell("sssss")))
    with pytest.raises(ValueError, match="position 0"):
        Forward(bigram_policy(TABLE), batch, batch.origin == int(Origin.SAMPLED))


@pytest.mark.parametrize("name", ["logprobs", "entropy"])
def test_a_quantity_first_read_without_gradients_still_has_them(policy: Policy, name: str) -> None:
    view = forward(policy, *ragged(2))
    with torch.no_grad():
        getattr(view, name)
    assert getattr(view, name).requires_grad


def test_a_view_made_without_gradients_never_has_them(policy: Policy) -> None:
    with torch.no_grad():
        view = forward(policy, *ragged(2))
    assert not view.logprobs.requires_grad


def test_no_gradient_flows_into_a_frozen_policy(policy: Policy) -> None:
    frozen = policy.frozen_copy()
    view = forward(policy, *ragged(2), frozen={"reference": frozen})
    view.against("reference", lambda ours, theirs: (ours * theirs).sum(-1)).sum().backward()
    assert all(p.grad is None for p in frozen.model.parameters())
    assert any(p.grad is not None and bool(p.grad.any()) for p in policy.trainable())


def test_a_frozen_copy_shares_nothing(policy: Policy) -> None:
    frozen = policy.frozen_copy()
    with torch.no_grad():
        for parameter in policy.trainable():
            parameter.add_(1.0)
    fresh = tiny_policy()
    for ours, theirs in zip(frozen.model.parameters(), fresh.model.parameters()):
        assert torch.equal(ours, theirs)
    assert not frozen.trainable()


def test_dropout_never_acts(policy: Policy) -> None:
    policy.model.train()
    assert not Policy(policy.model, policy.text).model.training


def test_a_head_with_an_unknown_twist_is_refused(monkeypatch: pytest.MonkeyPatch, policy: Policy) -> None:
    plain = type(policy.model).forward

    def twisted(self, **inputs):
        out = plain(self, **inputs)
        out.logits = out.logits * 3
        return out

    monkeypatch.setattr(type(policy.model), "forward", twisted)
    with pytest.raises(UserError, match="not supported"):
        Policy(policy.model, policy.text)


@pytest.mark.parametrize(
    ("setting", "twist"),
    [
        ({"logits_scaling": 2.0}, lambda x: x / 2.0),
        ({"logit_scale": 0.5}, lambda x: x * 0.5),
        ({"final_logit_softcapping": 1.5}, lambda x: torch.tanh(x / 1.5) * 1.5),
    ],
)
def test_known_twists_of_the_head(monkeypatch: pytest.MonkeyPatch, setting: dict[str, float], twist) -> None:
    policy = bigram_policy(TABLE)
    for name, value in setting.items():
        monkeypatch.setattr(policy.model.config, name, value, raising=False)
    torch.testing.assert_close(policy.head(TABLE), twist(TABLE), rtol=0, atol=ROUNDING)
