"""A model for the examples, and comparisons without processes of their own."""

from concurrent.futures import Executor, Future

import pytest
import torch

from fixtures.documentation import any_text_model


class Inline(Executor):
    """Carries out jobs in this process, one after the other."""

    def __init__(self, workers, mp_context, initializer, initargs):
        initializer(*initargs)
        torch.set_num_threads(1)

    def submit(self, job, *arguments):
        future = Future()
        future.set_result(job(*arguments))
        return future


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return any_text_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def in_this_process(monkeypatch):
    """Comparisons without worker processes, each of which would import torch anew."""
    monkeypatch.setattr("posttrain.runs.jobs.ProcessPoolExecutor", Inline)
