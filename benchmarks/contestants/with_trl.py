"""TRL: ``SFTTrainer`` and ``GRPOTrainer``, and a subclass of it for unified fine-tuning.

Settings that differ from TRL's own defaults, because they are faster here: gradient checkpointing off, the fused
AdamW. bfloat16 is TRL's default. What is chosen per work is in ``tuning.py``: kernels of attention, rows per pass,
whether training passes are compiled. Logging, checkpoints and progress bars are off.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from benchmarks.contestants.serving import WARM_UP, Clock, Line
from benchmarks.contestants.work import Work, reward, rows, text

STEPS_OF_ROWS = 50
"""Steps between two ends of an epoch, which cost TRL extra."""
HINT_LIKELIHOOD = 0.001
"""The coefficient of the hint's likelihood, as in ``posttrain.methods.uft``."""
ARGUMENTS: dict[str, Any] = {
    "bf16": True, "gradient_checkpointing": False, "optim": "adamw_torch_fused", "use_cpu": True,
    "dataloader_pin_memory": False, "report_to": "none", "logging_strategy": "no", "save_strategy": "no",
    "disable_tqdm": True, "learning_rate": 0.0, "max_steps": 1_000_000, "seed": 0, "lr_scheduler_type": "constant",
}  # fmt: skip


class Served(TrainerCallback):
    """Holds the trainer between two steps until the harness asks for the next one.

    The clock runs from there to the end of that step: loading rows, sampling, rewards, passes, update.

    Args:
        line: to the harness.
        work: what is timed.
        written: how long the completions are that were judged in this step, hints included.
    """

    def __init__(self, line: Line, work: Work, written: list[int]) -> None:
        self._line, self._work, self._written = line, work, written
        self._steps, self._began = 0, Clock.now()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        passed = self._began.since()
        self._steps += 1
        if self._steps == WARM_UP:
            self._line.ready("trl", "torch", "transformers", "accelerate")
        elif self._steps > WARM_UP:
            sampled = sum(self._written) - len(self._written) * self._work.hint_tokens
            self._line.answer({**passed, "tokens_sampled": sampled})
        if self._steps >= WARM_UP and not self._line.asked():
            raise SystemExit(0)
        self._written.clear()
        self._began = Clock.now()


class Unified(GRPOTrainer):
    """Unified fine-tuning as a user of TRL would have to write it.

    The rollout function puts the hint before what is sampled and masks it out of the policy loss; the likelihood of the
    hint is taken from the log-probabilities that the policy loss computes anyway.
    """

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **keywords: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*arguments, **keywords)
        self._logprobs = found[0]
        return found

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        loss = super()._compute_loss(model, inputs)
        given = inputs["completion_mask"] * (1 - inputs["tool_mask"])
        likelihood = (self._logprobs * given).sum() / given.sum()
        return loss - HINT_LIKELIHOOD * likelihood / self.current_gradient_accumulation_steps


def rollouts(work: Work, tokenizer: Any) -> Any:
    """The rollout function: prompt and hint, then what the policy writes."""
    hints = {text(row.prompt): row.completion[: work.hint_tokens] for row in rows(work, 0)}

    def continued(prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        asked = tokenizer(prompts)["input_ids"]
        given = [hints[prompt] for prompt in prompts]
        starts = [prompt + hint for prompt, hint in zip(asked, given)]
        sampled, _ = trainer._generate_single_turn(starts, None, {}, work.completions)
        return {
            "prompt_ids": asked,
            "completion_ids": [hint + written for hint, written in zip(given, sampled)],
            "logprobs": None,
            "env_mask": [[0] * len(hint) + [1] * len(written) for hint, written in zip(given, sampled)],
        }

    return continued


def dataset(work: Work) -> Dataset:
    """The same rows in every step, so that the number of live groups is the same in every step."""
    chosen = rows(work, 0)
    columns: dict[str, list[Any]] = {"prompt": [text(row.prompt) for row in chosen]}
    if work.kind == "sft":
        columns["completion"] = [text(row.completion) for row in chosen]
    else:
        columns["live"] = [row.live for row in chosen]
    return Dataset.from_dict({name: values * STEPS_OF_ROWS for name, values in columns.items()})


def judge(written: list[int]) -> Any:
    """The reward function in TRL's form; it notes the lengths of what it judges."""

    def rewards(completions: list[str], live: list[bool], **columns: Any) -> list[float]:
        written.extend(map(len, completions))
        return [reward(completion, alive) for completion, alive in zip(completions, live)]

    return rewards


def supervised(work: Work, model: Any, tokenizer: Any, arguments: Mapping[str, Any], written: Any) -> SFTTrainer:
    """Loss on completions only, as a data set of prompts and completions has it by default."""
    config = SFTConfig(**{"max_length": None, **arguments})
    return SFTTrainer(model, config, train_dataset=dataset(work), processing_class=tokenizer)


def reinforced(work: Work, model: Any, tokenizer: Any, arguments: Mapping[str, Any], written: Any) -> GRPOTrainer:
    """One update per collection, a token mean over the whole of it, no KL penalty, no entropy bonus."""
    config = GRPOConfig(
        num_generations=work.completions, max_completion_length=work.completion_tokens - work.hint_tokens, beta=0.0,
        num_iterations=1, scale_rewards="group", loss_type="dapo", shuffle_dataset=False, **arguments,
    )  # fmt: skip
    given = {"train_dataset": dataset(work), "processing_class": tokenizer}
    if work.kind == "uft":
        return Unified(model, judge(written), config, rollout_func=rollouts(work, tokenizer), **given)
    return GRPOTrainer(model, judge(written), config, **given)


def main() -> None:
    """Serve one work."""
    line = Line()
    order = line.order()
    torch.set_num_threads(order.threads)
    settings = dict(order.settings)
    attention, rows_per_pass = settings.pop("attention"), min(settings.pop("rows_per_pass"), order.work.rows)
    model = AutoModelForCausalLM.from_pretrained(order.folder, dtype=torch.float32, attn_implementation=attention)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(order.folder)
    with tempfile.TemporaryDirectory() as output:
        batches = {
            "per_device_train_batch_size": rows_per_pass,
            "gradient_accumulation_steps": order.work.rows // rows_per_pass,
            "output_dir": output,
        }
        make = supervised if order.work.kind == "sft" else reinforced
        written: list[int] = []
        trainer = make(order.work, model, tokenizer, {**ARGUMENTS, **batches, **settings}, written)
        trainer.add_callback(Served(line, order.work, written))
        trainer.train()


if __name__ == "__main__":
    main()
