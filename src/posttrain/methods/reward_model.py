"""A reward model: of two answers to a prompt, the preferred one gets the higher score.

Paper: Understanding the Effects of RLHF on LLM Generalisation and Diversity (Kirk et al., 2023).
arXiv: 2310.06452
Axes: objective, reward

One linear layer reads the state after an answer's end-of-sequence token; its number r is the answer's score, and the
loss of a pair is that of Bradley and Terry,

    -log sigmoid(r(x, y_w) - r(x, y_l)),

the mean over the pairs of the minibatch. Trunk and head are trained; the paper starts from its supervised model. Pairs
are those of ``dpo``: an example's first demonstration and ``facts["rejected"]``. The run's ``checkpoint`` folder holds
model and head; ``stage.reward.reward_model=FOLDER`` lets them judge the answers of any method that samples, and
``ModelScore(load_reward_model(FOLDER, runtime)).score`` is a scorer for best-of-N. The paper's next step is ``ppo``
under this reward. The model's own output head is not trained, so the run's evaluations, which let the trunk write, say
nothing about the scores.

Defaults: batches of 8 pairs, learning rate 1e-5 for one epoch (the command in the released README), falling along a
cosine to 0, without warm-up (released code), no weight decay, gradient cut 1.0 (what its trainer leaves at the
defaults). The number of steps is ours: one epoch is the number of pairs over 8.

Reductions: a head that is 0 gives every pair log 2, and at the first update, where only it moves, its gradient is half
the mean difference of the two answers' last states; a number added to all scores changes nothing; to swap the answers
is to turn the sign of r.

Known deviations: the head starts at zero, where the released code draws it at random. All layers are trained, where the
paper freezes the lower 80% of them (``stage.adapter=chosen`` with the names of the others does it). The released code
shifts and scales the trained scores to mean 0 and deviation 1 over the training set; here they stay as they are, which
credit that standardises within a group does not notice, but a KL penalty beside them does. A pair that is longer than
the context is left out, where the released code cuts the beginning of its prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

from posttrain.batching import PerGroup
from posttrain.heads import ValueHead
from posttrain.objectives.bradley_terry import PairedReward
from posttrain.protocols import Term
from posttrain.recipe import Recipe
from posttrain.rollouts.pairs import Pairs, need_pairs
from posttrain.schedules import Cosine
from posttrain.stage import AdamW, Problems, Stage, Stream
from posttrain.types import Origin


@dataclass(frozen=True)
class Ranking:
    """How scores are learnt.

    Args:
        prompts_per_step: pairs in one update (8).
        learning_rate: at the beginning; half a cosine brings it to 0 (1e-5).
        head: what turns a state into a score.
        betas: AdamW's.
        weight_decay: AdamW's (0).
        clip_norm: gradient norm cut (1.0), head included.
        tokens_per_microbatch: padded tokens per pass; speed and memory only.
    """

    prompts_per_step: int = 8
    learning_rate: float = 1e-5
    head: ValueHead = ValueHead()
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    tokens_per_microbatch: int = 16384

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        if self.prompts_per_step < 1:
            raise ValueError(f"prompts_per_step must be at least 1, got {self.prompts_per_step}")
        if self.learning_rate < 0:
            raise ValueError(f"learning_rate cannot be negative, got {self.learning_rate}")


def recipe(problems: Problems, *, steps: int = 500, ranking: Ranking = Ranking()) -> Recipe:
    """One stage of ``steps`` updates; every example needs a demonstration and a rejected answer.

    Args:
        problems: the pairs.
        steps: updates (the paper: one epoch).
        ranking: everything else.
    """
    need_pairs(problems.examples)
    answers = frozenset({Origin.GIVEN, Origin.SAMPLED})
    stage = Stage(
        name="ranking",
        streams=(Stream("pairs", problems.examples, Pairs(), ranking.prompts_per_step),),
        terms=(Term("ranking", PairedReward(), answers, PerGroup()),),
        steps=steps,
        learning_rate=Cosine(ranking.learning_rate, 0.0),
        optimiser=AdamW(ranking.betas, 1e-8, ranking.weight_decay, ranking.clip_norm),
        heads={"score": ranking.head},
        tokens_per_microbatch=ranking.tokens_per_microbatch,
    )
    return Recipe((stage,))
