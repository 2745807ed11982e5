"""Masked fine-tuning: write a text again after a randomly masked copy of it.

Paper: Diffusion-Inspired Masked Fine-Tuning for Knowledge Injection in Autoregressive LLMs (Pan et al., 2025).
arXiv: 2510.09885
Axes: source

A causal model that sees a masked copy of what it is about to write has to predict every span from both sides, as a
masked diffusion model does, which teaches facts in both directions without paraphrases. The sequence is

    prompt, masked copy of y, instruction to restore it | y, end-of-sequence

and the loss is the mean cross-entropy of everything behind the bar, masked or not. Each token of the copy is masked
with probability t, drawn once per step between 0.05 and 0.95; nothing is divided by t, which would be the loss of a
diffusion model. At test time there is no copy. Texts without a question have an empty prompt.

Defaults are those of the released code: the law of t, batches of 64, learning rate 3e-6 after a warm-up over 2% of the
steps, betas (0.9, 0.95), weight decay 0.1, gradient norm 1. It trains for 128 to 5120 epochs on small sets of texts;
``steps`` is ours. The wording of the instruction is ours, and no chat template is applied.

``copy.corruption=one_masked`` masks one token of each text, as a study of facts of three tokens does. Controls:
``copy.plain=1`` is ``sft``, bit for bit but for its schedule of learning rates; ``copy.corruption=replaced``
shows random tokens; ``rate=FixedRate(0)`` is a copy task, plain supervision with the text in the prompt;
``rate=FixedRate(1)`` shows nothing but the length.

Our reading: masked supervision of solutions, as in the paper's experiments on mathematics, whose details are not
published: the prompt is the question and y the solution. ``copy.plain`` above 0 shows some of them as they are asked at
test time.

Deviations: weight decay also acts on norms and biases; t follows steps and not epochs where it has a schedule; the
plain control has no loss on a text's first token. Sequences are about twice as long as the text, so compare at equal
tokens and not only at equal steps, and choose a model whose context holds them.
"""

from __future__ import annotations

import dataclasses

from posttrain.durations import Fraction
from posttrain.recipe import Recipe
from posttrain.rollouts.corrupted_copy import CorruptedCopy
from posttrain.schedules import Constant, Warmup
from posttrain.stage import Problems
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    copy: CorruptedCopy = CorruptedCopy(),
    supervision: Supervision = Supervision(
        prompts_per_step=64, learning_rate=3e-6, warmup=0.02, betas=(0.9, 0.95), weight_decay=0.1
    ),
) -> Recipe:
    """One supervised stage of ``steps`` updates, every text after a copy of itself.

    Args:
        problems: every example needs a demonstration, the text to be learnt.
        steps: updates.
        copy: how the copy is corrupted and introduced.
        supervision: of the text; the learning rate is constant after the warm-up.
    """
    stage = supervised.stage(problems, steps, supervision)
    (stream,) = stage.streams
    stage = dataclasses.replace(
        stage,
        streams=(dataclasses.replace(stream, source=copy),),
        learning_rate=Warmup(Constant(supervision.learning_rate), Fraction(supervision.warmup)),
    )
    return Recipe((stage,))
