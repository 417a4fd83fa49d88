"""The evaluation report: one HTML file that needs nothing else and has the same bytes for the same evaluation."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "streamflow",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_LINE, _FAINT, _INK = "#2f7ed8", "#999999", "#808080"

Rows = Sequence[Mapping[str, Any]]


def render_report(
    *,
    metrics: Mapping[str, float],
    confusion: Mapping[str, int],
    training: Mapping[str, Any],
    dataset: Mapping[str, Any],
    curves: Mapping[str, Rows],
) -> str:
    """HTML of an evaluation on the test part; `curves` holds roc, precision_recall, calibration and importance."""
    plots = {
        "ROC curve": _svg(lambda axes: _curve(axes, curves["roc"], "false_positive_rate", "true_positive_rate", True)),
        "Precision and recall": _svg(
            lambda axes: _curve(axes, curves["precision_recall"], "recall", "precision", False)
        ),
        "Calibration": _svg(lambda axes: _curve(axes, curves["calibration"], "predicted", "observed", True)),
        "Permutation importance": _svg(lambda axes: _bars(axes, curves["importance"])),
    }
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        metrics=metrics, confusion=confusion, training=training, dataset=dataset, plots=plots
    )


def _curve(axes: Axes, rows: Rows, x: str, y: str, diagonal: bool) -> None:
    if diagonal:
        axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=1, linestyle="--")
    axes.plot([row[x] for row in rows], [row[y] for row in rows], color=_LINE, marker="o" if len(rows) <= 10 else "")
    axes.set(xlabel=x.replace("_", " "), ylabel=y.replace("_", " "), xlim=(0, 1), ylim=(0, 1.02))


def _bars(axes: Axes, rows: Rows) -> None:
    lowest_first = list(reversed(rows))
    axes.barh(
        [row["feature"] for row in lowest_first],
        [row["auc_loss"] for row in lowest_first],
        xerr=[row["spread"] for row in lowest_first],
        color=_LINE,
        ecolor=_FAINT,
    )
    axes.set(xlabel="loss of ROC AUC when shuffled")


def _svg(draw: Any) -> str:
    # Start from matplotlib's own defaults: a user's matplotlibrc must not change a byte.
    with mpl.rc_context({**mpl.rcParamsDefault, **_STYLE}):
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.tick_params(colors=_INK)
        draw(axes)
        for spine in axes.spines.values():
            spine.set_color(_FAINT)
        for label in (axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_color(_INK)
        sink = io.StringIO()
        figure.savefig(sink, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = sink.getvalue()
    svg = svg[svg.index("<svg") :]
    # A fixed size would not fit a phone.
    return re.sub(r'width="[^"]*pt" height="[^"]*pt"|height="[^"]*pt"|(?<=<svg )width="[^"]*pt"', "", svg, count=2)
