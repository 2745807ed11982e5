"""What every decoding rule promises, and every value of a candidate."""

import pytest
import torch
from torch import Tensor

from fixtures.characters import VOCABULARY
from fixtures.models import tiny_policy
from fixtures.parts import candidate_values, logits_rules
from fixtures.walking import Case
from posttrain.decoding.stop_temperature import StopTemperature
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.sampling import Sampling
from tolerances import MODEL

RULES = pytest.mark.parametrize("case", logits_rules(), ids=str)
VALUES = pytest.mark.parametrize("case", candidate_values(), ids=str)
TEXTS = [
    torch.tensor(t)
    for t in ([3], [7, 8, 9], [2, 3, 3, 6], [3, 4], [3, 7, 4, 5, 8], [6, 3, 7, 8, 9, 7], [3, 7, 7, 7, 4])
]
PROMPTS = [torch.tensor(p) for p in ([3], [7, 8, 3, 3], [9, 9])]


def random_logits(dtype: torch.dtype = torch.float32) -> Tensor:
    return 3 * torch.randn(len(TEXTS), VOCABULARY, generator=torch.Generator().manual_seed(0), dtype=dtype)


@RULES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_gives_other_logits_of_the_same_kind_and_leaves_its_arguments_alone(case: Case, dtype: torch.dtype) -> None:
    logits, texts = random_logits(dtype), [text.clone() for text in TEXTS]
    before = logits.clone()
    ruled = case.construct()(logits, texts)
    assert (ruled.shape, ruled.dtype) == (logits.shape, dtype)
    assert torch.equal(logits, before)
    assert all(torch.equal(one, other) for one, other in zip(texts, TEXTS))


@RULES
def test_every_row_keeps_something_to_choose(case: Case) -> None:
    logprobs = torch.log_softmax(case.construct()(random_logits(), TEXTS), -1)
    assert not bool(logprobs.isnan().any())
    assert bool((logprobs.exp().sum(-1) > 0).all())


@RULES
def test_rows_do_not_look_at_each_other(case: Case) -> None:
    rule, logits = case.construct(), random_logits()
    together = rule(logits, TEXTS)
    for at, text in enumerate(TEXTS):
        torch.testing.assert_close(rule(logits[at : at + 1], [text])[0], together[at], rtol=MODEL, atol=MODEL)
    backwards = rule(logits.flip(0), TEXTS[::-1])
    torch.testing.assert_close(backwards.flip(0), together, rtol=MODEL, atol=MODEL)


@RULES
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_engine_writes_under_it(case: Case, temperature: float) -> None:
    engine = HuggingFaceEngine()
    engine.load(tiny_policy(), version=0)
    sampling = Sampling(temperature, 5, (case.construct(),))
    first, again = (engine.generate(PROMPTS, sampling, 2, torch.Generator().manual_seed(0)) for _ in range(2))
    for one, other in zip(first, again):
        for written, rewritten in zip(one, other):
            assert written.tokens.tolist() == rewritten.tokens.tolist()
            assert bool(written.logprobs.isfinite().all())
            assert int(written.tokens.max()) < VOCABULARY


@VALUES
def test_a_value_for_each_text_the_same_every_time(case: Case) -> None:
    texts = [*TEXTS, torch.tensor([3, 7, 0])]
    values = case.construct()(texts)
    assert values.shape == (len(texts),)
    assert bool(values.isfinite().all())
    assert torch.equal(values, case.construct()(texts))


def test_the_walk_finds_the_stop_temperature() -> None:
    assert StopTemperature in [case.part for case in logits_rules()]
