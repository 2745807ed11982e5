"""Whose words become the target: the policy's own, its paraphrase, or the gold."""

import dataclasses
from collections.abc import Callable, Mapping

import pytest

from fixtures.models import tiny_policy
from fixtures.toy import toy_example, toy_problems, toy_verify
from posttrain.curation.judges import ModelJudge, TaskVerifier
from posttrain.curation.self_correct import SelfCorrect
from posttrain.curation.writing import Greedy, OwnAnswer, Paraphrase, Sampled
from posttrain.engines.scripted import ScriptedEngine
from posttrain.errors import UserError
from posttrain.recipe import Workspace
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Example, Progress, Verdict

NOW = Progress(0, 0, 0, ("judging",))
PROBLEMS = toy_problems(5)
PROMPTS = {e.prompt: e for e in PROBLEMS.examples}
PARAPHRASES = {Paraphrase().prompt(e): e for e in PROBLEMS.examples}


@dataclasses.dataclass(frozen=True)
class Always:
    """A judge with one opinion, that remembers what it was asked."""

    right: bool
    asked: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    def __call__(self, answers, verify, workspace, now) -> list[bool]:
        self.asked.extend((e.id, text) for e, text in answers)
        return [self.right] * len(answers)


def script(own: Callable[[Example, int], str], again: Callable[[Example, int], str]) -> Callable[[str, int], str]:
    """Own answers to plain prompts, paraphrases to the others; any other prompt is an error."""

    def says(prompt: str, index: int) -> str:
        return own(PROMPTS[prompt], index) if prompt in PROMPTS else again(PARAPHRASES[prompt], index)

    return says


def never(example: Example, index: int) -> str:
    raise AssertionError(f"nobody should have asked about {example.id}")


def wrong(example: Example, index: int) -> str:
    return "1"


def in_other_words(example: Example, index: int) -> str:
    return f"2\n{example.answer}"


def curated(says: Callable[[str, int], str], text: Text, **settings) -> tuple[tuple[Example, ...], Mapping[str, float]]:
    part = SelfCorrect(PROBLEMS, Demonstrations(), **settings)
    workspace = Workspace(tiny_policy(), ScriptedEngine(text, says), seed=0)
    after = part.run(workspace)
    return after.examples[part.name], after.notes[part.name]


def kinds(examples: tuple[Example, ...]) -> list[str]:
    return [e.facts["target"] for e in examples]


def test_each_example_takes_the_first_right_words(text: Text) -> None:
    """Example 0 is answered rightly, 1 and 2 are not but can be paraphrased, 3 and 4 are neither."""
    says = script(
        lambda e, _: f"1 {e.answer}" if e.id == "toy-0" else "1",
        lambda e, _: in_other_words(e, 0) if e.id in ("toy-1", "toy-2") else "2",
    )
    made, counted = curated(says, text)
    assert [e.id for e in made] == [e.id for e in PROBLEMS.examples]
    assert kinds(made) == ["self", "paraphrase", "paraphrase", "gold", "gold"]
    assert [len(e.demonstrations) for e in made] == [1] * 5
    assert made[0].demonstrations[0].text == f"1 {made[0].answer}"
    assert made[1].demonstrations[0].text == f"2\n{made[1].answer}"
    assert made[1].demonstrations[0].chunks == ("2\n", str(made[1].answer))
    assert made[4].demonstrations == PROBLEMS.examples[4].demonstrations
    assert (counted["self"], counted["paraphrase"], counted["gold"], counted["dropped"]) == (1, 2, 2, 0)
    assert (counted["examples"], counted["self_judged"], counted["paraphrase_judged"]) == (5, 5, 4)
    assert counted["self_tokens_sampled"] == sum(len("1 a") if e.id == "toy-0" else 1 for e in made) + 5
    assert all(made[k].prompt == PROBLEMS.examples[k].prompt for k in range(5))


def test_a_judge_who_accepts_everything_makes_it_self_distillation(text: Text) -> None:
    judge = Always(True)
    made, counted = curated(script(wrong, never), text, judge=judge)
    assert {e.demonstrations[0].text for e in made} == {"1"}
    assert (counted["self"], counted["gold"]) == (5, 0)
    assert judge.asked == [(e.id, "1") for e in made]


def test_a_judge_who_refuses_everything_changes_nothing(text: Text) -> None:
    made, counted = curated(script(in_other_words, in_other_words), text, judge=Always(False))
    assert [e.demonstrations for e in made] == [e.demonstrations for e in PROBLEMS.examples]
    assert counted["gold"] == 5


@pytest.mark.parametrize("right", [True, False])
def test_the_golds_own_words_are_the_gold_whatever_the_judge_says(text: Text, right: bool) -> None:
    says = script(lambda e, _: e.demonstrations[0].text, lambda e, _: e.demonstrations[0].text)
    made, _ = curated(says, text, judge=Always(right))
    assert [e.demonstrations for e in made] == [e.demonstrations for e in PROBLEMS.examples]


@pytest.mark.parametrize("length", [3, 4])
def test_what_was_cut_off_is_a_failure_however_right_it_is_so_far(text: Text, length: int) -> None:
    """Of "1 d" and the end of the sequence, four tokens, three are not enough."""
    judge = Always(True)
    own = OwnAnswer(max_new_tokens=length)
    made, counted = curated(script(lambda e, _: "1 d", wrong), text, judge=judge, own=own, paraphrase=None)
    assert kinds(made) == (["gold"] * 5 if length == 3 else ["self"] * 5)
    assert counted["self_unfinished"] == (5 if length == 3 else 0)
    assert len(judge.asked) == (0 if length == 3 else 5)


