"""Every stored byte against its hash: tracked files, outputs, DVC's cache, the history, registered artifacts; the repair."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from streamflow.core.config import source_identity
from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import StreamFlowError
from streamflow.operations.health.doctor import run_check
from streamflow.pipeline.dvc_files import declarations, locked_stages, read_receipt, tracked_outputs
from streamflow.pipeline.dvc_hash import content_of
from streamflow.pipeline.layout import LOCK, PARAMS, REQUIREMENTS
from streamflow.pipeline.params import read_all_params
from streamflow.postgres.server import database, has_database
from streamflow.provenance.cache import Cache, fetch, local_cache
from streamflow.provenance.git import changes
from streamflow.provenance.outputs import output_problems
from streamflow.provenance.problems import Check, Problem
from streamflow.provenance.record import PREFIX
from streamflow.registry.references import registry_if_any
from streamflow.trust.installed import content_differences
from streamflow.trust.python_files import python_files
from streamflow.warehouse.chain_drift import chain_drift
from streamflow.warehouse.history import warehouse

if TYPE_CHECKING:
    from streamflow.registry.registry import Registry

_REPAIR = "`streamflow fsck --repair` restores it from the outputs or the remote"


def integrity(*names: str) -> list[Check]:
    """Packages, tracked results against HEAD, outputs against dvc.lock, cache objects, the history, registered versions.

    `names` limits it to some of these.
    """
    checks = {
        "packages": packages,
        "tracked": tracked_files,
        "outputs": outputs,
        "cache": cache,
        "history": history,
        "registry": registered_versions,
    }
    return [run_check(name, run) for name, run in checks.items() if not names or name in names]


def packages() -> Check:
    """Every file that Python could load has the SHA-256 of the signed record of this environment."""
    prefix, lock = Path(sys.prefix), REQUIREMENTS.read_text(encoding="utf-8")
    found = content_differences(prefix, lock, read_again=True)
    problems = tuple(Problem(each, "`make install` installs requirements.lock again") for each in found)
    return Check("packages", f"{len(python_files(prefix))} files of {prefix}", problems)


def tracked_files() -> Check:
    """dvc.lock, params.yaml, requirements.lock, receipts and metrics equal HEAD."""
    names = {str(LOCK), str(PARAMS), "requirements.lock", "dvc.yaml", *tracked_outputs()}
    differing = sorted(names & set(changes().tracked))
    problems = [Problem(f"{name} differs from HEAD", f"`git diff {name}`, `git checkout {name}`") for name in differing]
    return Check("tracked", f"{len(names)} files against HEAD", tuple(problems))


def outputs() -> Check:
    """The outputs that are in the working tree; a missing one is not damage."""
    problems: list[Problem] = []
    count = 0
    for stage in locked_stages().values():
        receipt = read_receipt(stage.name)
        for path, md5 in stage.outs.items():
            if Path(path).exists():
                count += 1
                problems += output_problems(path, md5, receipt, stage.name)
    return Check("outputs", f"{count} outputs by MD5 and SHA-256", tuple(problems))


def cache() -> Check:
    """Every object of DVC's cache against its name, and what dvc.lock names against its SHA-256."""
    store = local_cache()
    problems = {path: Problem(f"{path} is damaged (its MD5 is {md5[:12]})", _REPAIR) for path, md5 in store.damaged()}
    for path, md5, receipt in _cached_outputs():
        for fault in store.faults(path, md5, receipt):
            if not fault.missing:
                problems.setdefault(fault.path, Problem(str(fault), _REPAIR))
    count = sum(1 for _ in store.folder.glob("??/*"))
    return Check("cache", f"{count} objects in {store.folder}", tuple(problems.values()))


def history() -> Check:
    """The rows of every recorded version of every month in Postgres, against the receipts that git holds and the ledger."""
    if not has_database():
        return Check("history", "no database here")
    config = read_all_params()
    with database() as url, warehouse(url, source_identity(config.source)) as store:
        found = chain_drift(store, config.months)
    problems = tuple(Problem(each.what, each.fix) for each in found)
    return Check("history", f"{len(config.months)} months, every recorded version", problems)


def registered_versions() -> Check:
    """The model, the record and every file of each registered version, by SHA-256."""
    problems: list[Problem] = []
    with registry_if_any() as registry:
        if registry is None:
            return Check("registry", "no registry here")
        versions = registry.versions()
        for version in versions:
            problems += list(_version_problems(registry, version))
    return Check("registry", f"{len(versions)} versions, every file by SHA-256", tuple(problems))


def repair() -> list[str]:
    """Repair what can be repaired: cache objects from intact outputs or the remote, outputs from the cache."""
    store, done = local_cache(), []
    for damaged, _ in list(store.damaged()):
        damaged.unlink()
        done.append(f"removed {damaged}")
    for path, md5, receipt in _cached_outputs():
        content = content_of(Path(path))
        if content and content.md5 == md5 and any(fault.missing for fault in store.faults(path, md5, receipt)):
            store.put(Path(path), content)
            done.append(f"restored {path} in the cache")
        try:
            if any(fault.missing for fault in store.faults(path, md5, receipt)):
                fetch([md5], store)
                done.append(f"fetched {path} from the remote")
        except StreamFlowError as error:
            done.append(f"{path} can't be repaired: {error}")
            continue
        if output_problems(path, md5, receipt, ""):
            _restore_output(store, path, md5, receipt)
            done.append(f"restored {path} from the cache")
    return done


def _restore_output(store: Cache, path: str, md5: str, receipt: dict[str, str]) -> None:
    aside = Path(path).with_name(f".{Path(path).name}.restored")
    store.restore(aside, md5, receipt, path)
    shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink(missing_ok=True)
    aside.replace(path)


def _cached_outputs() -> Iterator[tuple[str, str, dict[str, str]]]:
    in_git = {path for declared in declarations() for path in declared.tracked}
    for stage in locked_stages().values():
        receipt = read_receipt(stage.name)
        yield from ((path, md5, receipt) for path, md5 in stage.outs.items() if path not in in_git)


def _version_problems(registry: "Registry", version: object) -> Iterator[Problem]:
    name = f"version {version.version}"  # type: ignore[attr-defined]
    fix = "`streamflow repro` at its commit registers the model again"
    try:
        record = registry.record(version)  # type: ignore[arg-type]
        files = registry.run_files(version)  # type: ignore[arg-type]
    except StreamFlowError as error:
        yield Problem(str(error), fix)
        return
    tags = version.tags  # type: ignore[attr-defined]
    for file, content in files.items():
        if content is None:
            yield Problem(f"{file} of {name} is missing", fix)
        elif bytes_sha256(content) != record["artifacts"][file]:
            yield Problem(f"SHA-256 of {file} of {name} differs from its provenance.json", fix)
    if record["artifacts"].get("model/model.onnx") != tags.get(f"{PREFIX}model_sha256"):
        yield Problem(f"the tag model_sha256 of {name} differs from its provenance.json", fix)
