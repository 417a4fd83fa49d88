"""The published report of a version: its evaluation with the decision filled in, logged as report.html of its run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from streamflow.core.schema import MODEL_NAME
from streamflow.pipeline.layout import SNAPSHOTS
from streamflow.provenance.record import PREFIX
from streamflow.registry.decision import DecisionRecord, decision_of
from streamflow.report.publication import Publication
from streamflow.snapshots.frozen import proven_files
from streamflow.snapshots.profile import MonthProfile, month_profile, waved_through

if TYPE_CHECKING:
    from streamflow.registry.registry import Registry

EVALUATION_REPORT = "evaluation/report.html"
PUBLISHED_REPORT = "report.html"
_LINEAGE = {
    "source": "source",
    "git commit": "git_commit",
    "git tag": "git_tag",
    "trained at commit": "trained_at_commit",
    "uncommitted changes": "git_dirty",
    "dvc.lock, SHA-256 of the derivation": "dvc_lock_sha256",
    "requirements.lock, SHA-256": "requirements_lock_sha256",
    "packages as locked": "environment_matches_lock",
    "packages that differ": "environment_differences",
    "params.yaml, SHA-256": "params_sha256",
    "training set, MD5": "dataset_md5",
    "model.onnx, SHA-256": "model_sha256",
    "fingerprint of all inputs": "input_fingerprint",
    "extracts known at": "known_at",
    "seed": "seed",
    "Python": "python",
    "platform": "platform",
    "CPU": "cpu",
    "CPU features that numpy uses": "cpu_features",
    "glibc": "glibc",
    "BLAS kernel": "blas_kernel",
    "threads": "threads",
}


def publish_report(
    registry: "Registry", version: str, decided: DecisionRecord, months: Sequence[str], published_at: str
) -> None:
    """Log the published report with the run of a version; `published_at` is UTC.

    It is made from the evaluation report of the run, whose digest is in the version's record. Raises RegistryError if
    there is none, ModelError if its digest differs, HistoryError if a frozen month differs from dvc.lock.
    """
    from streamflow.report.report import publish  # imports what draws and computes

    known = registry.version(version)
    evaluation = registry.run_file(known, EVALUATION_REPORT).decode("utf-8")
    publication = Publication(
        model_name=MODEL_NAME,
        version=version,
        published_at=published_at,
        decision=decided,
        lineage={**_lineage(known.tags), "MLflow run": str(known.run_id)},
        months=[_proven_profile(month) for month in sorted(months) if (SNAPSHOTS / month).is_dir()],
    )
    registry.attach(known, PUBLISHED_REPORT, publish(evaluation, publication))


def publish_promotion(registry: "Registry", version: str, why: str, months: Sequence[str], published_at: str) -> None:
    """Publish the report of a version that a person made Production, with the comparison of its registration.

    Raises as `publish_report`.
    """
    record = decision_of(registry.version(version))
    decided = replace(record or DecisionRecord(True, why), promote=True, reason=why)
    publish_report(registry, version, decided, months, published_at)


def _proven_profile(month: str) -> MonthProfile:
    # DVC hashed only the months of the features and of the labels as deps of the stage.
    proven_files(month)
    return replace(month_profile(month), waved_through=waved_through(month))


def _lineage(tags: Mapping[str, str]) -> dict[str, str]:
    words = {"true": "yes", "false": "no"}
    found = {label: tags.get(f"{PREFIX}{name}", "") for label, name in _LINEAGE.items()}
    found = {label: words.get(value, value) for label, value in found.items()}
    snapshots = json.loads(tags.get(f"{PREFIX}snapshots") or "{}")
    return found | {f"snapshot {month}, MD5": md5 for month, md5 in sorted(snapshots.items())}
