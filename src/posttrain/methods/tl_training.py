"""TL-Training: imitate successful tool calls, above all the tokens that choose the tool, then reinforce by faults.

Paper: TL-Training: A Task-Feature-Based Framework for Training Large Language Models in Tool Use (Ye et al., 2024).
arXiv: 2412.15495
Axes: curation, source, reward, credit, stages

Three measures. Turns whose tool call failed are not imitated, though later turns see them (MAE). In a call, the tokens
in which the tool's name parts from those of the other offered tools weigh ``clip(others / keys, 1, 9)`` (PKT). Then
single calls are reinforced by a graded reward that mirrors the kinds of faults, from -2 for no call to 1 for the gold
one (IRM). Each example offers tools (``facts["tools"]``: name -> parameters) and may be a conversation
(``facts["turns"]``: its prompt in parts); its answer is the gold call.

Defaults are those of the released code: learning rate 1e-6 with warm-up over 1% of the steps and a cosine, 4
conversations per update, every conversation's loss divided by its weights, largest weight 9; then PPO with learning
rates 2e-7 and 1e-7 (actor, critic), 8 prompts per step, one pass, at most 512 new tokens, rewards cut at 5, a penalty
of 0.4 per nat of the policy's distance to the imitating model (its script says 0.3, which the trainer does not read),
gamma 1, lam 0.95, advantages as they are, token means.

Known deviations: the critic is a head on the policy's trunk (coefficient 1), where the paper trains another model;
answers are sampled at temperature 1, where its rollouts are greedy and so explore by updates only.

One parser of Python's grammar reads gold calls and answers; the released code's overlooks arguments in double quotes.
The table is the published one, which ranks three kinds of parameter faults below a wrong tool; ``grades`` changes it.

Reductions: without ``turns.markers`` every answered turn is imitated; ``keys.largest=1`` is ``sft`` on those turns;
with ``supervised_steps`` given, ``steps=0`` leaves the reinforced stage out; ``supervised_steps=0`` is ``ppo`` with
these settings and this reward on the calls.
"""

from __future__ import annotations

import dataclasses

from posttrain.batching import PerSequence, PerToken
from posttrain.credit.gae import Gae
from posttrain.credit.token_rewards import KlPenalty, Outcome
from posttrain.curation.tool_turns import SuccessfulTurns
from posttrain.errors import UserError
from posttrain.heads import ValueHead
from posttrain.recipe import Recipe
from posttrain.rewards.tool_calls import GradedToolCalls, Grades, gold_call
from posttrain.rollouts.key_tokens import KeyTokens
from posttrain.stage import Problems
from posttrain.stages import proximal, supervised
from posttrain.stages.proximal import ActorCritic
from posttrain.stages.supervised import Supervision

IMITATION = Supervision(prompts_per_step=4, learning_rate=1e-6, warmup=0.01, share=PerSequence("weights"))
PPO = ActorCritic(
    prompts_per_step=8,
    passes_over_rollouts=1,
    learning_rate=2e-7,
    max_new_tokens=512,
    value_coefficient=1.0,
    head=ValueHead(learning_rate_factor=0.5),
    share=PerToken(),
)
CREDIT = Gae(outcome=Outcome(bound=5.0), penalty=KlPenalty(coefficient=0.4), whitening=None)


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    supervised_steps: int | None = None,
    turns: SuccessfulTurns = SuccessfulTurns(),
    keys: KeyTokens = KeyTokens(),
    grades: Grades = Grades(),
    supervision: Supervision = IMITATION,
    credit: Gae = CREDIT,
    actor_critic: ActorCritic = PPO,
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
        credit: grades to advantages.
        actor_critic: of the second stage.
    """
    imitated = Problems(turns(problems.examples), problems.verify, problems.reward)
    calls = tuple(example for example in imitated.examples if gold_call(example) is not None)
    if not calls:
        raise UserError("no example's answer is a call of one of its tools, so that nothing could be reinforced")
    graded = Problems(calls, problems.verify, GradedToolCalls(grades))
    first = supervised.stage(imitated, steps if supervised_steps is None else supervised_steps, supervision)
    (stream,) = first.streams
    first = dataclasses.replace(first, streams=(dataclasses.replace(stream, source=keys),))
    return Recipe((first, proximal.stage(proximal.answers(graded, credit, actor_critic), steps, actor_critic)))
