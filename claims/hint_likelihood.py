"""How likely a model finds whole hints of held-out rows.

In training the hints become shorter, and the first lines of a solution are the hardest to foresee: the likelihood of
the hints that a run happened to draw compares unlike things. This compares the same hints before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from posttrain.loading import load_policy
from posttrain.policy import Policy
from posttrain.runtime import local_runtime
from posttrain.types import Example


def nats_per_token(model: Path, examples: Sequence[Example]) -> float:
    """Mean negative log-likelihood of the tokens of the examples' chunks, those without the answer block."""
    policy = load_policy(model, local_runtime("float32"))
    fitting = [example for example in examples if policy.text.length(example) <= policy.context]
    rows = [_hint_nll(policy, example) for example in fitting]
    return sum(total for total, _ in rows) / sum(count for _, count in rows)


@torch.no_grad()
def _hint_nll(policy: Policy, example: Example) -> tuple[float, int]:
    prompt = policy.text.encode(example.prompt)
    demonstration, ends = policy.text.demonstration(example.demonstrations[0])
    hint = demonstration[: ends[-2]]
    logits = policy.model(input_ids=torch.cat([prompt, hint])[None]).logits[0, len(prompt) - 1 : -1]
    return float(torch.nn.functional.cross_entropy(logits.float(), hint, reduction="sum")), len(hint)
