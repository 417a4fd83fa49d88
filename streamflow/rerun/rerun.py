"""Derive a result again from its commit, packages and frozen snapshots, and compare every output with its dvc.lock."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from streamflow.core.digest import rows_sha256
from streamflow.core.errors import ModelError, StreamFlowError
from streamflow.core.schema import TABLES
from streamflow.pipeline.dvc_files import declarations, disagreements
from streamflow.pipeline.dvc_hash import content_of, folder_md5
from streamflow.pipeline.file_digest import file_sha256
from streamflow.pipeline.layout import MODEL, ONNX, SNAPSHOTS
from streamflow.pipeline.lifeline import VARIABLE, lifeline
from streamflow.pipeline.lock import contradictions
from streamflow.pipeline.project import state_dir
from streamflow.provenance.cache import fetch, local_cache
from streamflow.provenance.result import Result, read_result
from streamflow.registry.references import Target
from streamflow.rerun.checkout import checkout
from streamflow.rerun.environments import Environment, describe, environment_of
from streamflow.rerun.erased import erased_from, prove_the_rest
from streamflow.rerun.refreeze import refreeze
from streamflow.rerun.verdict import Circumstances, Rederivation, compare_outputs, verdict
from streamflow.trust.claims import received_digest
from streamflow.trust.erasure_records import signed_erasures
from streamflow.trust.python_files import python_of
from streamflow.warehouse.source_drift import frozen_rows

Say = Callable[[str], None]
_TAKEN_AS_FROZEN = ("ingest", "snapshot")


@dataclass(frozen=True)
class Rerun:
    """The outcome of a rerun, and the result that it derived again."""

    found: Rederivation
    result: Result


def rerun(target: Target, fresh_env: bool, from_source: bool, say: Say) -> Rerun:
    """Derive `target` again in a folder of its own. The project's files, index, branches and Production don't change.

    Raises a StreamFlowError if that is not possible: no such commit, snapshots or packages not available.
    """
    if target.unsigned_changes:
        raise ModelError(
            f"{target.name} was made with uncommitted changes that would be run here, and no trusted key stands behind them:"
            f" {target.unsigned_changes}; read changes.patch of its run (`streamflow ui`), and commit it if it is yours"
        )
    started = time.monotonic()
    with checkout(target.commit, target.patch) as folder:
        whole = read_result(lambda path: _bytes(folder / path), f"commit {target.commit[:12]}")
        lock = [*contradictions(whole.stages), *disagreements(whole.stages, folder)]
        named = [declared.name for declared in declarations(folder) if declared.name in whole.stages]
        result = replace(whole, stages={name: whole.stages[name] for name in named})
        if users := erased_from(result, known := signed_erasures()):
            judged, first, proven = prove_the_rest(folder, result, known, say)
            seconds = time.monotonic() - started
            model = target.model_sha256 or result.model_sha256
            found = Rederivation(
                target.name, target.commit, judged, first, (), model, "", {}, seconds, users, tuple(proven)
            )
            return Rerun(found, result)
        code = _code_differences(folder, result)
        with environment_of(result.requirements, fresh_env, say) as environment:
            used = describe(environment, result.requirements)
            say(f"environment: {environment.kind}, {used['packages']} packages as locked")
            with _runner(folder, environment, say) as run:
                if from_source:
                    drifted = refreeze(folder, result, run)
                else:
                    drifted = {}
                    _place_or_explain(folder, result, lock, say)
                    lock += receipt_contradictions(folder, result)
                failed = run(_stages(result))
        if failed:
            raise ModelError(f"{target.name} can't be derived: {failed}")
        made = {path: content for path in result.outs if (content := content_of(folder / path))}
        actual = {path: content.md5 for path, content in made.items()}
        onnx = folder / ONNX
        model_actual = file_sha256(onnx) if onnx.is_file() else ""
        outs = compare_outputs(result, actual, {path: content.sha256 for path, content in made.items()})
        lock += [
            f"{out.stage} made {out.path} with SHA-256 {out.sha256[:12]}, the receipt in the commit says {expected[:12]}"
            for out in outs
            if out.same and (expected := received_digest(result.receipts, out.path)) not in ("", out.sha256)
        ]
        model_expected = target.model_sha256 or result.model_sha256
        if not model_expected and actual.get(str(MODEL)) == result.outs[str(MODEL)][1]:
            model_expected = model_actual  # no version and no receipt tells it: the folder's MD5 does
        golden = model_actual == model_expected or _golden_equal(folder, result)
        circumstances = Circumstances(
            code=code,
            lock=lock,
            packages=[target.machine["environment_differences"]] if "environment_differences" in target.machine else [],
            source=drifted,
            recorded=target.machine,
            now=environment.machine,
        )
        judged, first = verdict(result, outs, model_expected, model_actual, golden, circumstances)
    found = Rederivation(
        ref=target.name,
        commit=target.commit,
        verdict=judged,
        first_divergence=first,
        outs=outs,
        model_expected=model_expected,
        model_actual=model_actual,
        environment=used,
        seconds=time.monotonic() - started,
    )
    return Rerun(found, result)


def receipt_contradictions(folder: Path, result: Result) -> list[str]:
    """Ingest receipts that differ from the rows of the frozen files: ingests are not repeated, but checked in this way."""
    found = []
    for month in result.snapshots if result.params.get("known_at") is None else ():
        receipt = folder / "artifacts" / "ingest" / f"{month}.json"
        recorded = json.loads(receipt.read_text(encoding="utf-8"))["tables"] if receipt.is_file() else {}
        for table in TABLES:
            rows = frozen_rows(table, folder / SNAPSHOTS / month / f"{table.name}.parquet")
            facts = {"content_sha256": rows_sha256(rows), "rows": rows.num_rows}
            if {name: recorded.get(table.name, {}).get(name) for name in facts} != facts:
                found.append(f"the receipt of {month} for {table.name} differs from the frozen rows")
    return found


def _place_or_explain(folder: Path, result: Result, lock: list[str], say: Say) -> None:
    try:
        place_snapshots(folder, result, say)
    except StreamFlowError as error:
        if lock:
            raise ModelError(f"dvc.lock contradicts itself, so it was edited: {lock[0]} ({error})") from error
        raise


def place_snapshots(folder: Path, result: Result, say: Say) -> None:
    """Copy the frozen snapshots of a result into its checkout and hash every byte; fetch what the cache lacks."""
    cache = local_cache()
    for month, md5 in result.snapshots.items():
        path = f"{SNAPSHOTS}/{month}"
        if any(fault.missing for fault in cache.faults(path, md5, {})):
            say(f"{path} is not in the cache; fetching it from the remote")
            fetch([md5], cache)
        cache.restore(folder / path, md5, result.receipts, path)


def _stages(result: Result) -> list[str]:
    return [
        name for name, stage in result.stages.items() if stage.outs and name.split("@")[0] not in _TAKEN_AS_FROZEN
    ]  # fmt: skip


Run = Callable[[list[str]], str]


@contextmanager
def _runner(folder: Path, environment: Environment, say: Say) -> Iterator[Run]:
    """A function that runs stages of the checkout with its own DVC and returns why they failed, or an empty text."""
    scratch = folder / ".dvc" / "tmp" / "rerun"
    (scratch / "var").mkdir(parents=True)
    with lifeline(state_dir()) as line:
        variables = environment.variables(
            scratch,
            **{VARIABLE: str(line)},
            SHELL="/bin/sh",
            STREAMFLOW_STATE_DIR=str(scratch / "var"),
            DVC_NO_ANALYTICS="1",
            DVC_GLOBAL_CONFIG_DIR=str(scratch),
            DVC_SYSTEM_CONFIG_DIR=str(scratch),
            DVC_SITE_CACHE_DIR=str(scratch / "site"),
        )

        def run(stages: list[str], **more: str) -> str:
            dvc = [
                str(python_of(environment.prefix)),
                "-m",
                "dvc",
                "repro",
                "--force",
                "--single-item",
                "--no-run-cache",
                "--no-commit",
            ]
            return _run_and_print([*dvc, *stages], folder, {**variables, **more}, say)

        yield run


def _run_and_print(command: list[str], folder: Path, variables: dict[str, str], say: Say) -> str:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if not line.startswith(
                (" ", ">", "Use `dvc", "Updating", "To track", "\tgit", "Running", "To enable", "\n")
            ):
                say(f"  {line.rstrip()}")
        code = process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    messages = [line for line in lines if line and not line.startswith(("ERROR: failed to reproduce", "Running", ">"))]
    return "" if code == 0 else (messages[-1] if messages else f"dvc repro ended with {code}")


def _code_differences(folder: Path, result: Result) -> list[str]:
    made = {path: md5 for path, (_, md5) in result.outs.items()}
    read = {path: md5 for stage in result.stages.values() if stage.outs for path, md5 in stage.deps.items()}
    return sorted(path for path, md5 in read.items() if path not in made and _md5(folder, path, made) != md5)


def _md5(folder: Path, path: str, made: Mapping[str, str]) -> str | None:
    """MD5 of a file or folder as it will be when the stages have made their files in it; None if it is not there."""
    content = content_of(folder / path)
    inside = {name[len(path) + 1 :]: md5 for name, md5 in made.items() if name.startswith(f"{path}/")}
    if content is None or not inside:
        return content.md5 if content else None
    return folder_md5({**content.files_md5, **inside})


def _golden_equal(folder: Path, result: Result) -> bool:
    """Whether the new model gives the golden rows of the old one the same scores."""
    from streamflow.model.card import check_golden, schema_features
    from streamflow.model.scoring import ChurnModel

    try:
        cache = local_cache()
        if any(fault.missing for fault in cache.faults(str(MODEL), result.outs[str(MODEL)][1], {})):
            fetch([result.outs[str(MODEL)][1]], cache)
        kept = folder / ".dvc" / "tmp" / "golden"
        cache.restore(kept, result.outs[str(MODEL)][1], result.receipts, str(MODEL))
        schema = json.loads((kept / "feature_schema.json").read_text(encoding="utf-8"))
        model = ChurnModel((folder / ONNX).read_bytes(), schema_features(schema))
        check_golden(model, json.loads((kept / "golden.json").read_text(encoding="utf-8")))
        shutil.rmtree(kept)
    except (StreamFlowError, OSError, ValueError):
        return False
    return True


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
