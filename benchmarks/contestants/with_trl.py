"""TRL, with the settings that were fastest here; see ``SETTINGS``."""

from __future__ import annotations

import sys
import tempfile
import time
from typing import Any

import torch
from datasets import Dataset
from serving import Line
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer
from work import Work, reward, rows, text

WARM_UP = 2
STEPS_OF_DATA = 50
SPEED: dict[str, Any] = {
    "bf16": True,
    "gradient_checkpointing": False,
    "optim": "adamw_torch_fused",
    "use_cpu": True,
    "dataloader_pin_memory": False,
}
QUIET: dict[str, Any] = {
    "report_to": "none", "logging_strategy": "no", "save_strategy": "no", "disable_tqdm": True,
    "learning_rate": 0.0, "max_steps": 1_000_000, "seed": 0, "lr_scheduler_type": "constant",
}  # fmt: skip


class Served(TrainerCallback):
    """Stops the trainer between its steps until the harness asks for the next one.

    The clock runs from there to the end of that step: loading rows, sampling, rewards, passes, update.
    """

    def __init__(self, line: Line, settings: dict[str, Any]) -> None:
        self._line, self._settings = line, settings
        self._steps, self._began = 0, 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        seconds = time.perf_counter() - self._began
        self._steps += 1
        if self._steps == WARM_UP:
            self._line.ready(("trl", "torch", "transformers", "accelerate"), self._settings)
        elif self._steps > WARM_UP:
            self._line.answer({"seconds": seconds})
        if self._steps >= WARM_UP and not self._line.asked():
            raise SystemExit(0)
        self._began = time.perf_counter()


def dataset(work: Work) -> Dataset:
    """Every step sees the same rows, as this library's does."""
    columns = {
        "prompt": [text(row.prompt) for row in rows(work, 0)],
        "completion": [text(row.completion) for row in rows(work, 0)],
        "live": [row.live for row in rows(work, 0)],
    }
    if work.kind == "sft":
        del columns["live"]
    return Dataset.from_dict({name: values * STEPS_OF_DATA for name, values in columns.items()})


def trainer(work: Work, model: Any, tokenizer: Any, rows_per_pass: int, folder: str, extra: dict[str, Any]) -> Any:
    """TRL's trainer of this work."""
    batch = {
        "per_device_train_batch_size": rows_per_pass,
        "gradient_accumulation_steps": work.rows // rows_per_pass,
        "output_dir": folder,
        **SPEED, **QUIET, **extra,
    }  # fmt: skip
    if work.kind == "sft":
        config = SFTConfig(max_length=None if not extra.get("packing") else 1024, dataset_num_proc=None, **batch)
        return SFTTrainer(model, config, train_dataset=dataset(work), processing_class=tokenizer)
    config = GRPOConfig(
        num_generations=work.completions, max_completion_length=work.completion_tokens, shuffle_dataset=False,
        beta=0.0, num_iterations=1, scale_rewards="group", loss_type="dapo", temperature=1.0, top_k=0, **batch,
    )  # fmt: skip

    def rewards(completions: list[str], live: list[bool], **columns: Any) -> list[float]:
        return [reward(completion, alive) for completion, alive in zip(completions, live)]

    return GRPOTrainer(model, rewards, config, train_dataset=dataset(work).remove_columns("completion"), processing_class=tokenizer)


def main() -> None:
    """Serve one work."""
    line = Line()
    work, folder = line.work(), sys.argv[1]
    torch.set_num_threads(int(sys.argv[2]))
    import json
    extra = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    rows_per_pass = extra.pop("rows", None) or work.rows
    attention = extra.pop("attn", "eager")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as output:
        one = trainer(work, model, tokenizer, rows_per_pass, output, extra)
        one.add_callback(Served(line, {**SPEED, "attention": attention, "rows_per_pass": rows_per_pass}))
        one.train()


if __name__ == "__main__":
    main()
