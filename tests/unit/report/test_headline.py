from pathlib import Path

from posttrain.report.arms import Arm, Comparison
from posttrain.report.headline import headline
from posttrain.report.pairs import between


def comparison(accuracies, paired, seeds=3):
    arms = tuple(
        Arm(method, tuple({"method": method, "seed": s, "accuracy": value} for s in range(seeds)), ())
        for method, value in accuracies.items()
    )
    return Comparison(Path("."), arms, tuple(paired), (), {})


def pair(first, second, difference, ends, shown):
    return {"first": first, "second": second, "difference": difference, "ci95": ends, "shown": shown}


def test_a_shown_difference():
    told = headline(comparison({"rft": 0.045, "uft": 0.123}, [pair("uft", "rft", 0.078, [0.051, 0.102], True)]))
    assert told.sentence == "UFT 12.3%, RFT 4.5%; the difference of 7.8 points [5.1, 10.2] is shown"
    assert told.details == ()


def test_a_difference_that_is_not_shown_says_why():
    told = headline(comparison({"rft": 0.115, "uft": 0.123}, [pair("uft", "rft", 0.008, [-0.011, 0.03], False)]))
    assert told.sentence.endswith("the difference of 0.8 points [−1.1, 3.0] is not shown: the interval contains 0")


def test_the_best_arm_comes_first_whichever_it_is():
    told = headline(comparison({"rft": 0.2, "uft": 0.1}, [pair("uft", "rft", -0.1, [-0.13, -0.06], True)]))
    assert told.sentence == "RFT 20.0%, UFT 10.0%; the difference of 10.0 points [6.0, 13.0] is shown"


def test_the_other_arms_are_told_apart_by_what_is_shown():
    paired = [
        pair("uft", "r3", 0.01, [-0.01, 0.03], False),
        pair("uft", "rft", 0.06, [0.04, 0.08], True),
        pair("sft", "uft", -0.02, [-0.05, 0.01], False),
    ]
    told = headline(comparison({"sft": 0.1, "rft": 0.06, "r3": 0.11, "staged": 0.05, "uft": 0.12}, paired))
    assert told.sentence.startswith("UFT 12.0%, R3 11.0%; ")
    assert told.details == (
        "A difference is shown between UFT and RFT 6.0% (+6.0 points [4.0, 8.0]).",
        "A difference is not shown between UFT and SFT 10.0% (+2.0 points [−1.0, 5.0]).",
        "Not tested against UFT: staged 5.0%.",
    )


def test_one_seed_is_a_caveat():
    told = headline(comparison({"rft": 0.1, "uft": 0.2}, [], seeds=1))
    assert told.sentence == "UFT 20.0%, RFT 10.0%; their difference was not tested"
    assert "not about the luck of a training run" in told.details[-1]


def test_one_arm_and_no_arm():
    assert headline(comparison({"uft": 0.2}, [])).sentence == "UFT 20.0%"
    assert headline(comparison({"uft": None}, [])).sentence == "No arm has a known accuracy yet"


def test_a_turned_pair_keeps_its_interval_in_order():
    row = between((pair("a", "b", 0.1, [0.05, 0.2], True),), "b", "a")
    assert row is not None
    assert (row["first"], row["difference"], row["ci95"]) == ("b", -0.1, [-0.2, -0.05])
