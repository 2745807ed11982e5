"""Proximal policy optimisation with a value head: a critic says how much better each token turned out than expected.

Paper: Proximal Policy Optimization Algorithms (Schulman et al., 2017).
arXiv: 1707.06347
Axes: source, reward, credit, objective

Answers are sampled; each token costs ``coefficient (log p_old - log p_reference)`` and the last one earns the verdict.
Generalised advantage estimation over the values of before the update, with ``d_t = r_t + gamma V_{t+1} - V_t``,

    A_t = d_t + gamma lam A_{t+1},        returns_t = A_t + V_t,

gives advantages, whitened over the step, for the clipped surrogate, and returns for the clipped value loss. The critic
is one linear layer on the policy's last hidden states, and its loss moves the trunk too.

Defaults are those of R3's released code for mathematics (2402.05808): 32 answers per step and 2 passes over them,
learning rate 3e-7, gamma 1, lam 0.95, both clips 0.2, KL 0.05 (k1), value coefficient 5 on half the squared error,
sequence means of token means, temperature 1. Weight decay, the gradient cut and the answer's length are the library's.
Other published forms differ in settings only. TL-Training (2412.15495, released code): ``credit.whitening=null,
outcome.bound=5, penalty.coefficient=0.4, share=per_token``, one pass, learning rates 2e-7 and 1e-7
(``head.learning_rate_factor=0.5``), but with a critic of its own where ours shares the trunk, and greedy answers.
RLHF-Div (2310.06452): ``estimator=k2``, ``penalty.coefficient=5``, value coefficient 0.2, 4 passes, learning rate
1.5e-6. R3 itself, with the critic of its original, is :func:`posttrain.stages.proximal.stage` over the source
``Hinted(1, UniformHints())``.

Reductions: without penalty, with ``gamma = lam = 1`` and a critic that says c everywhere, every advantage is the score
less c; with ``credit=standardised`` (which has no returns, so no critic is trained), ``share=per_token`` and as many
answers per prompt, it is ``rft`` without its two penalties, bit for bit.

Known deviation: the value head starts at zero, so that the first advantages are the returns themselves, where R3 and
TL-Training start it at random.
"""

from __future__ import annotations

from posttrain.credit.compared import Compared
from posttrain.credit.gae import Gae
from posttrain.credit.group import Centred, LeaveOneOut, Standardised
from posttrain.recipe import Recipe
from posttrain.stage import Problems
from posttrain.stages import proximal
from posttrain.stages.proximal import ActorCritic


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    credit: Gae | Compared | Standardised | Centred | LeaveOneOut = Gae(),
    actor_critic: ActorCritic = ActorCritic(),
) -> Recipe:
    """One stage of ``steps`` collections, answers sampled from scratch.

    Args:
        problems: the training problems.
        steps: collections (500).
        credit: rewards to advantages; the other credits are PPO without a critic.
        actor_critic: everything else.
    """
    return Recipe((proximal.stage(proximal.answers(problems, credit, actor_critic), steps, actor_critic),))
