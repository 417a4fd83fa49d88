"""Python environments with exactly the packages of a requirements.lock: this one, or one built under var/envs."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import EnvironmentFault
from streamflow.pipeline import environment as environment_facts
from streamflow.pipeline.environment import PINNED, locked_packages, package_differences
from streamflow.pipeline.project import state_dir

STAMP = "requirements.lock.installed"


@dataclass(frozen=True)
class Environment:
    """A Python whose packages were compared with a lock; `kind` is current, built or fresh."""

    python: Path
    kind: str
    differences: tuple[str, ...]
    machine: dict[str, str]


@contextmanager
def environment_of(lock: str, fresh: bool, say: Callable[[str], None]) -> Iterator[Environment]:
    """The environment of a lock while the block runs: this one if its packages match, else one kept under var/envs.

    `fresh` builds a new one without uv's cache, and removes it afterwards. Raises EnvironmentFault if it can't be built,
    or if its packages differ from the lock.
    """
    mine = None if fresh else _inspected(Path(sys.executable), lock, "current")
    if mine and not mine.differences:
        yield mine
        return
    name = bytes_sha256(lock.encode())[:16]
    folder = state_dir() / "envs" / (f"{name}-{os.getpid()}" if fresh else name)
    folder.parent.mkdir(exist_ok=True)
    _remove_left_over(folder.parent)
    with folder.with_suffix(".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            made = (
                None if fresh or not _is_made_of(folder, lock) else _inspected(folder / "bin" / "python", lock, "built")
            )
            if made is None or made.differences:
                count = len(locked_packages(lock))
                say(f"building an environment of {count} packages in {folder}, every file checked against its hash")
                _build(folder, lock, fresh, file.fileno())
                made = _inspected(folder / "bin" / "python", lock, "fresh" if fresh else "built")
            if made.differences:
                raise EnvironmentFault(
                    f"requirements.lock can't be installed here: {', '.join(made.differences[:3])}; see {folder}.log"
                )
            fcntl.flock(file, fcntl.LOCK_SH)  # others may use it too; nobody may build it anew
            yield made
        finally:
            if fresh:
                for left in (folder.with_suffix(".lock"), folder.parent / f"{folder.name}.log"):
                    left.unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)


def _remove_left_over(envs: Path) -> None:
    """Remove fresh environments of processes that have ended; an installer that still writes has the lock."""
    for lock in envs.glob("*-*.lock"):
        with suppress(OSError), lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            (envs / f"{lock.stem}.log").unlink(missing_ok=True)
            lock.unlink(missing_ok=True)


def _is_made_of(folder: Path, lock: str) -> bool:
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == lock


def _build(folder: Path, lock: str, fresh: bool, lock_file: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=False, symlinks=True)
    wanted = folder / "requirements.lock"
    wanted.write_text(lock, encoding="utf-8")
    python = folder / "bin" / "python"
    # The hashes decide what may be installed; the link mode: environments must not share files that one may change.
    uv = [sys.executable, "-m", "uv", "pip", "sync", "--quiet", "--require-hashes", "--link-mode", "copy"]
    uv += ["--no-cache"] if fresh else []  # a cache holds files that were checked once, long ago
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "-qq",
        "--require-hashes",
        "--no-deps",
        "-r",
    ]
    with (folder.parent / f"{folder.name}.log").open("w") as log:
        for command in ([*uv, "--python", str(python), str(wanted)], [*pip, str(wanted)]):
            # The child keeps the lock's file open: if this process is killed, no second build starts beside it.
            done = subprocess.run(command, stdout=log, stderr=log, pass_fds=(lock_file,), check=False)
            if done.returncode == 0:
                (folder / STAMP).write_text(lock, encoding="utf-8")
                return
    reason = (folder.parent / f"{folder.name}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise EnvironmentFault(
        f"the environment of requirements.lock can't be built: {reason[-1] if reason else 'no reason given'};"
        f" read {folder}.log, and check that the package index answers"
    )


def _inspected(python: Path, lock: str, kind: str) -> Environment:
    script = (
        "import json, runpy, sys; facts = runpy.run_path(sys.argv[1]);"
        " print(json.dumps([facts['installed_packages'](), facts['machine']()]))"
    )
    environment = {**clean_variables(), **PINNED}
    done = subprocess.run(
        [python, "-c", script, str(environment_facts.__file__)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    try:
        installed, machine = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        return Environment(python, kind, (f"its Python does not start: {reason}",), {})
    return Environment(python, kind, tuple(package_differences(locked_packages(lock), installed)), machine)


def clean_variables(**more: str) -> dict[str, str]:
    """The few environment variables that a program needs, without those that configure Python, DVC, git or this project."""
    kept = ("HOME", "USER", "LOGNAME", "TMPDIR", "PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONNOUSERSITE": "1", **more}


def describe(environment: Environment, lock: str) -> dict[str, Any]:
    """The environment in the report of a rerun."""
    return {
        "kind": environment.kind,
        "packages": len(locked_packages(lock)),
        "requirements_lock_sha256": bytes_sha256(lock.encode()),
        "differences": list(environment.differences),
        **environment.machine,
    }
