"""Groups of several sources."""

from fixtures.models import tiny_policy
from fixtures.toy import toy_examples
from fixtures.training import recitation
from posttrain.arrivals import in_order
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.rollouts.hinted import Hinted
from posttrain.rollouts.hints import UniformHints
from posttrain.rollouts.mixed import Mixed
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Progress

NOW = Progress(0, 10, seed=0)
SAMPLING = Sampling(1.0, 6)


def test_the_groups_of_an_example_become_one_in_the_order_of_the_sources(text: Text) -> None:
    examples = toy_examples(4)
    groups = in_order(Mixed((OnPolicy(2), Demonstrations()))(examples, recitation(text), text, SAMPLING, NOW), 4)
    for example, group in zip(examples, groups, strict=True):
        assert [r.ended for r in group] == ["stop", "stop", "given"]
        assert {r.example.id for r in group} == {example.id}
        assert len({r.group for r in group}) == 1


def test_two_sources_do_not_share_random_numbers(text: Text) -> None:
    engine = HuggingFaceEngine()
    engine.load(tiny_policy(), version=0)
    groups = in_order(Mixed((OnPolicy(1), OnPolicy(1)))(toy_examples(6), engine, text, SAMPLING, NOW), 6)
    assert all(a.tokens.tolist() != b.tokens.tolist() for a, b in groups)


def test_two_hinted_sources_draw_their_own_hints(text: Text) -> None:
    source = Hinted(1, UniformHints())
    groups = in_order(Mixed((source, source))(toy_examples(14), recitation(text), text, SAMPLING, NOW), 14)
    assert any(a.labels["hint_fraction"] != b.labels["hint_fraction"] for a, b in groups)
