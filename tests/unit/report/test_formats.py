import pytest

from posttrain.report import formats


@pytest.mark.parametrize(
    "written",
    [formats.share, formats.interval, formats.points, formats.count, formats.number, formats.flops, formats.duration],
)
def test_unknown_is_called_unknown(written):
    assert written(None) == "unknown"


def test_an_interval_with_one_unknown_end_is_unknown():
    assert formats.interval([0.1, None]) == "unknown"


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (formats.share(0.0), "0.0%"),
        (formats.share(0.1234), "12.3%"),
        (formats.interval([-0.011, 0.102]), "[−1.1, 10.2]"),
        (formats.points(0.078), "+7.8"),
        (formats.points(-0.0001), "0.0"),
        (formats.count(128000.4), "128,000"),
        (formats.number(3e-5), "3e-5"),
        (formats.number(-0.00025), "−0.00025"),
        (formats.flops(0), "0 FLOP"),
        (formats.flops(1.234e15), "1.23 PFLOP"),
        (formats.flops(999.9), "1 kFLOP"),
        (formats.duration(42.14), "42.1 s"),
        (formats.duration(59.99), "1 min 00 s"),
        (formats.duration(245), "4 min 05 s"),
        (formats.duration(4330), "1 h 12 min"),
        (formats.tick(1000), "1000"),
        (formats.tick(128000), "128k"),
        (formats.percent_tick(0.125), "12.5%"),
        (formats.signed_tick(-0.05), "−5"),
        (formats.words({"centred": {}}), "centred"),
        (formats.words({"centred": {"scale": 2}}), "centred scale 2"),
        (formats.words(False), "False"),
    ],
)
def test_numbers_as_people_read_them(shown, wanted):
    assert shown == wanted
