"""Self-rewarding PPO: what demonstrations added to the base becomes the reward of the model's own answers.

Paper: Self-Rewarding PPO: Aligning Large Language Models with Demonstrations Only (Zhang et al., 2025).
arXiv: 2510.21090
Axes: reward, credit, stages

First the demonstrations are imitated. Then PPO goes on from there over prompts that need no answers, and a text earns

    r(x, y) = sum_t  log p_sft(y_t | x, y_<t) - log p_base(y_t | x, y_<t)

at its last token: how much likelier the imitator finds it than the base did. Both models are frozen; no verdict is
read, so correctness is measured by evaluations alone. Log-probabilities are those at the sampling temperature: at
another temperature than 1 the reward is the log-ratio of two tempered distributions, not of the models themselves.

The paper gives the reward, its place at the end, PPO with generalised advantages and a squared-error critic, and the
two stages. The rest is our reading: gamma 1, lam 0.95, both clips 0.2, learning rate 1e-6, one pass of 64 prompts with
one answer each, value coefficient 0.1, and a KL of 0.05 (k1) per token towards the imitator. Some penalty there has to
be: without one the optimum is a single text. For a single choice and a coefficient b the best policy is known: towards
the base it is ``p_base^(1 - 1/b) p_sft^(1/b)``, which at b = 1 is the imitator itself; towards the imitator it is
``p_sft^(1 + 1/b) / p_base^(1/b)``, beyond it. The supervised stage has the defaults of ``sft``.

An answer that the length limit cut off earns the ratios of the tokens it has and nothing for an end that it lacks (our
reading). The base may find template or end tokens all but impossible: ``log_ratio.bound`` cuts each token's ratio. The
sum grows with the length; ``log_ratio.earned=mean_at_end`` does not. ``credit=compared`` with a ``log_ratio`` takes the
group for a critic.

Reductions: without supervised steps imitator and base are one, every reward is exactly 0 and nothing is learnt;
undiscounted, ``earned=token_by_token`` gives the first token the same return as the sum at the end.
"""

from __future__ import annotations

from posttrain.batching import PerToken
from posttrain.credit.compared import Compared
from posttrain.credit.gae import Gae
from posttrain.credit.token_rewards import KlPenalty, LogRatio
from posttrain.frozen import FrozenPolicy, Remembered, Snapshot
from posttrain.recipe import Recipe
from posttrain.stage import Problems
from posttrain.stages import proximal, supervised
from posttrain.stages.proximal import ActorCritic
from posttrain.stages.supervised import Supervision
from posttrain.weights.snapshots import Keep


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    supervised_steps: int | None = None,
    demonstrations: int | None = None,
    supervision: Supervision = Supervision(),
    credit: Gae | Compared = Gae(outcome=LogRatio(), penalty=KlPenalty(towards="sft")),
    actor_critic: ActorCritic = ActorCritic(
        prompts_per_step=64,
        passes_over_rollouts=1,
        learning_rate=1e-6,
        value_coefficient=0.1,
        share=PerToken(),
    ),
) -> Recipe:
    """Two stages; the frozen policies of the second are ``base``, before the first, and ``sft``, after it.

    Args:
        problems: those with a demonstration are imitated; all of them are answered.
        steps: collections of the second stage (500).
        supervised_steps: updates of the first; ``None``: as many as ``steps``.
        demonstrations: how many problems are imitated, the first ones; ``None``: all that have a demonstration.
        supervision: of the first stage.
        credit: of the second, from the log-ratio; with ``outcome`` instead it is supervision, then PPO on verdicts.
        actor_critic: everything else about the second.
    """
    updates = steps if supervised_steps is None else supervised_steps
    imitated = supervised.stage(supervised.demonstrated(problems, demonstrations), updates, supervision)
    frozen: dict[str, FrozenPolicy] = {"base": Remembered("base"), "sft": Snapshot()}
    answered = proximal.stage(proximal.answers(problems, credit, actor_critic), steps, actor_critic, frozen)
    return Recipe((Keep("base"), imitated, answered))
