"""The textbook's supervised step: all logits at once, cross-entropy over them; what chunks of the vocabulary spare."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from benchmarks.contestants.serving import Line, timed
from benchmarks.contestants.work import END, rows


def main() -> None:
    """Serve one supervised work."""
    line = Line()
    order = line.order()
    torch.set_num_threads(order.threads)
    work = order.work
    model: Any = AutoModelForCausalLM.from_pretrained(order.folder, dtype=torch.float32)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)
    tokens = torch.tensor([[*row.prompt, *row.completion, END] for row in rows(work, 0)])
    labels = tokens.clone()
    labels[:, : work.prompt_tokens] = -100

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=tokens, use_cache=False).logits
        loss = cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    line.serve(lambda: timed(step), "torch", "transformers")


if __name__ == "__main__":
    main()
