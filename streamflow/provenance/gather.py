"""The provenance of the model that the pipeline has just made, and the files that its MLflow run keeps."""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml

from streamflow.core.config import Config, source_identity
from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import StreamFlowError
from streamflow.pipeline.dvc_files import lock_text, locked_stages, tracked_outputs
from streamflow.pipeline.dvc_hash import content_of
from streamflow.pipeline.environment import machine
from streamflow.pipeline.file_digest import file_sha256
from streamflow.pipeline.layout import (
    DATASET,
    DATASET_COUNTS,
    EVALUATION,
    FEATURE_SCHEMA,
    LOCK,
    MODEL,
    MODEL_FILES,
    PARAMS,
    PLOTS,
    REPORT,
    REQUIREMENTS,
    SNAPSHOTS,
)
from streamflow.pipeline.lock import derivation, derivation_sha256, outputs
from streamflow.pipeline.project import state_dir, write_json
from streamflow.provenance.git import Changes, changes, commit, file_at, patch_of, result_commit, tags_of
from streamflow.provenance.record import Provenance

RECORD, PATCH = "provenance.json", "changes.patch"


def changes_of_run(months: list[str]) -> tuple[Changes, Changes]:
    """What differs from HEAD: first in code and configuration, without the run's own results; then in all files.

    dvc.lock counts only if its derivation differs: DVC adds the entries of the last stages after they have run.
    """
    everything = changes()
    before = file_at("HEAD", LOCK)
    if before is not None and _same_derivation(before, lock_text(), months):
        everything = everything.without({str(LOCK)})
    results = {str(LOCK), *tracked_outputs()}
    new = {name for name in results if Path(name).is_file() and file_at("HEAD", name) is None}
    return everything.without(results), Changes(everything.tracked, tuple(sorted({*everything.untracked, *new})))


def changed_inputs() -> list[str]:
    """Files that changed since the stages read them: the current result was made from other code."""
    made = {path for stage in locked_stages().values() for path in stage.outs}
    read = {path: md5 for stage in locked_stages().values() if stage.outs for path, md5 in stage.deps.items()}
    return sorted(
        path
        for path, md5 in read.items()
        if path not in made and ((content := content_of(Path(path))) is None or content.md5 != md5)
    )


def reasons_against_promotion(packages: Sequence[str]) -> list[str]:
    """Why a run that starts now can't be promoted, each with its fix: uncommitted changes, other packages; else empty.

    `packages` are the differences of the environment from requirements.lock.
    """
    reasons = []
    dirt = changes().without({str(LOCK), *tracked_outputs()})
    if dirt:
        fix = "commit, then `streamflow repro` again"
        if dirt == Changes((str(PARAMS),), ()):
            fix = "`streamflow tag NAME` after the run commits it"
        reasons.append(f"{dirt.describe()}; {fix}")
    if packages:
        reasons.append(f"{', '.join(packages[:3])}; `make install` installs requirements.lock")
    return reasons


def fix_of_changes(patch: bytes) -> str:
    """How a run with these uncommitted changes comes to a commit: `tag` commits what a run writes, not code."""
    changed = [os.fsdecode(name) for name in re.findall(rb"^diff --git a/(.+?) b/", patch, re.MULTILINE)]
    results = {str(PARAMS), str(LOCK), *tracked_outputs()} if changed else set()
    code = [name for name in changed if name not in results]
    if code or not changed:
        more = f" and {len(code) - 1} more" if len(code) > 1 else ""
        return (
            f"commit {code[0] + more if code else 'them'}, then `streamflow repro` registers the result of the commit"
        )
    return "`streamflow tag NAME` while it is the current result"


def gather(
    config: Config, fingerprint: str, model_sha256: str, packages: Sequence[str]
) -> tuple[Provenance, dict[str, str]]:
    """The provenance of the current result, and of each file to keep: local path to folder of the run.

    `packages` are the differences of the environment from requirements.lock.
    """
    lock = locked_stages()
    made = {path: md5 for path, (_, md5) in outputs(lock.values()).items()}
    months = sorted({config.as_of, config.label_as_of})
    dirt, everything = changes_of_run(list(config.months))
    kept = state_dir() / "provenance" / str(os.getpid())
    kept.mkdir(parents=True, exist_ok=True)
    for left in kept.parent.iterdir():  # of a process that was killed
        if not Path("/proc", left.name).exists():
            shutil.rmtree(left, ignore_errors=True)
    # The run's own results go into a commit beside the branch; anything else is a difference from the commit.
    patch = patch_of([*everything.tracked, *everything.untracked]) if dirt else b""
    made_at = commit() if dirt else result_commit([*everything.tracked, *everything.untracked])
    (kept / PATCH).write_bytes(patch)
    (kept / LOCK).write_text(derivation(lock_text(), config.months), encoding="utf-8")

    files = {
        str(kept / LOCK): "",
        str(PARAMS): "",
        str(REQUIREMENTS): "",
        str(FEATURE_SCHEMA): "",
        str(DATASET_COUNTS): "",
        # `report.html` of the run itself is the published one, made when the decision is known; its digest is no fact of
        # the derivation, and without its fillings it is this file.
        str(REPORT): EVALUATION.name,
        **({str(kept / PATCH): ""} if patch else {}),
        **{str(path): "plots" for path in sorted(PLOTS.iterdir())},
    }
    facts = Provenance(
        git_commit=made_at,
        git_tag=next(iter(tags_of(made_at)), ""),
        git_dirty=bool(dirt) or bool(changed_inputs()),
        changes_sha256=bytes_sha256(patch) if patch else "",
        dvc_lock_sha256=derivation_sha256(lock_text(), config.months),
        requirements_lock_sha256=file_sha256(REQUIREMENTS),
        environment_matches_lock=not packages,
        environment_differences=", ".join(packages[:20]),
        params_sha256=file_sha256(PARAMS),
        dataset_md5=made[str(DATASET)],
        snapshots={month: made[f"{SNAPSHOTS}/{month}"] for month in months},
        model_sha256=model_sha256,
        input_fingerprint=fingerprint,
        source=source_identity(config.source),
        as_of=config.as_of,
        known_at=config.known_at,
        label_horizon_months=config.label_horizon_months,
        feature_service=config.features.service,
        seed=config.seed,
        threads=config.compute.threads,
        outs=made,
        artifacts={
            **{f"{folder}/{Path(path).name}".lstrip("/"): file_sha256(Path(path)) for path, folder in files.items()},
            **{f"model/{name}": file_sha256(MODEL / name) for name in MODEL_FILES},
        },
        **machine(),
    )
    write_json(kept / RECORD, asdict(facts))
    return facts, {str(kept / RECORD): "", **files}


def _same_derivation(before: bytes, now: str, months: list[str]) -> bool:
    try:
        return derivation(before.decode(), months) == derivation(now, months)
    except (StreamFlowError, ValueError, AttributeError, yaml.YAMLError):
        return False
