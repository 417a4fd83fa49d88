"""`streamflow models`: the registered versions, and the decision on each."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from streamflow.core.errors import RegistryError
from streamflow.postgres.server import database

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from streamflow.registry.registry import Registry


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array, newest first, with the record of each decision.")
def models(as_json: bool) -> None:
    """List the registered model versions, newest first, and the decision on each."""
    from rich.console import Console
    from rich.table import Table

    from streamflow.promotion.ledger import read_ledger
    from streamflow.registry.registry import open_registry, unrecorded_move

    with database() as url:
        registry = open_registry(url)
        listed = [
            _to_row(version, *_metrics(registry, version), _signers(registry, version))
            for version in registry.versions()
        ]
        production, ledger = registry.production(), read_ledger(url)
    if as_json:
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    columns = (
        "version",
        "alias",
        "source",
        "as of",
        "model",
        "metrics",
        "decision",
        "SHA-256",
        "commit",
        "signed by",
        "derived again by",
    )
    table = Table(*columns, box=None)
    for each in listed:
        table.add_row(
            each["version"],
            ", ".join(each["aliases"]),
            each["tags"].get("streamflow.source", "") or "unknown",
            each["tags"].get("streamflow.as_of", ""),
            each["model"],
            _scores(each["metrics"]) or each["problem"],
            each["decision_in_short"],
            each["tags"].get("streamflow.model_sha256", "")[:12],
            each["tags"].get("streamflow.git_commit", "")[:12]
            + (" (dirty)" if each["tags"].get("streamflow.git_dirty") == "true" else ""),
            ", ".join(each["signed_by"]) or "nobody",
            ", ".join(each["derived_again_by"]) or each["tags"].get("streamflow.rerun_verdict", ""),
        )
    # A pipe has no width; nothing may be cut there.
    width = None if sys.stdout.isatty() else 240
    Console(width=width).print(table if listed else "no version is registered; run `make repro`")
    if unrecorded := unrecorded_move(str(production.version) if production else None, ledger.last):
        click.echo(unrecorded)
    for problem in ledger.chain.problems:
        click.echo(problem)


def _metrics(registry: "Registry", version: "ModelVersion") -> tuple[dict[str, float], str]:
    """The metrics of a version's run; none, and what is wrong, if somebody deleted the run or its metrics."""
    try:
        found = registry.run_metrics(version)
    except RegistryError as error:
        return {}, str(error).partition(";")[0]
    return found, "" if found else "its run has no metrics"


def _signers(registry: "Registry", version: "ModelVersion") -> dict[str, list[str]]:
    """Whose keys signed for a version, and whose reruns came out identical; by what its notes and its run say."""
    from streamflow.provenance.record import IDENTICAL
    from streamflow.trust.check import evidence_on

    commit, model = (version.tags.get(f"streamflow.{name}", "") for name in ("git_commit", "model_sha256"))
    evidence = evidence_on(commit, registry.envelopes(version))
    signed = {claim.signed.signer for claim in evidence.claims if claim.files.get("model.onnx") == model}
    again = {
        each.signed.signer for each in evidence.verdicts if (each.model_sha256, each.verdict) == (model, IDENTICAL)
    }
    return {"signed_by": sorted(signed), "derived_again_by": sorted(again)}


def _scores(metrics: dict[str, float]) -> str:
    shown = (("AUC", "roc_auc"), ("F1", "f1"))
    return ", ".join(f"{label} {metrics[name]:.4f}" for label, name in shown if name in metrics)


def _to_row(
    version: "ModelVersion", metrics: dict[str, float], problem: str, signers: dict[str, list[str]]
) -> dict[str, Any]:
    from streamflow.promotion.decisions import in_short
    from streamflow.registry.decision import COMPARISON_TAG, DECISION_TAG, decision_of
    from streamflow.registry.registry import headline

    record, text = decision_of(version), version.tags.get(DECISION_TAG, "")
    return {
        "version": str(version.version),
        "aliases": sorted(version.aliases),
        "model": headline(version.description or ""),
        "description": version.description or "",
        "metrics": dict(sorted(metrics.items())),
        "problem": problem,
        **signers,
        "decision": text,
        "decision_in_short": in_short(text, record),
        "comparison": record.to_json() if record else None,
        "tags": {name: value for name, value in sorted(version.tags.items()) if name != COMPARISON_TAG},
    }
