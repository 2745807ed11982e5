"""A hanging, crashing or raising function in a child process, and nothing left behind."""

import math
import operator
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from posttrain.rewards.isolated import Finished, Isolated, IsolatedError, IsolatedPool, Unfinished


def alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def gone(process_id: int, within_s: float = 10.0) -> bool:
    end = time.monotonic() + within_s
    while alive(process_id) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(process_id)


def test_one_child_answers_many_calls() -> None:
    root = Isolated(math.sqrt, 10)
    assert root.process_id is None
    assert root(9.0) == Finished(3.0)
    first = root.process_id
    assert [root(float(n * n)) for n in range(50)] == [Finished(float(n)) for n in range(50)]
    assert root.process_id == first
    root.close()
    assert root(4.0) == Finished(2.0)
    root.close()


def test_a_hanging_call_ends_at_its_deadline_and_the_next_one_works() -> None:
    sleep = Isolated(time.sleep, 0.3)
    assert sleep(0.0) == Finished(None)
    child = sleep.process_id
    start = time.monotonic()
    assert sleep(60.0) == Unfinished("timed out after 0.3 s")
    assert time.monotonic() - start < 3
    assert child is not None
    assert gone(child)
    assert sleep(0.0) == Finished(None)
    assert sleep.process_id != child
    sleep.close()


def test_a_dying_child_is_not_an_answer() -> None:
    leave = Isolated(os._exit, 10)
    assert leave(3) == Unfinished("its process died")
    assert leave(3) == Unfinished("its process died")
    leave.close()


def test_a_child_killed_between_calls_is_replaced() -> None:
    root = Isolated(math.sqrt, 10)
    assert root(1.0) == Finished(1.0)
    child = root.process_id
    assert child is not None
    os.kill(child, 9)
    time.sleep(0.1)
    assert root(4.0) == Finished(2.0)
    root.close()


def test_an_exception_of_the_function_is_raised_with_its_traceback() -> None:
    divide = Isolated(operator.truediv, 10)
    with pytest.raises(IsolatedError, match="ZeroDivisionError"):
        divide(1, 0)
    assert divide(6, 3) == Finished(2.0)
    divide.close()


def test_a_child_that_cannot_prepare_says_why() -> None:
    with pytest.raises(IsolatedError, match="TypeError"):
        Isolated(math.sqrt, 10, prepare=math.sqrt)(4.0)  # type: ignore[arg-type]


def test_a_deadline_without_time_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Isolated(math.sqrt, 0)


def test_the_answer_to_an_interrupted_call_is_not_taken_for_that_to_the_next() -> None:
    shell = Isolated(subprocess.getoutput, 10)
    assert shell("echo ready") == Finished("ready")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            shell("sleep 0.5; echo late")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert shell("echo next") == Finished("next")
    shell.close()


def test_a_copy_has_its_own_child() -> None:
    root = Isolated(math.sqrt, 10)
    copy = pickle.loads(pickle.dumps(root))
    assert copy(4.0) == root(4.0)
    assert copy.process_id != root.process_id
    root.close()
    copy.close()


def test_the_child_goes_with_its_owner() -> None:
    root = Isolated(math.sqrt, 10)
    root(1.0)
    child = root.process_id
    del root
    assert child is not None
    assert gone(child)


@pytest.mark.parametrize("end", ["", "import os; os.kill(os.getpid(), 9)"])
def test_the_child_goes_with_the_program_even_while_it_computes(end: str) -> None:
    program = f"""
if __name__ == "__main__":
    import threading, time
    from posttrain.rewards.isolated import Isolated
    sleep = Isolated(time.sleep, 300)
    sleep(0.0)
    print(sleep.process_id, flush=True)
    threading.Thread(target=sleep, args=(300.0,), daemon=True).start()
    time.sleep(0.2)
    {end}
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout, run.stderr
    assert gone(int(run.stdout))


def meet(folder: Path, name: str, other: str) -> str:
    """A shell command that ends when another one has begun."""
    return f"touch {folder}/{name}; until [ -e {folder}/{other} ]; do sleep 0.01; done; echo {name} $PPID"


def test_a_pool_runs_calls_of_several_threads_at_once_in_a_child_each(tmp_path: Path) -> None:
    pool = IsolatedPool(subprocess.getoutput, 60, processes=2)
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(pool, meet(tmp_path, *names)) for names in (("a", "b"), ("b", "a"))]
        answers = [call.result() for call in calls]
    assert all(isinstance(answer, Finished) for answer in answers)
    assert [answer.value.split()[0] for answer in answers] == ["a", "b"]
    assert {int(answer.value.split()[1]) for answer in answers} == set(pool.process_ids)
    children = pool.process_ids
    assert len(children) == 2
    pool.close()
    assert all(gone(child) for child in children)
    assert pool("echo again") == Finished("again")
    pool.close()


def test_a_pool_has_no_more_children_than_calls_wait() -> None:
    pool = IsolatedPool(math.sqrt, 10, processes=4)
    assert pool.process_ids == []
    assert [pool(float(n * n)) for n in range(20)] == [Finished(float(n)) for n in range(20)]
    assert len(pool.process_ids) == 1
    pool.close()


def test_more_calls_than_children_take_turns() -> None:
    pool = IsolatedPool(math.sqrt, 10, processes=2)
    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(pool, [float(n * n) for n in range(60)])) == [Finished(float(n)) for n in range(60)]
    assert len(pool.process_ids) <= 2
    pool.close()


def test_a_call_of_a_pool_that_hangs_dies_or_raises_concerns_no_other() -> None:
    pool = IsolatedPool(eval, 1.0, processes=4)
    assert pool("1 + 1") == Finished(2)
    calls = ["__import__('time').sleep(60)", "__import__('os')._exit(3)", "1 / 0", "2 + 2"]
    with ThreadPoolExecutor(4) as threads:
        hanging, dying, raising, right = (threads.submit(pool, call) for call in calls)
        assert hanging.result() == Unfinished("timed out after 1 s")
        assert dying.result() == Unfinished("its process died")
        with pytest.raises(IsolatedError, match="ZeroDivisionError"):
            raising.result()
        assert right.result() == Finished(4)
    assert [pool("3 + 3") for _ in range(5)] == [Finished(6)] * 5
    pool.close()


def test_a_child_of_a_pool_killed_between_calls_is_replaced() -> None:
    pool = IsolatedPool(math.sqrt, 10, processes=2)
    assert pool(1.0) == Finished(1.0)
    (child,) = pool.process_ids
    os.kill(child, 9)
    time.sleep(0.1)
    assert pool(4.0) == Finished(2.0)
    pool.close()


def test_a_copy_of_a_pool_has_its_own_children_and_they_go_with_it() -> None:
    pool = IsolatedPool(math.sqrt, 10, processes=2)
    copy = pickle.loads(pickle.dumps(pool))
    assert copy(4.0) == pool(4.0)
    (ours,), (theirs,) = pool.process_ids, copy.process_ids
    assert ours != theirs
    copy.close()
    del pool
    assert gone(ours)


def test_a_pool_without_children_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 process"):
        IsolatedPool(math.sqrt, 10, processes=0)
