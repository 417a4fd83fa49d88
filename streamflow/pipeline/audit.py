"""The audit around each stage: it reads exactly what DVC hashed, and no other process writes at the same time.

DVC hashes the deps of a stage after its command has ended (dvc#11058) and never sees what Python imports (dvc#9195). So a
stage hashes its deps itself, before and after; compares those that other stages wrote with dvc.lock and with their
SHA-256 receipts; and checks that each module that was loaded from the project is one of its deps.
"""

import fcntl
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from streamflow.core.errors import EnvironmentFault, ModelError
from streamflow.pipeline.dvc_files import Declared, declaration, locked_stages, read_receipt, receipt_of
from streamflow.pipeline.dvc_hash import Content, content_of
from streamflow.pipeline.layout import PARAMS, PIPELINE
from streamflow.pipeline.lifeline import follow
from streamflow.pipeline.lock import outputs
from streamflow.pipeline.project import write_json

_PYTHON = tuple({Path(path) for name, path in sysconfig.get_paths().items() if "lib" in name} | {Path(sys.base_prefix)})
_LOCKS = Path(".dvc/tmp/streamflow")
_WRITERS = _LOCKS / "writers.lock"


@contextmanager
def audit(stage: str, item: str | None = None) -> Iterator[None]:
    """Run the block as the stage's work. Raises EnvironmentFault or ModelError if it read other files than DVC hashes.

    Ends this process when the `streamflow` command that started it is gone, and waits for an earlier run of the same stage
    that goes on after its DVC was killed.
    """
    declared = declaration(stage, item)
    with ExitStack() as held:
        follow()
        waiting = f"{declared.name}: the same stage of an earlier run is still writing; waiting for it to end"
        held.enter_context(_locked(_WRITERS, fcntl.LOCK_SH, waiting))
        held.enter_context(_locked(_LOCKS / f"{declared.name}.lock", fcntl.LOCK_EX, waiting))
        before = {dep: content_of(Path(dep)) for dep in declared.deps}
        _check_inputs(declared, before)
        yield
        changed = [dep for dep, content in before.items() if content_of(Path(dep)) != content]
        if changed:
            raise EnvironmentFault(f"{changed[0]} was changed while the stage ran; nothing was recorded: run it again")
        if declaration(stage, item) != declared:
            raise EnvironmentFault(
                f"{PARAMS} or {PIPELINE} was changed while the stage ran; nothing was recorded: run it again"
            )
        _check_modules(declared)
        _write_receipt(declared)


@contextmanager
def wait_for_writers() -> Iterator[None]:
    """Wait until no stage of an earlier run is running in this clone."""
    with _locked(_WRITERS, fcntl.LOCK_EX, "a stage of an earlier run is still writing; waiting for it to end"):
        pass
    yield


def _check_inputs(declared: Declared, contents: Mapping[str, Content | None]) -> None:
    made = outputs(locked_stages().values())
    for path, content in contents.items():
        if content is None:
            raise EnvironmentFault(f"{path} is missing; restore it: `git checkout {path}` or `dvc checkout {path}`")
        for out, (maker, md5) in made.items():
            if out == path:
                _check_output(out, content, maker, md5)
            elif out.startswith(f"{path}/") or path.startswith(f"{out}/"):
                _check_output(out, content_of(Path(out)), maker, md5)


def _check_output(path: str, content: Content | None, maker: str, md5: str) -> None:
    fix = f"`dvc repro --force --single-item {maker}` makes it again"
    if content is None:
        raise ModelError(f"{path} is missing; {fix}")
    wrong = wrong_files(path, content, read_receipt(maker))
    if wrong:
        raise ModelError(f"SHA-256 of {wrong[0]} differs from {receipt_of(maker)}, which stage {maker} wrote; {fix}")
    if content.md5 != md5:
        raise ModelError(f"MD5 of {path} is {content.md5[:12]}, stage {maker} wrote {md5[:12]} (dvc.lock); {fix}")


def wrong_files(path: str, content: Content, receipt: Mapping[str, str]) -> list[str]:
    """Files below an output whose SHA-256 differs from the receipt; a file that the receipt does not name is not wrong."""
    named = {f"{path}/{name}" if name else path: digest for name, digest in content.files_sha256.items()}
    return [name for name, digest in named.items() if receipt.get(name, digest) != digest]


def _check_modules(declared: Declared) -> None:
    root = Path.cwd().resolve()
    environment = Path(sys.prefix).resolve()
    allowed = tuple(declared.deps)
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or not Path(file).is_absolute():
            continue
        path = Path(file)
        if path.resolve().is_relative_to(environment) or any(path.is_relative_to(place) for place in _PYTHON):
            continue
        if not path.is_relative_to(root):
            raise EnvironmentFault(
                f"module {name} was loaded from {file}, which is outside of the project and its environment;"
                " check PYTHONPATH and .pth files"
            )
        inside = path.relative_to(root).as_posix()
        if inside not in allowed and not any(inside.startswith(f"{dep}/") for dep in allowed):
            raise EnvironmentFault(
                f"module {name} was loaded from {inside}, which dvc.yaml does not name as a dep of {declared.name};"
                " move the file away if it shadows a package, or else add it to dvc.yaml"
            )


def _write_receipt(declared: Declared) -> None:
    receipt = receipt_of(declared.name)
    if str(receipt) not in declared.outs:
        return
    files: dict[str, str] = {}
    for out in declared.outs:
        content = content_of(Path(out)) if out != str(receipt) else None
        if content:
            files |= {f"{out}/{name}" if name else out: digest for name, digest in content.files_sha256.items()}
    write_json(receipt, {"stage": declared.name, "files": files})


@contextmanager
def _locked(path: Path, mode: int, waiting: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            print(waiting, file=sys.stderr, flush=True)
            fcntl.flock(file, mode)
        yield
