"""The report of an evaluation, in two layers, each one HTML file that needs nothing else.

`render_report` makes the first: the same arguments give the same bytes. `publish` fills marked
places of it with the facts of a version; without these fillings it is the first layer again, byte for byte
(`evaluation_of`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup, escape

from streamflow.core.errors import ModelError
from streamflow.core.schema import FEATURE_SERVICES, LABELS, TABLES, USERS, service_features
from streamflow.evaluation.metrics import baseline_metrics
from streamflow.evaluation.segments import Segment
from streamflow.report import charts
from streamflow.snapshots.profile import MonthProfile

if TYPE_CHECKING:
    from streamflow.report.publication import Publication

MARKS = ("status", "contents", "decision", "months", "lineage")
"""The places that `publish` fills, in the order of the page."""

_TEMPLATES = {
    "style": Path(__file__).with_name("report.css.j2"),
    "page": Path(__file__).with_name("report.html.j2"),
    "scores": Path(__file__).with_name("report_scores.html.j2"),
    "data": Path(__file__).with_name("report_data.html.j2"),
    "card": Path(__file__).with_name("report_card.html.j2"),
    "published": Path(__file__).with_name("report_published.html.j2"),
}
_SCORES = {
    "roc_auc": ("ROC AUC", "higher"),
    "average_precision": ("average precision", "higher"),
    "f1": ("F1", "higher"),
    "precision": ("precision", "higher"),
    "recall": ("recall", "higher"),
    "accuracy": ("accuracy", "higher"),
    "brier": ("Brier score", "lower"),
    "log_loss": ("log loss", "lower"),
}
_PERSONAL = tuple(column.name for column in USERS.columns if column.kind != "date")

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Evaluation:
    """What the first layer shows. `metrics` are those of the test users, `cross_validation` the spread over all users.

    `training` and `dataset` are training.json and dataset.json; `curves` holds roc, precision_recall, calibration,
    importance and scores; `months` those of features and labels; `source` is the name of where the extracts came from;
    `settings` and `inputs` are name to text and path to SHA-256 of what went in.
    """

    metrics: Mapping[str, float]
    cross_validation: Mapping[str, float]
    folds: str
    confusion: Mapping[str, int]
    training: Mapping[str, Any]
    dataset: Mapping[str, Any]
    curves: Mapping[str, Rows]
    segments: Sequence[Segment]
    months: Sequence[MonthProfile]
    source: str
    settings: Mapping[str, str]
    inputs: Mapping[str, str]


def render_report(evaluation: Evaluation) -> str:
    """The first layer, with the marked places empty."""
    service = evaluation.dataset["feature_service"]
    return (
        _environment()
        .get_template("page")
        .render(
            **vars(evaluation),
            scores=_SCORES,
            baseline=baseline_metrics(evaluation.metrics["churn_rate"]),
            plots=_plots(evaluation),
            bars=_bars(evaluation.curves["importance"]),
            strips=[_strip(each, evaluation.training["threshold"]) for each in evaluation.segments],
            features=service_features(service),
            other_services=[name for name in FEATURE_SERVICES if name != service],
            personal=[column.name for column in service_features(service) if column.name in _PERSONAL],
            tables=TABLES,
            label=LABELS.columns[0],
            estimator=evaluation.training["estimator"].rsplit(".", 1)[-1],
        )
    )


def publish(report_html: str, publication: "Publication") -> str:
    """The second layer: the first one with the marked places filled. Raises ModelError if it lacks one of them."""
    fragments = _environment().get_template("published").module
    published = report_html
    for name in MARKS:
        place = _mark(name)
        if published.count(place) != 1:
            raise ModelError(
                f"the report of the evaluation has {published.count(place)} places for the {name};"
                " `dvc repro --force --single-item evaluate` makes it again"
            )
        filling = str(getattr(fragments, name)(publication, _SCORES)).strip("\n")
        published = published.replace(place, _mark(name, f"\n{filling}\n"))
    return published


def evaluation_of(published_html: str) -> str:
    """The first layer that a published report was made from."""
    unfilled = published_html
    for name in MARKS:
        pattern = re.escape(_mark(name, "\0")).replace("\0", ".*?")
        unfilled = re.sub(pattern, _mark(name), unfilled, flags=re.DOTALL)
    return unfilled


def _mark(name: str, filling: str = "") -> str:
    # Text from outside can't hold a mark: `<` of it is escaped.
    return f"<!-- published: {name} -->{filling}<!-- end: {name} -->"


def _plots(evaluation: Evaluation) -> dict[str, Markup]:
    metrics, curves = evaluation.metrics, evaluation.curves
    area, precision = metrics["roc_auc"], metrics["average_precision"]
    drawn = {
        "roc": charts.curve(
            curves["roc"],
            "false_positive_rate",
            "true_positive_rate",
            label=f"ROC curve, area {area:.4f}; the dashed diagonal is chance",
            axes=("share of those who stayed, called", "share of churners, called"),
        ),
        "precision_recall": charts.curve(
            curves["precision_recall"],
            "recall",
            "precision",
            label=f"Precision over recall, average precision {precision:.4f}; dashed: the churn rate",
            axes=("recall", "precision"),
            level=metrics["churn_rate"],
        ),
        "calibration": charts.reliability(
            curves["calibration"],
            label=f"Reliability in ten bins, expected calibration error {metrics['expected_calibration_error']:.4f}",
            axes=("mean churn probability", "churn rate"),
        ),
        "scores": charts.score_bars(
            curves["scores"],
            evaluation.training["threshold"],
            label="Users by churn probability, those who stayed below those who churned; dashed: the threshold",
            axes=("churn probability", "users"),
        ),
    }
    return {name: Markup(svg) for name, svg in drawn.items()}


def _bars(importance: Rows) -> list[Markup]:
    largest = max((row["auc_loss"] + row["spread"] for row in importance), default=0.0)
    return [
        Markup(
            charts.loss_bar(
                row["auc_loss"], row["spread"], largest, label=f"{row['auc_loss']:.4f} ± {row['spread']:.4f}"
            )
        )
        for row in importance
    ]


def _strip(segment: Segment, threshold: float) -> Markup:
    middle = segment.quantiles["score_50"]
    return Markup(
        charts.strip(
            segment.histogram, threshold, label=f"Churn probability of {segment.value}: half are below {middle:.2f}"
        )
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.DictLoader({name: path.read_text(encoding="utf-8") for name, path in _TEMPLATES.items()}),
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "score": lambda number: "–" if number is None else f"{number:.4f}",
        "signed": lambda number: "–" if number is None else f"{number:+.4f}",
        "percent": lambda share: f"{100 * share:.1f}\N{NO-BREAK SPACE}%",
        "prose": lambda text: Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text)))),
        "money": lambda amount: f"{amount:,.2f}".removesuffix(".00"),
    }
    environment.globals["mark"] = lambda name: Markup(_mark(name))
    return environment
