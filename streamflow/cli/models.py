"""`streamflow models`: the registered versions, and the decision on each."""

import json
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from streamflow.cli.examples import examples
from streamflow.core.errors import RegistryError
from streamflow.postgres.server import database

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from streamflow.registry.registry import Registry

_WIDTH = 100
_BELOW = " " * 9


@click.command(epilog=examples("streamflow models", "streamflow models --json"))
@click.option("--json", "as_json", is_flag=True, help="One JSON array, newest first, with the record of each decision.")
def models(as_json: bool) -> None:
    """List the registered model versions, newest first, and the decision on each."""
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
    for line in in_words(listed) or ["no version is registered; run `make repro`"]:
        click.echo(line)
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


def in_words(listed: Sequence[Mapping[str, Any]]) -> list[str]:
    """The versions for a terminal of 100 columns, nothing cut: a row of a table for each, and below it all else."""
    rows = [("version", "model", "as of", "metrics", "alias"), *(_row(each) for each in listed)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    heads = ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines = heads[:1] if listed else []
    for head, each in zip(heads[1:], listed, strict=True):
        lines.append(head)
        lines += [line for text in _details(each) for line in wrap(text, _WIDTH, initial_indent=_BELOW,
                  subsequent_indent=f"{_BELOW}  ", break_long_words=False, break_on_hyphens=False)]  # fmt: skip
    return lines


def _row(each: Mapping[str, Any]) -> tuple[str, ...]:
    as_of = each["tags"].get("streamflow.as_of", "")
    model = each["model"].removesuffix(f" as of {as_of}")
    shown = (("AUC", "roc_auc"), ("F1", "f1"))
    scores = ", ".join(f"{label} {each['metrics'][name]:.4f}" for label, name in shown if name in each["metrics"])
    return each["version"], model, as_of, scores, ", ".join(each["aliases"])


def _details(each: Mapping[str, Any]) -> list[str]:
    """Decision and source; bytes and commit; whose keys signed for it, and whose reruns gave the same bytes."""
    tags = each["tags"]
    digest, commit = (tags.get(f"streamflow.{name}", "") for name in ("model_sha256", "git_commit"))
    dirty = " (dirty)" if tags.get("streamflow.git_dirty") == "true" else ""
    decided = ": ".join(filter(None, ("decision", each["decision_in_short"] or "none", each["problem"])))
    signed = ", ".join(each["signed_by"]) or "nobody"
    again = ", ".join(each["derived_again_by"]) or tags.get("streamflow.rerun_verdict", "") or "nobody"
    return [
        f"{decided}; source {tags.get('streamflow.source', '') or 'unknown'}",
        f"SHA-256 {digest[:12]}, commit {commit[:12]}{dirty}",
        f"signed by {signed}; derived again by {again}",
    ]


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
