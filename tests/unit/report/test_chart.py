from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.report.chart import Chart, Lane, Level, Line, condensed, segments, smoothed
from posttrain.report.scale import inner_ticks, round_ticks, spread
from posttrain.report.svg import SIZES, draw

numbers = st.floats(-1e6, 1e6, allow_nan=False)
series = st.lists(st.tuples(st.integers(0, 500), st.one_of(st.none(), numbers)), max_size=20)


@given(series, st.sampled_from(sorted(SIZES)))
def test_any_series_can_be_drawn(points, size):
    line = Line("a <line>", "uft", tuple(sorted(points, key=lambda p: p[0])), marks="dots")
    chart = Chart("title & more", "step", (line,), lanes=(Lane("hints", "given", 0, 10),))
    element = ElementTree.fromstring(draw(chart, SIZES[size]))
    drawn = [float(c.get("cy")) for c in element.iter("circle")]
    assert len(drawn) == sum(y is not None for _, y in points)
    assert all(0 <= place <= SIZES[size].height for place in drawn)


def test_a_gap_parts_the_line_and_a_lonely_point_is_a_dot():
    line = Line("", "uft", ((0, 1.0), (1, 2.0), (2, None), (3, 1.0), (4, None), (5, 1.0), (6, 2.0)))
    element = ElementTree.fromstring(draw(Chart("", "step", (line,)), SIZES["small"]))
    assert len(list(element.iter("polyline"))) == 2
    assert len(list(element.iter("circle"))) == 1


def test_the_level_and_its_label_are_drawn():
    chart = Chart(
        "", "step", (Line("", "uft", ((0, 0.1),)),), "share", levels=(Level("base 1.6%", 0.016, (0.01, 0.03)),)
    )
    svg = draw(chart, SIZES["wide"])
    assert all(part in svg for part in ("base 1.6%", 'class="level"', "band"))


def test_the_axis_contains_zero_and_everything_drawn():
    line = Line("", "uft", ((0, 0.3), (1, 0.4)), band=((0, 0.2, 0.7), (1, 0.3, 0.5)))
    assert Chart("", "step", (line,)).y_range() == (0.0, 0.7)
    assert Chart("", "step", (Line("", "uft", ((0, -2.0), (1, -1.0))),)).y_range() == (-2.0, 0.0)


@given(st.lists(st.one_of(st.none(), numbers), min_size=1, max_size=50), st.integers(2, 9))
def test_smoothing_keeps_gaps_and_stays_within_the_data(values, window):
    lines = smoothed("a", "uft", list(enumerate(values)), window)
    known = [value for value in values if value is not None]
    for (_, raw), (_, smooth) in zip(lines[0].points, lines[1].points):
        assert (raw is None) == (smooth is None)
        if smooth is not None:
            assert min(known) - 1e-6 <= smooth <= max(known) + 1e-6


def test_condensing_keeps_the_mean_and_unknown_spans():
    points = [(float(i), None if i >= 500 else float(i)) for i in range(1000)]
    few = condensed(points, 100)
    assert len(few) == 100
    assert few[0] == (5.0, 4.5)
    assert few[-1][1] is None
    assert segments(few) == [[(x, y) for x, y in few[:50]]]


@given(st.floats(-1e3, 1e3), st.floats(1e-6, 1e4), st.integers(2, 10))
def test_ticks_cover_the_range_and_are_few(low, width, about):
    ticks = round_ticks(low, low + width, about)
    assert ticks[0] <= low + width * 1e-6
    assert ticks[-1] >= low + width * (1 - 1e-6)
    assert 2 <= len(ticks) <= 2 * about + 3
    assert set(inner_ticks(low, low + width, about)) <= set(ticks)


@pytest.mark.parametrize("places", [[10.0, 11.0, 12.0], [95.0, 94.0, 93.0], [1.0, 50.0, 99.0], [50.0]])
def test_labels_are_moved_apart_in_order(places):
    moved = spread(places, 16, 0, 100)
    ordered = sorted(zip(places, moved))
    assert all(b[1] - a[1] >= 16 - 1e-9 for a, b in pairwise(ordered))
    assert all(0 <= place <= 100 for place in moved)


def test_steps_are_counted_in_whole_numbers():
    element = ElementTree.fromstring(draw(Chart("", "step", (Line("", "uft", ((1, 0.5), (3, 0.7))),)), SIZES["small"]))
    ticks = [text.text for text in element.iter("text") if text.get("text-anchor") == "middle"]
    assert ticks == ["1", "2", "3", "step"]