def test_training_sees_exactly_the_tokens_that_were_written_their_end_included(text: Text) -> None:
    made, _ = curated(script(in_other_words, never), text)
    engine = ScriptedEngine(text, script(in_other_words, never))
    for example in made:
        prompt = text.encode(example.prompt)
        ((completion,),) = engine.generate([prompt], Sampling(0.0), 1, NOW.generator("x"))
        (((rollout,)),) = Demonstrations()([example], engine, text, Sampling(), NOW)
        assert rollout.tokens.tolist() == [*prompt.tolist(), *completion.tokens.tolist()]
        assert rollout.tokens.tolist().count(text.end) == 1


def test_of_several_attempts_the_first_right_one_counts(text: Text) -> None:
    says = script(lambda e, index: ["1", f"2 {e.answer}", f"3 {e.answer}"][index], never)
    made, counted = curated(says, text, own=OwnAnswer(Sampled(3)))
    assert [e.demonstrations[0].text for e in made] == [f"2 {e.answer}" for e in made]
    assert counted["self_judged"] == 15


def test_blank_answers_are_none(text: Text) -> None:
    judge = Always(True)
    made, _ = curated(script(lambda e, _: " \n", lambda e, _: ""), text, judge=judge)
    assert kinds(made) == ["gold"] * 5
    assert judge.asked == []


def test_the_papers_controls(text: Text) -> None:
    only_again = {"own": None}
    assert set(kinds(curated(script(never, in_other_words), text, **only_again)[0])) == {"paraphrase"}
    without = {"paraphrase": None}
    assert set(kinds(curated(script(wrong, never), text, **without)[0])) == {"gold"}
    half = script(lambda e, _: f"1 {e.answer}" if e.id in ("toy-1", "toy-3") else "1", never)
    made, counted = curated(half, text, paraphrase=None, otherwise="drop")
    assert [e.id for e in made] == ["toy-1", "toy-3"]
    assert (counted["examples"], counted["dropped"], counted["gold"]) == (2, 3, 0)
    assert set(kinds(curated(script(never, never), text, own=None, paraphrase=None)[0])) == {"gold"}


def test_dropping_everything_is_refused(text: Text) -> None:
    with pytest.raises(UserError, match="nothing is left to train on"):
        curated(script(wrong, wrong), text, otherwise="drop")


def test_a_prompt_without_room_for_an_answer_keeps_the_gold(text: Text) -> None:
    long = Paraphrase(template="{prompt}{gold}" + "+" * 64)
    made, counted = curated(script(wrong, never), text, paraphrase=long)
    assert kinds(made) == ["gold"] * 5
    assert (counted["paraphrase_unfinished"], counted["paraphrase_tokens_sampled"]) == (5, 0)


def test_the_paraphrase_shows_question_and_gold_and_leaves_other_braces_alone() -> None:
    example = dataclasses.replace(toy_example(1), prompt="{gold}=")
    way = Paraphrase(template="{x} {prompt} {gold} {")
    assert way.prompt(example) == f"{{x}} {{gold}}= {example.demonstrations[0].text} {{"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Paraphrase("{prompt}"),
        lambda: Paraphrase("{gold}"),
        lambda: Paraphrase(max_new_tokens=0),
        lambda: OwnAnswer(max_new_tokens=0),
        lambda: Sampled(0),
        lambda: Sampled(2, 0.0),
        lambda: ModelJudge("{prompt}{gold}"),
        lambda: ModelJudge(yes="oh yes"),
        lambda: ModelJudge(max_new_tokens=0),
    ],
)
def test_settings_without_meaning_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"must show|at least 1"):
        make()


def test_greedy_decoding_is_one_attempt_at_temperature_zero() -> None:
    assert (Greedy().temperature, Greedy().attempts) == (0.0, 1)
    assert OwnAnswer().decoding == Paraphrase().decoding == Greedy()


def unscorable(response: str, example: Example) -> Verdict:
    return Verdict(None, "timed out", False)


def judged(judge, says: Callable[[str, int], str], text: Text, verify=toy_verify) -> list[bool]:
    answers = [(PROBLEMS.examples[0], "a"), (PROBLEMS.examples[1], "c"), (PROBLEMS.examples[1], "b")]
    return judge(answers, verify, Workspace(tiny_policy(), ScriptedEngine(text, says), 0), NOW)


def test_the_tasks_verifier_accepts_full_scores_only(text: Text) -> None:
    assert judged(TaskVerifier(), lambda *_: "", text) == [True, False, True]
    assert judged(TaskVerifier(), lambda *_: "", text, unscorable) == [False] * 3


@pytest.mark.parametrize(
    ("reply", "right"),
    [("bead", True), (" .\nbead", True), ("bead 0", True), ("beadf", False), ("", False), ("0", False)],
)
def test_the_model_judge_goes_by_the_first_word(text: Text, reply: str, right: bool) -> None:
    shown = []

    def says(prompt: str, index: int) -> str:
        shown.append(prompt)
        return reply

    judge = ModelJudge("{prompt}+{gold}+{answer}=", yes="BEAD")
    assert judged(judge, says, text) == [right] * 3
    gold = PROBLEMS.examples[1].demonstrations[0].text
    assert shown[1:] == [f"{PROBLEMS.examples[1].prompt}+{gold}+{answer}=" for answer in ("c", "b")]


def test_a_question_that_does_not_fit_is_answered_no(text: Text) -> None:
    judge = ModelJudge("{prompt}{gold}{answer}" + "+" * 64, yes="a")
    assert judged(judge, lambda *_: "a", text) == [False] * 3
