"""Groups are judged while others are still being written, and nobody can tell from what is collected."""

import dataclasses
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from fixtures.models import tiny_policy
from fixtures.toy import each, toy_examples, toy_verify
from fixtures.training import recitation
from posttrain.batching import PerToken
from posttrain.collect import collect, draw
from posttrain.credit.group import Centred
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.engines.scripted import ScriptedEngine
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.protocols import Term
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.sampling import Completion, Sampling
from posttrain.stage import Stage, Stream
from posttrain.text import Text
from posttrain.types import Example, Origin, Progress, Verdict, Verify

EXAMPLES = toy_examples(7)
NOW = Progress(0, 10, seed=0, scope=("stage",))
SOON_S = 30.0
"""More than anything here takes; whoever waits as long has failed."""


def threads_beside() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "beside"]


def stage(verify: Verify, prompts_per_step: int = 3) -> Stage:
    stream = Stream("answers", EXAMPLES, OnPolicy(2), prompts_per_step, each(verify), Centred())
    term = Term("x", CrossEntropy(), frozenset({Origin.SAMPLED}), PerToken())
    return Stage("stage", (stream,), (term,), steps=10, learning_rate=0.0)


def undecided(response: str, example: Example) -> Verdict:
    """Cannot judge the answers to one example."""
    return Verdict(None, "timed out", False) if example.id == "toy-2" else toy_verify(response, example)


def test_a_group_is_judged_while_the_next_one_is_still_being_written(text: Text) -> None:
    """Nothing goes on being written unless what was written before has been judged."""
    judged = {e.prompt: threading.Event() for e in EXAMPLES}
    before: list[str] = []

    def script(prompt: str, index: int) -> str:
        if before and prompt != before[-1]:
            assert judged[before[-1]].wait(SOON_S)
        before.append(prompt)
        return "a1"

    def verify(response: str, example: Example) -> Verdict:
        judged[example.prompt].set()
        return toy_verify(response, example)

    collection = collect(stage(verify), ScriptedEngine(text, script), text, NOW)
    assert len(collection.sequences) == 6
    assert not threads_beside()


@dataclass(frozen=True)
class Late:
    """Ends the shorter prompts at once; the others may end when something has been judged."""

    end: int
    judged: threading.Event

    def __call__(self, logits: torch.Tensor, texts: Sequence[torch.Tensor]) -> torch.Tensor:
        ruled = logits.clone()
        length = max(map(len, texts))
        for row, written in enumerate(texts):
            ends = len(written) < length
            ruled[row, [token for token in range(logits.shape[1]) if (token == self.end) != ends]] = -torch.inf
        if not any(len(written) < length for written in texts):
            assert self.judged.wait(SOON_S)
        return ruled


def test_a_group_is_judged_while_others_of_its_batch_are_still_being_written(text: Text) -> None:
    judged, seen = threading.Event(), []

    def verify(response: str, example: Example) -> Verdict:
        seen.append(example.prompt)
        judged.set()
        return toy_verify(response, example)

    engine = HuggingFaceEngine()
    engine.load(tiny_policy(), 0)
    sampling = Sampling(1.0, 5, (Late(text.end, judged),))
    made = dataclasses.replace(stage(verify, 7), sampling=sampling)
    collection = collect(made, engine, text, NOW)
    assert [r.example.id for r in collection.rollouts[::2]] == [
        e.id for e in draw(made.streams[0], NOW.within("answers"))
    ]
    assert len({len(prompt) for prompt in seen}) > 1


def test_order_and_numbers_do_not_depend_on_who_is_finished_first(text: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with groups that are written to the end, and then judged one after the other."""

    class AllAtOnce(HuggingFaceEngine):
        def as_finished(self, *arguments: Any) -> Iterator[tuple[int, list[Completion]]]:
            yield from sorted(super().as_finished(*arguments), key=lambda arrived: arrived[0])

    def said(engine: HuggingFaceEngine) -> list[object]:
        engine.load(tiny_policy(), 0)
        made = dataclasses.replace(stage(undecided, 14), sampling=Sampling(1.0, 30))
        found = collect(made, engine, text, NOW)
        kept = [
            (s.uid, s.group, s.tokens.tolist(), str(s.rollout.behaviour_logprobs.tolist())) for s in found.sequences
        ]
        return [kept, [(r.example.id, r.response, r.verdict) for r in found.rollouts], found.unscorable]

    beside = said(HuggingFaceEngine())
    monkeypatch.setattr("posttrain.beside.available_cores", lambda: 1)
    assert beside == said(AllAtOnce())


def test_an_exception_of_the_verifier_ends_the_writing(text: Text) -> None:
    written: list[str] = []

    def script(prompt: str, index: int) -> str:
        if written:
            threading.Event().wait(0.01)  # the other threads' turn
        written.append(prompt)
        return "a1"

    def broken(response: str, example: Example) -> Verdict:
        raise ZeroDivisionError(example.id)

    with pytest.raises(ZeroDivisionError):
        collect(stage(broken, 1000), ScriptedEngine(text, script), text, NOW)
    assert len(written) < 1000
    assert not threads_beside()


def test_ctrl_c_ends_a_collection_that_waits_for_a_verdict(text: Text) -> None:
    go_on, before = threading.Event(), signal.signal(signal.SIGALRM, signal.default_int_handler)

    def verify(response: str, example: Example) -> Verdict:
        go_on.wait(SOON_S)
        return toy_verify(response, example)

    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            collect(stage(verify), recitation(text), text, NOW)
    finally:
        signal.signal(signal.SIGALRM, before)
        go_on.set()
    for thread in threads_beside():
        thread.join(SOON_S)
    assert not threads_beside()
