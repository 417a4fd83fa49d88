"""Python environments that hold exactly a requirements.lock: this one, or one built under var/envs."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamflow.adapters.environment import PINNED, locked_packages, package_differences
from streamflow.adapters.files import state_dir
from streamflow.digest import bytes_sha256
from streamflow.errors import EnvironmentFault

STAMP = "requirements.lock.installed"
_FACTS = Path(__file__).with_name("environment.py")


@dataclass(frozen=True)
class Environment:
    """An interpreter whose packages were compared with a lock; `kind` is current, built or fresh."""

    python: Path
    kind: str
    differences: tuple[str, ...]
    machine: dict[str, str]


def environment_of(lock: str, fresh: bool, say: Callable[[str], None]) -> Environment:
    """The environment of a lock: this one if it is the same, else one kept under var/envs, made if need be.

    `fresh` makes it from nothing. Raises EnvironmentFault if it can't be made, or is not the lock's after that.
    """
    if not fresh:
        mine = _inspected(Path(sys.executable), lock, "current")
        if not mine.differences:
            return mine
    folder = state_dir() / "envs" / bytes_sha256(lock.encode())[:16]
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not fresh and _is_made_of(folder, lock):
            kept = _inspected(folder / "bin" / "python", lock, "built")
            if not kept.differences:
                return kept
        say(
            f"building the environment of {len(locked_packages(lock))} packages in {folder}, every file against its hash"
        )
        _build(folder, lock, file.fileno())
    made = _inspected(folder / "bin" / "python", lock, "fresh" if fresh else "built")
    if made.differences:
        shutil.rmtree(folder, ignore_errors=True)
        raise EnvironmentFault(f"the lock can't be installed here: {', '.join(made.differences[:3])}; see {folder}.log")
    return made


def _is_made_of(folder: Path, lock: str) -> bool:
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == lock


def _build(folder: Path, lock: str, lock_file: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=False, symlinks=True)
    wanted = folder / "requirements.lock"
    wanted.write_text(lock, encoding="utf-8")
    python = folder / "bin" / "python"
    # The hashes decide what may be installed; the link mode keeps environments from sharing files that one may change.
    uv = [sys.executable, "-m", "uv", "pip", "sync", "--quiet", "--require-hashes", "--link-mode", "copy"]
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
            # The child keeps the lock's file open: if this process is killed, nobody starts a second build beside it.
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
        [python, "-c", script, str(_FACTS)], capture_output=True, text=True, env=environment, check=False
    )
    try:
        installed, machine = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        return Environment(python, kind, (f"it does not start: {reason}",), {})
    return Environment(python, kind, tuple(package_differences(locked_packages(lock), installed)), machine)


def clean_variables(**more: str) -> dict[str, str]:
    """The few variables that a program needs, and none that could steer Python, DVC, git or this project."""
    kept = ("HOME", "USER", "LOGNAME", "TMPDIR", "PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONNOUSERSITE": "1", **more}


def describe(environment: Environment, lock: str) -> dict[str, Any]:
    """For the report of a rerun."""
    return {
        "kind": environment.kind,
        "packages": len(locked_packages(lock)),
        "requirements_lock_sha256": bytes_sha256(lock.encode()),
        "differences": list(environment.differences),
        **environment.machine,
    }
