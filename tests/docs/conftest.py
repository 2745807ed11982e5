"""A model for the examples, and comparisons without processes of their own."""

from concurrent.futures import Executor, Future

import pytest
import torch

from fixtures.documentation import any_text_model
from posttrain.evaluation.accuracy import paired_difference


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
    """No worker processes, each of which would import torch anew; few bootstrap samples and small trees."""
    monkeypatch.setattr("posttrain.runs.jobs.ProcessPoolExecutor", Inline)
    monkeypatch.setattr(paired_difference, "__defaults__", (0, 50))
    monkeypatch.setattr("posttrain.theory.experiment.ANNEALING_TREES", ((2, 2),))
