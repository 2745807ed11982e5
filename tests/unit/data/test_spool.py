"""Examples in a temporary file: the same examples, whoever reads them, and nothing of them in memory."""

import dataclasses
import os
import pickle
import tempfile
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from fixtures.toy import toy_examples
from posttrain.data import spool
from posttrain.data.identity import repeated_among, repeated_id
from posttrain.data.spool import Spool, stored
from posttrain.data.subset import Subset, those
from posttrain.errors import UserError
from posttrain.tasks.countdown import CountdownProblem
from posttrain.types import Example

EXAMPLES = toy_examples(40)


def contents(examples) -> list[dict]:
    return [dataclasses.asdict(example) for example in examples]


def test_what_was_put_away_comes_back() -> None:
    kept = Spool(iter(EXAMPLES))
    assert len(kept) == 40
    assert contents(kept) == contents(EXAMPLES)
    assert contents(reversed(kept)) == contents(reversed(EXAMPLES))


@pytest.mark.parametrize("at", [0, 39, 7, -1, -40])
def test_any_example_can_be_read(at: int) -> None:
    assert contents([Spool(EXAMPLES)[at]]) == contents([EXAMPLES[at]])


@pytest.mark.parametrize("at", [40, -41])
def test_one_that_is_not_there_cannot(at: int) -> None:
    with pytest.raises(IndexError):
        Spool(EXAMPLES)[at]


@pytest.mark.parametrize("part", [slice(3, 9), slice(None, None, 2), slice(-5, None), slice(None, None, -3), slice(0)])
def test_a_slice_is_read_when_it_is_gone_through(part: slice) -> None:
    assert contents(Spool(EXAMPLES)[part]) == contents(EXAMPLES[part])


def test_answers_of_a_kind_of_their_own_and_other_letters_survive() -> None:
    (back,) = Spool(
        [Example("é\u2028", "\U00020001\n", CountdownProblem((3, 4), 7), facts={"a": [1, None, {"b": 2.5}]})]
    )
    assert (back.id, back.prompt, back.answer) == ("é\u2028", "\U00020001\n", CountdownProblem((3, 4), 7))
    assert back.facts == {"a": [1, None, {"b": 2.5}]}


def test_examples_are_never_held_together() -> None:
    alive: weakref.WeakSet[Example] = weakref.WeakSet()
    most = []

    def watched() -> Iterator[Example]:
        for example in toy_examples(300):
            made = dataclasses.replace(example)
            alive.add(made)
            most.append(len(alive))
            yield made

    kept = Spool(watched())
    for example in kept:
        alive.add(example)
        most.append(len(alive))
    assert max(most) <= 3
    assert len(most) == 600


def test_a_pickled_one_outlives_the_first() -> None:
    kept = Spool(EXAMPLES)
    part = Subset(kept, range(5, 10))
    copies = pickle.loads(pickle.dumps((kept, part)))
    del kept, part
    assert contents(copies[0]) == contents(EXAMPLES)
    assert contents(copies[1]) == contents(EXAMPLES[5:10])
    assert copies[0].fewest_chunks == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_reads_the_same() -> None:
    kept, expected = Spool(EXAMPLES), contents(EXAMPLES)
    child = os.fork()
    if child == 0:
        os._exit(0 if contents(kept) == expected else 1)
    assert contents(kept) == expected
    assert os.waitpid(child, 0)[1] == 0


def test_threads_do_not_disturb_each_other() -> None:
    kept, wrong = Spool(EXAMPLES), []

    def read(seed: int) -> None:
        rng = Random(seed)
        for _ in range(500):
            at = rng.randrange(40)
            if kept[at].prompt != EXAMPLES[at].prompt:
                wrong.append(at)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    kept = Spool(EXAMPLES)
    assert kept[3].id == "toy-3"
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del kept
    assert len(os.listdir("/proc/self/fd")) == before


def unreadable() -> Iterator[Example]:
    yield EXAMPLES[0]
    raise UserError("row 2 is malformed")


def test_a_reader_that_stops_leaves_nothing_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UserError, match="row 2 is malformed"):
        Spool(unreadable())
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("buffer", [16, 1 << 20])  # the disk is found to be full while writing, and at the end
def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch, buffer: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(tempfile, "tempdir", "/the/folder")
    monkeypatch.setattr(spool, "BUFFER_BYTES", buffer)
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(open, "/dev/full", "wb"))
    with pytest.raises(UserError, match=r"in /the/folder \(.*No space left.*\); set TMPDIR to a folder") as caught:
        Spool(EXAMPLES)
    assert "\n" not in str(caught.value)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_goes_wrong_where_the_examples_come_from_is_not_a_matter_of_room() -> None:
    def broken() -> Iterator[Example]:
        yield EXAMPLES[0]
        raise FileNotFoundError("shard 7 is missing")

    with pytest.raises(FileNotFoundError, match="shard 7"):
        Spool(broken())


@pytest.mark.parametrize("answer", [lambda: 1, threading.Lock()])
def test_an_answer_that_cannot_be_put_away_is_refused(answer: object) -> None:
    with pytest.raises(UserError, match="example 'odd' holds what cannot be pickled") as caught:
        Spool([Example("odd", "1=", answer)])
    assert "\n" not in str(caught.value)


def test_two_examples_with_one_id_are_refused() -> None:
    with pytest.raises(UserError, match="share the id 'toy-4'"):
        Spool([*EXAMPLES, EXAMPLES[4]])


@pytest.mark.parametrize("hashes", [[1] * 40, [number % 3 for number in range(40)], list(range(40))])
def test_equal_hashes_are_not_yet_equal_ids(hashes: list[int]) -> None:
    assert repeated_among(EXAMPLES, hashes) is None
    assert repeated_among([*EXAMPLES, EXAMPLES[4]], [*hashes, hashes[4]]) == "toy-4"


def test_ids_of_any_sequence_are_compared() -> None:
    assert repeated_id(EXAMPLES) is None
    assert repeated_id([]) is None
    assert repeated_id([*EXAMPLES, Example("toy-39", "another")]) == "toy-39"


def test_the_fewest_chunks_are_known() -> None:
    assert Spool(EXAMPLES[1:7]).fewest_chunks == 2
    assert Spool(EXAMPLES).fewest_chunks == 1
    assert Spool([*EXAMPLES, Example("bare", "1=")]).fewest_chunks is None
    assert Spool([]).fewest_chunks is None


def test_where_examples_are_stored() -> None:
    kept = Spool(EXAMPLES)
    assert stored(kept) is stored(kept[3:]) is stored(those(kept[3:], lambda example: True)) is kept
    assert stored(EXAMPLES) is None
    assert stored(Subset(EXAMPLES, range(3))) is None
