import pytest

from posttrain.cli.comparing import named_arms, shared_out, tuning
from posttrain.errors import UserError


def test_assignments_go_to_the_methods_that_have_them():
    of_task, own = shared_out(
        named_arms(["sft", "rft", "uft"]), ["learning_rate=1", "uft:likelihood=0", "hints.start=1", "task.counts=[3]"]
    )
    assert of_task == ["task.counts=[3]"]
    assert own == {
        "sft": ["learning_rate=1"],
        "rft": ["learning_rate=1"],
        "uft": ["learning_rate=1", "likelihood=0", "hints.start=1"],
    }


def test_candidates_keep_their_writing_and_their_brackets():
    options = ["learning_rate=1e-4, 3e-4", "credit=centred,{standardised: {epsilon: 1}},leave_one_out"]
    assert tuning(named_arms(["rft", "sft"]), options, {"rft": {}, "sft": {}}) == {
        "learning_rate": ("1e-4", "3e-4"),
        "credit": ("centred", "{standardised: {epsilon: 1}}", "leave_one_out"),
    }


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("learning_rate=", "--tune takes name=a,b,c"),
        ("learning_rate=1,1", "names something twice"),
        ("learning_rat=1", "did you mean 'learning_rate'?"),
        ("credit=best", "needs standardised, centred or leave_one_out"),
    ],
)
def test_candidates_that_cannot_run_are_refused(option, sentence):
    with pytest.raises(UserError) as caught:
        tuning({"rft": "rft"}, [option], {"rft": {}})
    assert sentence in str(caught.value)


def test_arms_may_have_adapters_of_their_own():
    of_task, own = shared_out(named_arms(["sft", "uft"]), ["stage.adapter=lora", "uft:stage.adapter.rank=4"])
    assert of_task == []
    assert own == {"sft": ["stage.adapter=lora"], "uft": ["stage.adapter=lora", "stage.adapter.rank=4"]}
    arguments = {name: {"stage": {"adapter": "lora"}} for name in own}
    assert tuning(named_arms(["sft", "uft"]), ["stage.adapter.rank=2,4"], arguments) == {
        "stage.adapter.rank": ("2", "4")
    }
    with pytest.raises(UserError, match=r"stage\.adapter: rank must be at least 1, got 0"):
        tuning(named_arms(["sft", "uft"]), ["stage.adapter.rank=2,0"], arguments)


def test_a_method_may_stand_in_several_arms():
    arms = named_arms(["sft", "low=rft", "high=rft"])
    assert arms == {"sft": "sft", "low": "rft", "high": "rft"}
    _, own = shared_out(arms, ["learning_rate=1", "reinforcement.temperature=0.9", "low:reinforcement.temperature=0.5"])
    assert own == {
        "sft": ["learning_rate=1"],
        "low": ["learning_rate=1", "reinforcement.temperature=0.9", "reinforcement.temperature=0.5"],
        "high": ["learning_rate=1", "reinforcement.temperature=0.9"],
    }
    arguments = {arm: {} for arm in arms}
    assert tuning(arms, ["reinforcement.temperature=0.5,1"], arguments) == {"reinforcement.temperature": ("0.5", "1")}


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (["sft", "sft"], "two arms are called 'sft'; name one of them, as in second=sft"),
        (["a=sft", "a=rft"], "two arms are called 'a'"),
        (["sft=rft"], "by the name of another method"),
        (["a b=rft"], "letters, digits"),
        (["=rft"], "letters, digits"),
        (["a=rtf"], "did you mean 'rft'?"),
    ],
)
def test_names_of_arms_that_would_mislead_are_refused(written, sentence):
    with pytest.raises(UserError) as caught:
        named_arms(written)
    assert sentence in str(caught.value)
