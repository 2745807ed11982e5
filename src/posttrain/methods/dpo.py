"""Direct preference optimisation: of two answers, make the preferred one more likely than the rejected one.

Paper: Direct Preference Optimization: Your Language Model is Secretly a Reward Model (Rafailov et al., 2023).
arXiv: 2305.18290
Axes: source, objective

The loss of a pair is ``-log sigmoid(beta (log p(w) / p_ref(w) - log p(l) / p_ref(l)))`` (equation 7), with the
log-probabilities of whole answers, end-of-sequence included, and the mean over the pairs of the minibatch. The
reference is the policy at the start of the stage. An example's pair is its first demonstration and
``facts["rejected"]``; in a file of examples that is the column ``rejected``.

Defaults: beta 0.1, batches of 64 pairs, learning rate 1e-6 after a linear warm-up over 150 steps (Appendix B); the
gradient is cut at 10 and there is no weight decay (released code, ``config.yaml`` and ``trainers.py``; its learning
rate there is 5e-7). The number of steps is ours. Deviation: AdamW, where the paper has RMSprop.

``preferences.loss=squared_margin`` is IPO (2310.12036). Reductions: at its first update the gradient is ``beta / 2``
times that of the mean of ``log p(l) - log p(w)``; IPO's is ``1 / tau`` times it.
"""

from __future__ import annotations

from posttrain.recipe import Recipe
from posttrain.stage import Problems
from posttrain.stages import preference
from posttrain.stages.preference import Preferences


def recipe(problems: Problems, *, steps: int = 500, preferences: Preferences = Preferences()) -> Recipe:
    """One stage.

    Args:
        problems: every example needs a demonstration and a rejected answer.
        steps: updates (500).
        preferences: how pairs are learnt from.
    """
    return Recipe((preference.stage(problems, steps, preferences),))
