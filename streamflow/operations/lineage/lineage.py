"""Where a result came from, gathered from git, the result's own files and the registry."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from streamflow.core.schema import MODEL_NAME
from streamflow.pipeline.environment import locked_packages
from streamflow.pipeline.layout import ONNX
from streamflow.provenance.comparison import Rows, differing, flat, snapshot_differences
from streamflow.provenance.git import file_at, git, tag_message, tags_of
from streamflow.provenance.record import PREFIX
from streamflow.provenance.result import Result, read_result
from streamflow.registry.references import Target
from streamflow.rerun.checkout import checkout
from streamflow.trust.check import evidence_on

if TYPE_CHECKING:
    from streamflow.registry.registry import Registry

Read = Callable[[str], bytes | None]


@contextmanager
def files_of(target: Target) -> Iterator[Read]:
    """A function that reads a file of a target: from its commit, with the run's own changes applied if there are any."""
    if not target.patch:
        yield lambda path: file_at(target.commit, path)
        return
    with checkout(target.commit, target.patch) as folder:
        yield lambda path: (folder / path).read_bytes() if (folder / path).is_file() else None


def lineage(target: Target, registry: "Registry | None") -> dict[str, Any]:
    """The chain of a result: model, run, commit, environment, dataset, snapshots, extracts, attestations."""
    with files_of(target) as read:
        result = read_result(read, target.name)
        receipts = {month: json.loads(read(f"artifacts/ingest/{month}.json") or b"{}") for month in result.snapshots}
    used = {path.rsplit("/", 1)[-1] for path in result.stages["dataset"].deps if path.startswith("data/snapshots/")}
    return {
        "ref": target.name,
        "model": {"name": MODEL_NAME, "sha256": target.model_sha256 or result.model_sha256, "path": str(ONNX)},
        "version": _version(target),
        "commit": _commit(target),
        "environment": {
            "requirements_lock_sha256": result.requirements_lock_sha256,
            "packages": len(locked_packages(result.requirements)),
            **target.machine,
        },
        "configuration": {
            "estimator": result.params["model_name"],
            "feature_service": result.params["features"]["service"],
            "as_of": result.params["as_of"],
            "known_at": result.params["known_at"],
            "seed": result.params["seed"],
        },
        "metrics": dict(result.metrics),
        "dataset": {
            "path": "data/dataset",
            "md5": result.dataset_md5,
            "sha256": result.receipts.get("data/dataset/dataset.parquet"),
            "snapshots": [
                {
                    "as_of": month,
                    "md5": md5,
                    "extract": {
                        "source": result.params["source"]["name"],
                        "tables": receipts[month].get("tables", {}),
                    },
                }
                for month, md5 in result.snapshots.items()
                if month in used
            ],
        },
        "attestations": _attestations(target, registry),
    }


def differences(before: Target, after: Target) -> dict[str, Any]:
    """What differs between two results: code, snapshots, packages, configuration, metrics, digests."""
    with files_of(before) as read_before, files_of(after) as read_after:
        old, new = read_result(read_before, before.name), read_result(read_after, after.name)
        rows = snapshot_differences(old, new, _rows(read_before, old), _rows(read_after, new))
    packages = differing(locked_packages(old.requirements), locked_packages(new.requirements))
    return {
        "before": {
            "ref": before.name,
            "commit": before.commit,
            "model_sha256": before.model_sha256 or old.model_sha256,
        },
        "after": {"ref": after.name, "commit": after.commit, "model_sha256": after.model_sha256 or new.model_sha256},
        "code": _diffstat(before, after),
        "uncommitted": [target.name for target in (before, after) if target.patch],
        "snapshots": rows,
        "packages": [each.to_json() for each in packages],
        "configuration": [each.to_json() for each in differing(flat(old.params), flat(new.params))],
        "metrics": [each.to_json() for each in differing(old.metrics, new.metrics)],
    }


def _version(target: Target) -> dict[str, Any] | None:
    version = target.version
    if version is None:
        return None
    tags = version.tags
    return {
        "version": str(version.version),
        "aliases": sorted(version.aliases),
        "run_id": str(version.run_id),
        "description": version.description or "",
        "decision": tags.get(f"{PREFIX}decision", ""),
        "trained_on_committed_files": tags.get(f"{PREFIX}git_dirty") == "false",
        "environment_matched_lock": tags.get(f"{PREFIX}environment_matches_lock") == "true",
        "rerun_verdict": tags.get(f"{PREFIX}rerun_verdict", ""),
    }


def _commit(target: Target) -> dict[str, Any]:
    author, date, subject = git("show", "--no-patch", "--format=%an%x00%aI%x00%s", target.commit).split("\0")
    tags = tags_of(target.commit)
    return {
        "sha": target.commit,
        "tags": tags,
        "tag_message": next((message for tag in tags if (message := tag_message(tag))), "").strip(),
        "author": author,
        "date": date,
        "subject": subject,
        "uncommitted_changes": bool(target.patch),
    }


def _attestations(target: Target, registry: "Registry | None") -> list[dict[str, Any]]:
    """The signed verdicts on the commit of a target, oldest first."""
    shared = registry.envelopes(target.version) if registry is not None and target.version is not None else []
    verdicts = evidence_on(target.commit, shared).verdicts
    return [
        {
            "verdict": each.verdict,
            "finished_on": each.at,
            "signed_by": each.signed.signer,
            "statement_sha256": each.signed.sha256,
            "outputs": len(each.outs),
        }
        for each in sorted(verdicts, key=lambda each: each.at)
    ]


def _rows(read: Read, result: Result) -> Rows:
    receipts = {month: json.loads(read(f"artifacts/ingest/{month}.json") or b"{}") for month in result.snapshots}
    return {
        month: {name: int(table["rows"]) for name, table in receipt.get("tables", {}).items()}
        for month, receipt in receipts.items()
    }


def _diffstat(before: Target, after: Target) -> list[str]:
    results = [":!artifacts", ":!dvc.lock", ":!params.yaml", ":!requirements.lock"]
    stat = git("diff", "--stat=100", "--no-ext-diff", before.commit, after.commit, "--", ".", *results)
    return [line.strip() for line in stat.splitlines()]
