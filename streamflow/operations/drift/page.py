"""The page of a drift comparison: one HTML file that needs nothing else and has the same bytes for the same comparison."""

from dataclasses import dataclass
from pathlib import Path

import jinja2

from streamflow.core.schema import LABEL
from streamflow.operations.drift.verdict import BETWEEN, SCORE, DataDrift, Histogram, Shift, percent, points

_TEMPLATE = Path(__file__).with_name("page.html.j2")
_WIDTH, _HEIGHT, _GAP = 640.0, 200.0, 0.2


@dataclass(frozen=True)
class Bar:
    """A pair of bars in the units of the picture: places, heights, and the text under the pointer."""

    x: float
    width: float
    before: float
    after: float
    title: str


@dataclass(frozen=True)
class Chart:
    """The histograms of one column, the reference beside the current month."""

    name: str
    caption: str
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str, str], ...]
    top: str


def render_page(found: DataDrift) -> str:
    """HTML of a comparison; histograms of label, score and each feature that drifted."""
    first = [each for name in (LABEL, SCORE) if (each := found.shift(name))]
    rest = [each for each in found.features if each not in found.drifted]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "points": points}
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        found=found,
        rows=[*first, *found.drifted, *rest],
        charts=[_chart(each) for each in (*first, *found.drifted)],
        score=found.shift(SCORE),
        width=_WIDTH,
        height=_HEIGHT,
    )


def _chart(shift: Shift) -> Chart:
    histogram = shift.histogram
    highest = max((*histogram.reference, *histogram.current), default=0.0) or 1.0
    slot = _WIDTH / max(1, len(histogram.bars))
    bars = tuple(
        Bar(
            x=round(position * slot + slot * _GAP / 2, 2),
            width=round(slot * (1 - _GAP) / 2, 2),
            before=round(_HEIGHT * before / highest, 2),
            after=round(_HEIGHT * after / highest, 2),
            title=f"{name}: {percent(before)}, then {percent(after)}",
        )
        for position, (name, before, after) in enumerate(
            zip(histogram.bars, histogram.reference, histogram.current, strict=True)
        )
    )
    caption = f"PSI {shift.psi:.4f}, adjusted p {shift.adjusted_p:.2g}"
    return Chart(shift.name, caption, bars, _ticks(histogram, slot), percent(highest))


def _ticks(histogram: Histogram, slot: float) -> tuple[tuple[float, str, str], ...]:
    """Place, anchor and text below the bars: each bar if they are few, else the first, the middle and the last."""
    bars = histogram.bars
    if len(bars) <= 6:
        return tuple((round((at + 0.5) * slot, 2), "middle", name) for at, name in enumerate(bars))
    middle = len(bars) // 2
    ends = (0.0, "start", bars[0].split(BETWEEN)[0]), (_WIDTH, "end", bars[-1].split(BETWEEN)[-1])
    low, *range_ = bars[middle].split(BETWEEN)
    # A bar of one value is named in its middle, a range where it begins.
    return ends[0], (round((middle + (0 if range_ else 0.5)) * slot, 2), "middle", low), ends[1]
