"""`streamflow repro`: compose the configuration, run the pipeline, print the result."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from streamflow.cli.json_output import json_option, lines_on_stderr, say_json
from streamflow.core.schema import MODEL_NAME
from streamflow.operations.repro.compose import StageFailed, compose, reproduce, restore_on_failure, single_run
from streamflow.pipeline.layout import DATASET_COUNTS, METRICS, REPORT
from streamflow.pipeline.params import read_all_params
from streamflow.pipeline.project import state_dir
from streamflow.pipeline.reporting import USER_ERROR, say
from streamflow.postgres.server import database
from streamflow.provenance.gather import reasons_against_promotion
from streamflow.registry.connection import answering_server
from streamflow.trust.installed import known_differences


@click.command()
@click.argument("overrides", nargs=-1)
@click.option("--force", is_flag=True, help="Run every stage, changed or not (dvc repro --force).")
@json_option
def repro(overrides: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Compose params.yaml from conf/ and OVERRIDES, then run the pipeline (dvc repro).

    \b
    streamflow repro                                    what params.yaml says
    streamflow repro model=hist_gradient_boosting       another model
    streamflow repro as_of=2024-02-29                   another date
    streamflow repro experiment=best                     a named experiment of conf/experiment
    streamflow repro source=csv source.dir=PATH         your own extracts

    A run on uncommitted code or configuration, or with other packages than requirements.lock, can't be promoted: it trains
    and is registered with its changes.

    Without OVERRIDES the choices in params.yaml stay. If a month's extract is rejected, the database and all tracked files
    stay as they were, and the exit code is 2.
    """
    run(overrides, (lambda: compose(overrides)) if overrides else None, force, as_json)


def run(
    overrides: Sequence[str], choose: Callable[[], object] | None, force: bool = False, as_json: bool = False
) -> None:
    """Call `choose` to write params.yaml (None: keep it), run the pipeline and print the result; exit if it failed.

    `overrides` are the changes by `choose`: if there are any, a failed run leaves the tracked files as they were.
    """
    started = time.monotonic()
    answering_server()
    try:
        with lines_on_stderr(as_json), single_run(), restore_on_failure(overrides):
            if choose:
                choose()
            for reason in reasons_against_promotion(known_differences()):
                say(f"this run can't be promoted: {reason}")
            # One server for all stages instead of one start and stop for each.
            with database():
                reproduce(force)
    except StageFailed:
        sys.exit(USER_ERROR)
    seconds = time.monotonic() - started
    if as_json:
        say_json({**_to_json(), "seconds": round(seconds, 1)})
    else:
        say(f"\n{_summary()}\n  time        {seconds:.0f} s")


def _to_json() -> dict[str, Any]:
    config, registered = read_all_params(), _json(state_dir() / "registered.json")
    return {
        "as_of": config.as_of,
        "model": config.model_name,
        "features": config.features.service,
        "counts": _json(DATASET_COUNTS),
        "metrics": _json(METRICS),
        "version": registered["version"],
        "decision": registered["reason"],
        "production": registered["production"],
        "report": str(REPORT),
    }


def _summary() -> str:
    config, counts, metrics = read_all_params(), _json(DATASET_COUNTS), _json(METRICS)
    registered = _json(state_dir() / "registered.json")
    return "\n".join(
        [
            f"StreamFlow churn as of {config.as_of}: {config.model_name} on {config.features.service}",
            f"  rows        {counts['rows']:,} users, {counts['churners']:,} churners,"
            f" {counts['parts']['test']['rows']:,} of them held out for the test",
            f"  metrics     ROC AUC {metrics['roc_auc']:.4f}, F1 {metrics['f1']:.4f}, accuracy {metrics['accuracy']:.4f}"
            f" (majority class {metrics['baseline_accuracy']:.4f})",
            f"  model       version {registered['version']} of {MODEL_NAME}: {registered['reason']}",
            f"  production  version {registered['production']}",
            f"  report      {REPORT}",
            "  next        make serve, then POST /predict; or `streamflow ui`",
        ]
    )


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
