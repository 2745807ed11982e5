"""TL-Training: imitate successful tool calls, above all the tokens that choose the tool, then reinforce by faults.

Paper: TL-Training: A Task-Feature-Based Framework for Training Large Language Models in Tool Use (Ye et al., 2024).
arXiv: 2412.15495
Axes: curation, source, reward, stages

Three measures. Turns whose tool call failed are not imitated, though later turns see them (MAE). In a call, the tokens
in which the tool's name parts from those of the other offered tools weigh ``clip(others / keys, 1, 9)`` (PKT). Then
single calls are reinforced by a graded reward that mirrors the kinds of faults, from -2 for no call to 1 for the gold
one (IRM). Each example offers tools (``facts["tools"]``: name -> parameters) and may be a conversation
(``facts["turns"]``: its prompt in parts); its answer is the gold call.

Defaults are those of the released code: learning rate 1e-6 with warm-up over 1% of the steps and a cosine, 4
conversations per update, every conversation's loss divided by its weights, largest weight 9; then 2e-7, 8 prompts per
step, at most 512 new tokens, KL coefficient 0.4 (its script says 0.3, which the trainer does not read).

The paper optimises the reward by PPO with a critic, a KL penalty within the reward and greedy rollouts. Here the
reinforced stage is that of ``rft`` on the same reward: group-relative advantages, 4 sampled answers per prompt, the KL
as a term of the loss with the same coefficient (our reading).

One parser of Python's grammar reads gold calls and answers; the released code's overlooks arguments in double quotes.
The table is the published one, which ranks three kinds of parameter faults below a wrong tool; ``grades`` changes it.

Reductions: without ``turns.markers`` every answered turn is imitated; ``keys.largest=1`` is ``sft`` on those turns;
``steps=0`` leaves the reinforced stage out.
"""

from __future__ import annotations

import dataclasses

from posttrain.batching import PerSequence
from posttrain.curation.tool_turns import SuccessfulTurns
from posttrain.errors import UserError
from posttrain.methods import rft, sft
from posttrain.methods.rft import Reinforcement
from posttrain.methods.sft import Supervision
from posttrain.recipe import Recipe
from posttrain.rewards.tool_calls import GradedToolCalls, Grades, gold_call
from posttrain.rollouts.key_tokens import KeyTokens
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.stage import Problems

IMITATION = Supervision(prompts_per_step=4, learning_rate=1e-6, warmup=0.01, share=PerSequence("weights"))
GRADED = Reinforcement(
    prompts_per_step=8,
    groups_per_update=None,
    learning_rate=2e-7,
    max_new_tokens=512,
    kl_coefficient=0.4,
    entropy=0.0,
)


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    supervised_steps: int | None = None,
    turns: SuccessfulTurns = SuccessfulTurns(),
    keys: KeyTokens = KeyTokens(),
    grades: Grades = Grades(),
    supervision: Supervision = IMITATION,
    reinforcement: Reinforcement = GRADED,
) -> Recipe:
    """Two stages: imitation of successful turns, reinforcement of single calls.

    Args:
        problems: every example needs a demonstration and tools; their own reward is not used.
        steps: collections of the reinforced stage (500).
        supervised_steps: updates of the supervised stage; ``None``: as many as ``steps``. The paper has one epoch.
        turns: which turns are imitated.
        keys: what the tokens of a call weigh.
        grades: what a call is worth.
        supervision: of the first stage; its share counts weights.
        reinforcement: of the second.
    """
    imitated = Problems(turns(problems.examples), problems.verify, problems.reward)
    calls = tuple(example for example in imitated.examples if gold_call(example) is not None)
    if not calls:
        raise UserError("no example's answer is a call of one of its tools, so that nothing could be reinforced")
    graded = Problems(calls, problems.verify, GradedToolCalls(grades))
    first = sft.stage(imitated, steps if supervised_steps is None else supervised_steps, supervision)
    (stream,) = first.streams
    first = dataclasses.replace(first, streams=(dataclasses.replace(stream, source=keys),))
    return Recipe((first, rft.stage(graded, steps, reinforcement, OnPolicy(reinforcement.rollouts_per_prompt))))
