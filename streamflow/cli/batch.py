"""`streamflow batch`: the scores of all users of a frozen snapshot, in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamflow.cli.json_output import json_option, say_json
from streamflow.core.errors import ModelError
from streamflow.pipeline.reporting import progress, say
from streamflow.postgres.server import database
from streamflow.provenance.record import PREFIX

if TYPE_CHECKING:
    from streamflow.operations.batch.scores import Scores
    from streamflow.registry.loading import LoadedModel


@click.command()
@click.option("--as-of", required=True, metavar="DATE", help="The frozen month whose users are scored.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="FILE.parquet or FILE.csv.")
@click.option("--model", default="Production", show_default=True, metavar="REF", help="v3, or an alias.")
@click.option("--reasons", default=0, metavar="N", help="Add the N features that change each score most.")
@click.option("--force", is_flag=True, help="Score users of another source than the model's, too.")
@json_option
@click.pass_obj
def batch(started_in: Path, as_of: str, out: Path, model: str, reasons: int, force: bool, as_json: bool) -> None:
    """Score all users of a frozen snapshot with a registered model.

    \b
    streamflow batch --as-of 2024-01-31 --out scores.parquet
    streamflow batch --as-of 2024-02-29 --out scores.csv --model v3 --reasons 3

    Reads the snapshot's files, checked against dvc.lock, and the verified model; no rows of the database. Sorted by user,
    the same bytes for the same snapshot, model and reasons. A reason's contribution is what the feature adds to the log-odds
    of churn, compared with the snapshot's typical value of it.
    """
    from streamflow.operations.batch.scores import check_output, score_snapshot
    from streamflow.registry.registry import open_registry
    from streamflow.snapshots.frozen import frozen_source, proven_snapshot

    place = started_in / out
    check_output(place)
    folder = proven_snapshot(as_of)
    with database() as url:
        registry = open_registry(url)
        loaded = registry.load(registry.version(model))
    source = frozen_source(as_of)
    if loaded.source and source and loaded.source != source and not force:
        raise ModelError(
            f"version {loaded.version} is a model of {loaded.source}, {as_of} holds users of {source}; name a model of these"
            " users by --model, or --force"
        )
    scores = score_snapshot(
        folder, loaded, place, reasons, lambda slices, total: progress(slices, f"scoring {as_of}", total)
    )
    if as_json:
        say_json(_to_json(loaded, scores, as_of, source, str(out), reasons))
        return
    tags = loaded.tags
    say(f"{scores.users:,} users as of {as_of} scored, {scores.churners:,} of them predicted to churn")
    say(
        f"  model       version {loaded.version}, {loaded.model_sha256[:12]}: {tags[f'{PREFIX}feature_service']} as of"
        f" {tags[f'{PREFIX}as_of']}, threshold {loaded.threshold:g}"
    )
    if scores.reference:
        typical = ", ".join(f"{name} {_format(value)}" for name, value in scores.reference.items())
        say(f"  reasons     {reasons} of each, compared with {typical}")
    other = f", the model is of {loaded.source}" if loaded.source and loaded.source != source else ""
    say(f"  users       of {source or 'an unknown source'}{other}")
    say(f"  written     {out}, SHA-256 {scores.sha256[:12]}")


def _to_json(
    loaded: "LoadedModel", scores: "Scores", as_of: str, source: str, out: str, reasons: int
) -> dict[str, Any]:
    return {
        "as_of": as_of,
        "source": source,
        "users": scores.users,
        "churners": scores.churners,
        "model": {
            "version": loaded.version,
            "model_sha256": loaded.model_sha256,
            "feature_service": loaded.tags[f"{PREFIX}feature_service"],
            "as_of": loaded.tags[f"{PREFIX}as_of"],
            "source": loaded.source,
            "threshold": loaded.threshold,
        },
        "reasons": reasons,
        "reference": dict(scores.reference),
        "out": out,
        "sha256": scores.sha256,
    }


def _format(value: object) -> str:
    return "NULL" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
