"""A reward model as a reward and as a scorer, saved and loaded."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from fixtures.models import tiny_policy, with_critic, with_scorer
from fixtures.sequences import rollout, spell
from fixtures.training import CPU
from posttrain.errors import UserError
from posttrain.evaluation.best_of_n import pool
from posttrain.evaluation.ranking import Pair, ranked_right
from posttrain.heads import HEADS, load_reward_model
from posttrain.policy import Policy
from posttrain.rewards.failure import VerifierError
from posttrain.rewards.model_score import ModelScore
from posttrain.runs.checkpoint import save_model
from posttrain.types import Example, Group
from tolerances import FLOAT32_MODEL

QUESTION = Example("q", "1+2=")
ANSWERS = ("a", "a1 .b", "", "b2 c3 .d")


def group(*responses: str, ended: str = "stop") -> Group:
    blank = rollout([5, 3], spell("ps"), example=QUESTION)
    return tuple(dataclasses.replace(blank, response=response, ended=ended) for response in responses)


def by_hand(policy: Policy, prompt: str, response: str) -> float:
    """The head on the last state of one unpadded pass of the whole text, ended."""
    text = policy.text
    tokens = torch.cat([text.encode(prompt + response), torch.tensor([text.end])])[None]
    state = policy.model(input_ids=tokens, output_hidden_states=True).hidden_states[-1][0, -1]
    return float(policy.heads["score"](state.float()).detach())


@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_a_group_is_scored_as_each_answer_alone_however_it_is_cut(budget: int) -> None:
    model = with_scorer(tiny_policy())
    expected = [by_hand(model, QUESTION.prompt, answer) for answer in ANSWERS]
    judge = ModelScore(model, budget)
    verdicts = judge(group(*ANSWERS))
    assert [v.score for v in verdicts] == pytest.approx(expected, rel=FLOAT32_MODEL)
    assert [judge.score(QUESTION.prompt, a) for a in ANSWERS] == pytest.approx(expected, rel=FLOAT32_MODEL)
    assert judge.scores([(QUESTION.prompt, a) for a in ANSWERS]) == pytest.approx(expected, rel=FLOAT32_MODEL)
    assert len({round(score, 3) for score in expected}) == len(expected)
    assert all(v.valid for v in verdicts)


def test_an_answer_that_was_cut_off_has_its_score_but_is_not_valid() -> None:
    judge = ModelScore(with_scorer(tiny_policy()))
    (ended,), (cut,) = judge(group("a1")), judge(group("a1", ended="length"))
    assert (cut.score, cut.valid, ended.valid) == (ended.score, False, True)


@pytest.mark.parametrize(
    ("answer", "reason"), [("é", "cannot write it"), ("a" * 64, "over the reward model's context of 64")]
)
def test_what_the_model_cannot_read_has_no_score(answer: str, reason: str) -> None:
    judge = ModelScore(with_scorer(tiny_policy()))
    good, bad = judge(group("a1", answer))
    assert good.score is not None
    assert (bad.score, bad.valid) == (None, False)
    assert reason in bad.reason
    with pytest.raises(UserError, match="cannot be scored"):
        judge.score(QUESTION.prompt, answer)


def test_no_text_at_all_has_no_score() -> None:
    with pytest.raises(UserError, match="there is no text"):
        ModelScore(with_scorer(tiny_policy())).score("", "")


def test_a_score_that_is_no_number_stops_the_run_with_the_example() -> None:
    model = with_scorer(tiny_policy())
    with torch.no_grad():
        model.heads["score"].bias.fill_(math.nan)
    with pytest.raises(VerifierError, match="example 'q': the reward model's score is nan"):
        ModelScore(model)(group("a1"))
    with pytest.raises(VerifierError, match="nan"):
        ModelScore(model).score("1=", "a1")


def test_a_model_without_scores_is_refused() -> None:
    with pytest.raises(UserError, match="no head 'score'"):
        ModelScore(with_critic(tiny_policy()))


def test_saved_and_loaded_it_gives_equal_scores_and_nothing_of_it_is_trained(tmp_path: Path) -> None:
    model = with_scorer(tiny_policy())
    model.model.float()
    save_model(tmp_path, model)
    loaded = load_reward_model(tmp_path, CPU)
    again, before = ([v.score for v in ModelScore(m)(group(*ANSWERS))] for m in (loaded, model))
    assert again == pytest.approx(before, abs=FLOAT32_MODEL)  # they attend with other kernels
    assert not any(p.requires_grad for m in (loaded.model, *loaded.heads.values()) for p in m.parameters())


@pytest.mark.parametrize("other", [lambda policy: policy, with_critic])
def test_a_folder_without_a_scoring_head_is_refused_in_a_sentence(tmp_path: Path, other) -> None:
    save_model(tmp_path, other(tiny_policy()))
    with pytest.raises(UserError, match="no reward model: it has no head 'score'; give the checkpoint folder") as error:
        load_reward_model(tmp_path, CPU)
    assert "\n" not in str(error.value)


def test_a_model_without_heads_has_no_file_of_them(tmp_path: Path) -> None:
    save_model(tmp_path, tiny_policy())
    assert not (tmp_path / HEADS).exists()


def test_it_scores_the_pool_of_best_of_n() -> None:
    judge = ModelScore(with_scorer(tiny_policy()))
    made = pool(QUESTION.prompt, ANSWERS, judge.score)
    assert made.scores == tuple(judge.score(QUESTION.prompt, answer) for answer in ANSWERS)
    best = max(ANSWERS, key=lambda answer: judge.score(QUESTION.prompt, answer))
    assert made.best(len(ANSWERS), 1, torch.Generator().manual_seed(0)) == (best,)


def test_pairs_ranked_right_and_equal_scores_as_half() -> None:
    pairs = [Pair("1=", "aa", "b"), Pair("1=", "b", "a"), Pair("1=", "a", "a"), Pair("2=", "ab", "")]
    assert ranked_right(pairs, lambda prompt, response: response.count("a")) == (1 + 0 + 0.5 + 1) / 4
    with pytest.raises(ValueError, match="at least one"):
        ranked_right([], lambda prompt, response: 0.0)
