"""Charts as inline SVG: a few hundred bytes each, no font of the machine measured, colours by the page's CSS classes.

Equal rows give equal text. Everything that is not a number is escaped.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_LEFT, _TOP, _WIDTH, _HEIGHT = 46.0, 10.0, 300.0, 210.0
_VIEW = f"0 0 {_LEFT + _WIDTH + 14:g} {_TOP + _HEIGHT + 44:g}"
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
# Corners nearer than this to the last one drawn can't be seen; a curve of a million users has a million.
_NEAR = 0.6

Rows = Sequence[Mapping[str, Any]]


def curve(rows: Rows, x: str, y: str, *, label: str, axes: tuple[str, str], level: float | None = None) -> str:
    """A line through points of the unit square; `level` is a dashed line to compare with, None the diagonal."""
    start, end = ((0.0, 0.0), (1.0, 1.0)) if level is None else ((0.0, level), (1.0, level))
    points = _thinned([(_x(row[x]), _y(row[y])) for row in rows])
    path = "M" + "L".join(f"{across:.1f} {down:.1f}" for across, down in points)
    return _framed(
        label, axes, [_line(*start, *end, "reference"), f'<path class="curve" d="{path}"/>'], [f"{t:g}" for t in _TICKS]
    )


def reliability(rows: Rows, *, label: str, axes: tuple[str, str]) -> str:
    """Churn rate over mean prediction, a dot for each bin with its 95 % interval, and the diagonal of a perfect model.

    The interval is Wilson's (1927).
    """
    marks = [_line(0.0, 0.0, 1.0, 1.0, "reference")]
    for row in rows:
        low, high = wilson_interval(row["observed"], row["users"])
        marks.append(_line(row["predicted"], low, row["predicted"], high, "whisker"))
    path = "M" + "L".join(f"{_x(row['predicted']):.1f} {_y(row['observed']):.1f}" for row in rows)
    dots = [f'<circle class="dot" cx="{_x(r["predicted"]):.1f}" cy="{_y(r["observed"]):.1f}" r="3.5"/>' for r in rows]
    return _framed(label, axes, [*marks, f'<path class="curve thin" d="{path}"/>', *dots], [f"{t:g}" for t in _TICKS])


def score_bars(rows: Rows, threshold: float, *, label: str, axes: tuple[str, str]) -> str:
    """Users by churn probability: those who stayed, and on top of them those who churned; the threshold as a line."""
    highest = max((row["stayed"] + row["churned"] for row in rows), default=0)
    top = _round_above(highest)
    marks = []
    for row in rows:
        left, width = _x(row["score_from"]) + 0.5, _x(row["score_to"]) - _x(row["score_from"]) - 1
        for kind, base, count in (("stayed", 0, row["stayed"]), ("churned", row["stayed"], row["churned"])):
            height = _HEIGHT * count / top
            down = _y((base + count) / top)
            marks.append(
                f'<rect class="{kind}" x="{left:.1f}" y="{down:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
            )
    ticks = [f"{round(tick * top):,}" for tick in _TICKS]
    return _framed(label, axes, [*marks, _line(threshold, 0.0, threshold, 1.0, "threshold")], ticks)


def loss_bar(loss: float, spread: float, largest: float, *, label: str) -> str:
    """One bar with its standard deviation, in units of the largest; a loss below 0 is drawn as none."""
    scale = 100 / largest if largest > 0 else 0.0
    end = max(loss, 0.0) * scale
    low, high = max(loss - spread, 0.0) * scale, max(loss + spread, 0.0) * scale
    return (
        f'<svg class="bar" viewBox="0 0 104 14" role="img" aria-label="{escape(label)}">'
        f'<rect class="stayed" x="1" y="2" width="{end:.1f}" height="10"/>'
        f'<path class="whisker" d="M{1 + low:.1f} 7L{1 + high:.1f} 7"/></svg>'
    )


def strip(counts: Sequence[int], threshold: float, *, label: str) -> str:
    """A small histogram of the unit interval, as high as its fullest bin, with the threshold as a line."""
    highest = max(counts, default=0) or 1
    width = 120 / len(counts)
    bars = "".join(
        f'<rect class="stayed" x="{position * width + 0.5:.1f}" y="{28 - 26 * count / highest:.1f}"'
        f' width="{width - 1:.1f}" height="{26 * count / highest:.1f}"/>'
        for position, count in enumerate(counts)
        if count
    )
    return (
        f'<svg class="strip" viewBox="0 0 120 30" role="img" aria-label="{escape(label)}">{bars}'
        f'<path class="axis" d="M0 28.5L120 28.5"/>'
        f'<path class="threshold" d="M{120 * threshold:.1f} 0L{120 * threshold:.1f} 30"/></svg>'
    )


def wilson_interval(rate: float, users: int, z: float = 1.96) -> tuple[float, float]:
    """Bounds of a rate that was seen among `users`; the rate itself lies between them."""
    middle = rate + z**2 / (2 * users)
    half = z * (rate * (1 - rate) / users + z**2 / (4 * users**2)) ** 0.5
    whole = 1 + z**2 / users
    return min(rate, max(0.0, (middle - half) / whole)), max(rate, min(1.0, (middle + half) / whole))


def _framed(label: str, axes: tuple[str, str], marks: Sequence[str], y_ticks: Sequence[str]) -> str:
    parts = [f'<svg class="chart" viewBox="{_VIEW}" role="img" aria-label="{escape(label)}">']
    for tick, text in zip(_TICKS, y_ticks, strict=True):
        parts.append(_line(0.0, tick, 1.0, tick, "grid"))
        parts.append(_text(_LEFT - 6, _y(tick) + 4, text, "end"))
        parts.append(_text(_x(tick), _TOP + _HEIGHT + 17, f"{tick:g}", "middle"))
    parts += marks
    parts.append(_text(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 37, axes[0], "middle"))
    middle = _TOP + _HEIGHT / 2
    turned = f' transform="rotate(-90 12 {middle:g})"'
    parts.append(_text(12, middle, axes[1], "middle", turned))
    return "".join([*parts, "</svg>"])


def _x(value: float) -> float:
    return _LEFT + _WIDTH * value


def _y(value: float) -> float:
    return _TOP + _HEIGHT * (1 - value)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{_x(x1):.1f} {_y(y1):.1f}L{_x(x2):.1f} {_y(y2):.1f}"/>'


def _text(across: float, down: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{across:g}" y="{down:g}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    kept = [points[0]]
    for point in points[1:-1]:
        if abs(point[0] - kept[-1][0]) + abs(point[1] - kept[-1][1]) >= _NEAR:
            kept.append(point)
    return [*kept, points[-1]]


def _round_above(count: int) -> int:
    """The next multiple of 5, 50, 500 … so that five ticks are whole numbers."""
    step = 5
    while step * 10 < count:
        step *= 10
    return max(step, -(-count // step) * step)
