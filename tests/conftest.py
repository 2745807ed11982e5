"""One thread, and property tests that are the same in every run."""

import pytest
import torch
from hypothesis import HealthCheck, settings

from fixtures.characters import character_text
from fixtures.models import tiny_policy
from posttrain.policy import Policy
from posttrain.text import Text

torch.set_num_threads(1)

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=50,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def text() -> Text:
    return character_text()


@pytest.fixture
def policy() -> Policy:
    """A fresh tiny model for every test that moves or may move weights."""
    return tiny_policy()
