"""The engine that recites."""

import torch

from fixtures.models import tiny_policy
from fixtures.training import recitation
from posttrain.sampling import Sampling
from posttrain.text import Text


def test_a_script_is_recited_and_ended(text: Text) -> None:
    engine = recitation(text, "abc")
    ((first, second),) = engine.generate([text.encode("1=")], Sampling(1.0, 10), 2, torch.Generator())
    assert first.tokens.tolist() == [*text.encode("abc").tolist(), text.end]
    assert text.decode(second.tokens) == "ab"
    assert first.stopped
    assert second.stopped


def test_a_long_script_is_cut_and_has_not_stopped(text: Text) -> None:
    ((cut,),) = recitation(text, "abc").generate([text.encode("1=")], Sampling(1.0, 3), 1, torch.Generator())
    assert (text.decode(cut.tokens), cut.stopped) == ("abc", False)


def test_the_probability_of_a_recitation_is_unknown(text: Text) -> None:
    ((one,),) = recitation(text).generate([text.encode("1=")], Sampling(), 1, torch.Generator())
    assert bool(one.logprobs.isnan().all())


def test_a_version_is_remembered(text: Text) -> None:
    engine = recitation(text)
    engine.load(tiny_policy(), version=7)
    assert engine.version == 7
