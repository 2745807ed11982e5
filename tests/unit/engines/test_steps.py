"""Steps that are recorded once and played again, with a recorder of tensor operations in place of a GPU's."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from fixtures.folders import bpe_tokenizer, random_model
from fixtures.models import tiny_policy
from posttrain.engines import cursors, steps
from posttrain.engines.cursors import ROOM, DeviceCursor, ProgramCursor
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.policy import Policy
from posttrain.prefixes import choose_attention, reads_shared_prompts
from posttrain.sampling import Completion, Sampling
from posttrain.text import Text
from tolerances import FLOAT32_RECORD

PROMPTS = [torch.tensor(p) for p in ([5], [3, 9, 4, 7, 2], [6, 6, 8], [2, 3, 4, 5, 6, 7, 8, 9], [11, 12])]
NEW = ROOM + 8


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers grow within a few tokens."""
    monkeypatch.setattr(cursors, "ROOM_RECORDED", ROOM)


class Operations:
    """Notes which operations a step does on which tensors; all that the program knew becomes a constant of it."""

    def __init__(self) -> None:
        self.recorded = self.played = 0

    def __call__(self, step: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.recorded += 1
        noted = make_fx(step)()

        def again() -> Tensor:
            self.played += 1
            out: Tensor = noted()
            return out

        return again


def written(
    policy: Policy, temperature: float = 1.0, record: Operations | None = None, new: int = NEW
) -> list[Completion]:
    engine = HuggingFaceEngine(tokens_between_looks=8, record=record)
    engine.load(policy, 0)
    groups = engine.generate(PROMPTS, Sampling(temperature, new), 6, torch.Generator().manual_seed(0))
    return [completion for group in groups for completion in group]


def same(ones: list[Completion], others: list[Completion]) -> None:
    for one, other in zip(ones, others, strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        torch.testing.assert_close(one.logprobs, other.logprobs, rtol=0, atol=FLOAT32_RECORD)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_played_again_a_step_writes_the_same(temperature: float) -> None:
    policy, record = tiny_policy(context=NEW + 10), Operations()
    choose_attention(policy.model)
    same(written(policy, temperature), written(policy, temperature, record))
    assert record.recorded >= 2
    assert record.played > 3 * record.recorded


@pytest.mark.parametrize("name", ["qwen2", "llama", "gpt2"])
def test_steps_of_published_architectures_can_be_recorded(name: str) -> None:
    policy, record = Policy(random_model(name, initializer_range=0.3), Text(bpe_tokenizer())), Operations()
    choose_attention(policy.model)
    same(written(policy, new=8), written(policy, 1.0, record, new=8))
    assert reads_shared_prompts(policy.model)
    assert (record.recorded, record.played) == (1, 6)


def test_rows_leave_and_what_is_recorded_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy(context=NEW + 10)
    choose_attention(policy.model)
    usual, counts = written(policy), []
    for leaving in (0.0, 1.0):
        monkeypatch.setattr(steps.Recorded, "leaving", leaving)
        record = Operations()
        same(usual, written(policy, 1.0, record))
        counts.append(record.recorded)
    assert counts[0] < counts[1]


def test_products_in_another_type_are_cast_in_every_step() -> None:
    policy = tiny_policy(context=NEW + 10)
    choose_attention(policy.model)
    policy.autocast = torch.bfloat16
    record = Operations()
    for one, other in zip(written(policy), written(policy, 1.0, record), strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
    assert record.played > 0


def test_a_model_that_forgets_is_stepped_through_directly() -> None:
    policy = tiny_policy(context=NEW + 10)
    record = Operations()
    same(written(policy), written(policy, 1.0, record))
    assert record.recorded == 0


def test_the_test_sees_a_place_that_only_the_program_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy(context=NEW + 10)
    choose_attention(policy.model)
    monkeypatch.setattr(steps.Recorded, "cursor", lambda self, new_tokens, device: ProgramCursor())
    usual, played = written(policy), written(policy, 1.0, Operations())
    assert [c.tokens.tolist() for c in usual] != [c.tokens.tolist() for c in played]


def test_a_model_whose_rotations_depend_on_the_longest_position_is_not_recorded() -> None:
    policy = tiny_policy(context=NEW + 10)
    choose_attention(policy.model)
    assert steps.can_be_recorded(policy.model)
    policy.model.config.rope_parameters = {**policy.model.config.rope_parameters, "rope_type": "dynamic"}
    assert not steps.can_be_recorded(policy.model)


@pytest.mark.parametrize("made", [ProgramCursor, lambda: DeviceCursor(9, torch.device("cpu"))])
def test_a_cursor_writes_at_its_place_and_hides_what_lies_behind(made: Callable[[], ProgramCursor]) -> None:
    cursor = made()
    buffer, products = torch.zeros(2, 1, 3, 1), torch.ones(2, 3)
    cursor.advance()
    cursor.write(buffer, torch.full((2, 1, 1, 1), 7.0))
    cursor.hide_unwritten(products)
    assert cursor.length == 1
    assert buffer[:, 0, :, 0].tolist() == [[0, 7, 0]] * 2
    assert products.tolist() == [[1, 1, -torch.inf]] * 2
