"""Learning from the undesirable: likelihood, and hidden states that a harmful small step would not change.

Paper: Learning from the Undesirable: Robust Adaptation of Language Models without Forgetting (Nam et al., 2025).
arXiv: 2511.13052
Axes: objective, source

One normalised step of gradient ascent on another random draw of the training set leads to an undesirable neighbour of
the model. The loss is ``likelihood + lambda * mean (h' - sg(h))^2``, with h and h' the hidden states of model and
neighbour on the demonstrations: representations become such that the step would do little harm, which is meant to keep
what the model knew. Defaults are those of LfU-LoRA in the released code (``run_lora.sh``): step 0.1, lambda 5, all
layers from the embeddings on, mean over coordinates (the paper writes their sum), learning rate 1e-4 with a cosine and
10% warm-up, batches of 4 x 4, and what its trainer leaves at the defaults (no weight decay, betas 0.9 and 0.999,
gradients cut at 1.0).

Where text and code differ: the code steps in the trained weights themselves (``ascent_in_weights``, the default); for
LfU-RepS the paper steps in vectors added to the states (``ascent_in_states``, whose lambda is 0.1). The paper's
auxiliary fresh LoRA, and the persistent vectors of the code's LfU-RepS, are not here. ``random_in_weights`` is the
control in which the direction of the step means nothing.

Reductions: ``consistency = 0`` is ``sft``; with a step of length 0 the distance and its gradient vanish, which is
``sft`` as well. Deviations: the neighbour is that of the whole minibatch, where the code takes one of each micro-batch
of 4, so that no cut changes the result; the distance is differentiated at the neighbour, where the code has restored
the weights before its backward pass. The paper trains a LoRA of rank 8; here the stage's adapter decides, and it has
none: all weights are trained, so the step is shared by all of them and 1e-4 is a high learning rate.
"""

from __future__ import annotations

import dataclasses

from posttrain.objectives.undesirable import AscentInStates, AscentInWeights, RandomInWeights, StateDistance
from posttrain.protocols import Term
from posttrain.recipe import Recipe
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.stage import Problems, Stream
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision
from posttrain.types import Origin

SUPERVISION = Supervision(
    prompts_per_step=16, learning_rate=1e-4, warmup=0.1, betas=(0.9, 0.999), weight_decay=0.0, clip_norm=1.0
)


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    neighbour: AscentInWeights | AscentInStates | RandomInWeights = AscentInWeights(),
    distance: StateDistance = StateDistance(),
    consistency: float = 5.0,
    supervision: Supervision = SUPERVISION,
) -> Recipe:
    """One supervised stage of ``steps`` updates, each with one more pass on its batch and one on another.

    Args:
        problems: every example needs a demonstration.
        steps: updates (the paper: 3 epochs).
        neighbour: the undesirable step, 0.1 long; it reads the loss on the stream ``undesirable``.
        distance: which layers' states are compared (all).
        consistency: lambda, the coefficient of the distance (5; the paper's for steps in states: 0.1); 0 leaves the
            term and the other draw out.
        supervision: everything about the demonstrations and the optimiser.
    """
    stage = supervised.stage(problems, steps, supervision)
    if not consistency:
        return Recipe((stage,))
    (demonstrations,) = stage.streams
    other = Stream("undesirable", problems.examples, Demonstrations(), supervision.prompts_per_step)
    kept = Term(
        "consistency",
        distance,
        frozenset({Origin.GIVEN}),
        supervision.share,
        consistency,
        stream=demonstrations.name,
        prepare=neighbour,
    )
    likelihood = tuple(dataclasses.replace(term, stream=demonstrations.name) for term in stage.terms)
    return Recipe((dataclasses.replace(stage, streams=(demonstrations, other), terms=(*likelihood, kept)),))
