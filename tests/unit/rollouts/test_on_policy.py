"""Plain sampling."""

from collections.abc import Sequence

import torch

from fixtures.models import tiny_policy
from fixtures.toy import toy_examples
from fixtures.training import recitation
from posttrain.arrivals import in_order
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.protocols import Engine
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Example, Group, Origin, Progress

NOW = Progress(0, 10, seed=0)
SAMPLING = Sampling(1.0, 6)


def write(
    source: OnPolicy, examples: Sequence[Example], engine: Engine, text: Text, now: Progress = NOW
) -> list[Group]:
    return in_order(source(examples, engine, text, SAMPLING, now), len(examples))


def test_everything_after_the_prompt_is_sampled_the_end_included(text: Text) -> None:
    examples = toy_examples(3)
    for example, group in zip(examples, write(OnPolicy(2), examples, recitation(text, "a1"), text)):
        prompt = text.encode(example.prompt).tolist()
        first, second = group
        assert first.tokens.tolist() == [*prompt, *text.encode("a1").tolist(), text.end]
        assert second.tokens.tolist() == [*prompt, *text.encode("a").tolist(), text.end]
        assert first.origin.tolist() == [Origin.PROMPT] * len(prompt) + [Origin.SAMPLED] * 3
        assert first.response == "a1"
        assert first.group == example.id
        assert first.labels == {"hint_fraction": 0.0}


def test_a_long_answer_is_cut_and_says_so(text: Text) -> None:
    (((rollout,)),) = write(OnPolicy(1), toy_examples(1), recitation(text, "abcdef"), text)
    assert rollout.ended == "length"
    assert rollout.response == "abcdef"


def test_scopes_do_not_share_random_numbers(text: Text) -> None:
    engine = HuggingFaceEngine()
    engine.load(tiny_policy(), version=0)
    here, there = (write(OnPolicy(2), toy_examples(3), engine, text, NOW.within(name)) for name in ("a", "b"))
    pairs = [(a.tokens, b.tokens) for g, h in zip(here, there) for a, b in zip(g, h)]
    assert not any(torch.equal(a, b) for a, b in pairs)
