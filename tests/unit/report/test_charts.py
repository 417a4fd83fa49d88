"""Charts, mark by mark: the unit square lies between (46, 220) and (346, 10)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow.report.charts import curve, loss_bar, reliability, score_bars, strip, wilson_interval

AXES = ("across <", "up")


def frame(*ticks):
    """Grid and tick texts of a chart; `ticks` are the texts of its y axis."""
    lines = []
    for x, y, across, up in zip(range(46, 347, 60), range(220, 9, -42), (0, 0.2, 0.4, 0.6, 0.8, 1), ticks, strict=True):
        lines.append(f'<path class="grid" d="M46.0 {y}.0L346.0 {y}.0"/>')
        lines.append(f'<text x="40" y="{y + 4}" text-anchor="end">{up}</text>')
        lines.append(f'<text x="{x}" y="237" text-anchor="middle">{across}</text>')
    return "".join(lines)


UNIT = frame("0", "0.2", "0.4", "0.6", "0.8", "1")
DIAGONAL = '<path class="reference" d="M46.0 220.0L346.0 10.0"/>'
NAMES = (
    '<text x="196" y="257" text-anchor="middle">across &lt;</text>'
    '<text x="12" y="115" text-anchor="middle" transform="rotate(-90 12 115)">up</text></svg>'
)


def opening(label):
    return f'<svg class="chart" viewBox="0 0 360 264" role="img" aria-label="{label}">'


def test_a_curve_is_a_line_through_its_points_over_the_diagonal():
    rows = [{"x": 0, "y": 0}, {"x": 0.5, "y": 0.8}, {"x": 1, "y": 1}]
    line = '<path class="curve" d="M46.0 220.0L196.0 52.0L346.0 10.0"/>'
    drawn = curve(rows, "x", "y", label="ROC & co", axes=AXES)
    assert drawn == opening("ROC &amp; co") + UNIT + DIAGONAL + line + NAMES


def test_a_curve_may_be_compared_with_a_level():
    drawn = curve([{"x": 0, "y": 1}, {"x": 1, "y": 0.25}], "x", "y", label="x", axes=AXES, level=0.25)
    assert '<path class="reference" d="M46.0 167.5L346.0 167.5"/>' in drawn
    assert 'd="M46.0 10.0L346.0 167.5"' in drawn


@pytest.mark.parametrize(("step", "corners"), [(0.0021, 3), (0.0019, 2)])
def test_a_corner_that_can_not_be_seen_is_left_out(step, corners):
    rows = [{"x": 0, "y": 0}, {"x": step, "y": 0}, {"x": 0.5, "y": 1}]
    (path,) = re.findall(r'class="curve" d="M([^"]+)"', curve(rows, "x", "y", label="", axes=AXES))
    assert len(path.split("L")) == corners
    stairs = [{"x": 0, "y": 0}, {"x": 0, "y": 1}, {"x": 0, "y": 0.9999}, {"x": 1, "y": 1}]
    (path,) = re.findall(r'class="curve" d="M([^"]+)"', curve(stairs, "x", "y", label="", axes=AXES))
    assert path == "46.0 220.0L46.0 10.0L346.0 10.0"


def test_a_reliability_chart_has_a_dot_and_an_interval_for_each_bin():
    rows = [{"observed": 0.25, "predicted": 0.2, "users": 100}, {"observed": 0.5, "predicted": 0.6, "users": 40}]
    marks = (
        '<path class="whisker" d="M106.0 183.2L106.0 148.0"/><path class="whisker" d="M226.0 146.1L226.0 83.9"/>'
        '<path class="curve thin" d="M106.0 167.5L226.0 115.0"/>'
        '<circle class="dot" cx="106.0" cy="167.5" r="3.5"/><circle class="dot" cx="226.0" cy="115.0" r="3.5"/>'
    )
    assert reliability(rows, label="x", axes=AXES) == opening("x") + UNIT + DIAGONAL + marks + NAMES


def test_those_who_churned_stand_on_those_who_stayed():
    rows = [
        {"score_from": 0.0, "score_to": 0.05, "stayed": 30, "churned": 10},
        {"score_from": 0.05, "score_to": 0.1, "stayed": 0, "churned": 5},
    ]
    bars = (
        '<rect class="stayed" x="46.5" y="62.5" width="14.0" height="157.5"/>'
        '<rect class="churned" x="46.5" y="10.0" width="14.0" height="52.5"/>'
        '<rect class="stayed" x="61.5" y="220.0" width="14.0" height="0.0"/>'
        '<rect class="churned" x="61.5" y="193.8" width="14.0" height="26.2"/>'
        '<path class="threshold" d="M136.0 220.0L136.0 10.0"/>'
    )
    drawn = score_bars(rows, 0.3, label="x", axes=AXES)
    assert drawn == opening("x") + frame("0", "8", "16", "24", "32", "40") + bars + NAMES


@pytest.mark.parametrize(
    ("users", "top"),
    [(0, "5"), (5, "5"), (6, "10"), (50, "50"), (51, "100"), (499, "500"), (501, "1,000"), (5001, "10,000")],
)
def test_the_axis_of_a_histogram_ends_at_a_round_number(users, top):
    rows = [{"score_from": 0.0, "score_to": 1.0, "stayed": users, "churned": 0}] if users else []
    assert re.findall(r'text-anchor="end">([\d,]+)<', score_bars(rows, 0.3, label="", axes=AXES))[-1] == top


@pytest.mark.parametrize(
    ("loss", "largest", "width", "whisker"),
    [
        (0.02, 0.04, "50.0", "M26.0 7L76.0 7"),
        (0.005, 0.04, "12.5", "M1.0 7L38.5 7"),
        (-0.02, 0.04, "0.0", "M1.0 7L1.0 7"),
        (0.0, 0.0, "0.0", "M1.0 7L1.0 7"),
        (0.0, -1.0, "0.0", "M1.0 7L1.0 7"),
    ],
)
def test_a_loss_is_a_bar_in_units_of_the_largest_and_never_below_nothing(loss, largest, width, whisker):
    assert loss_bar(loss, 0.01, largest, label="<x>") == (
        '<svg class="bar" viewBox="0 0 104 14" role="img" aria-label="&lt;x&gt;">'
        f'<rect class="stayed" x="1" y="2" width="{width}" height="10"/><path class="whisker" d="{whisker}"/></svg>'
    )


def test_a_strip_is_as_high_as_its_fullest_bin():
    def drawn(*bars):
        return (
            f'<svg class="strip" viewBox="0 0 120 30" role="img" aria-label="a &amp; b">{"".join(bars)}'
            '<path class="axis" d="M0 28.5L120 28.5"/><path class="threshold" d="M30.0 0L30.0 30"/></svg>'
        )

    assert strip([0, 2, 4], 0.25, label="a & b") == drawn(
        '<rect class="stayed" x="40.5" y="15.0" width="39.0" height="13.0"/>',
        '<rect class="stayed" x="80.5" y="2.0" width="39.0" height="26.0"/>',
    )
    assert strip([0, 0], 0.25, label="a & b") == drawn()


@pytest.mark.parametrize(
    ("rate", "users", "z", "low", "high"),
    [
        (0.25, 100, 1.96, 0.175451, 0.343046),
        (0.0, 10, 1.96, 0.0, 0.277540),
        (1.0, 10, 1.96, 0.722460, 1.0),
        (0.5, 4, 1.0, 0.276393, 0.723607),
    ],
)
def test_the_interval_of_wilson(rate, users, z, low, high):
    assert wilson_interval(rate, users, z) == pytest.approx((low, high), abs=1e-6)
    if z == 1.96:
        assert wilson_interval(rate, users) == wilson_interval(rate, users, z)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_the_interval_of_a_rate_encloses_it(some, more):
    users = some + more
    low, high = wilson_interval(some / users, users)
    assert 0 <= low <= some / users <= high <= 1


def test_a_curve_of_a_hundred_thousand_corners_stays_small_and_keeps_its_ends():
    rows = [{"x": position / 100_000, "y": position / 100_000} for position in range(100_001)]
    drawn = curve(rows, "x", "y", label="a line", axes=("x", "y"))
    assert len(drawn) < 20_000
    assert 'd="M46.0 220.0L' in drawn
    assert 'L346.0 10.0"/>' in drawn
