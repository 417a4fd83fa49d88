"""Python environments whose every file is proven to come from a requirements.lock: this one, or one built under var/envs."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import EnvironmentFault
from streamflow.pipeline import environment as environment_facts
from streamflow.pipeline.environment import PINNED, locked_packages, package_differences
from streamflow.pipeline.file_digest import file_sha256
from streamflow.pipeline.project import state_dir
from streamflow.rerun.transfer import SYSTEM_PATH
from streamflow.trust.bytecode import bytecode_variables
from streamflow.trust.installed import RECORD, content_differences, record
from streamflow.trust.python_files import BYTECODE, base_of, python_of


@dataclass(frozen=True)
class Environment:
    """A folder whose files are those of a lock, by its signed record; `kind` is current, built or fresh."""

    prefix: Path
    kind: str
    machine: dict[str, str]

    def variables(self, scratch: Path, **more: str) -> dict[str, str]:
        """All variables of a process of this environment: none that configures Python, DVC, git or this project.

        Its home is in `scratch`, which is the process's own: settings of the user decide about no byte.
        """
        return _clean_variables(self.prefix, scratch) | more


@contextmanager
def environment_of(lock: str, fresh: bool, say: Callable[[str], None]) -> Iterator[Environment]:
    """The environment of a lock while the block runs: this one if its record proves it, else one kept under var/envs.

    `fresh` builds a new one, and removes it afterwards. Raises EnvironmentFault if it can't be built, or if its packages
    differ from the lock.
    """
    here = Path(sys.prefix)
    differences = [] if fresh else content_differences(here, lock)
    if not fresh and not differences:
        yield _inspected(here, lock, "current")
        return
    if differences:
        say(f"this environment is not used: {differences[0]}")
    name = bytes_sha256(lock.encode())[:16]
    folder = state_dir() / "envs" / (f"{name}-{os.getpid()}" if fresh else name)
    folder.parent.mkdir(exist_ok=True)
    _remove_left_over(folder.parent)
    with folder.with_suffix(".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if fresh or content_differences(folder, lock):
                count = len(locked_packages(lock))
                say(f"building an environment of {count} packages in {folder}, every file checked against its hash")
                _build(folder, lock, fresh, file.fileno())
            made = _inspected(folder, lock, "fresh" if fresh else "built")
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


def _build(folder: Path, lock: str, fresh: bool, lock_file: int) -> None:
    """An empty environment by the Python that this one was made from, then the lock's archives by their hashes.

    Nothing of this environment takes part: its own installer may have been changed. Nor does a cache: it holds files that
    were checked once, long ago.
    """
    shutil.rmtree(folder, ignore_errors=True)
    log = folder.parent / f"{folder.name}.log"
    with tempfile.TemporaryDirectory() as scratch, log.open("w") as output:
        made = _installed(folder, lock, Path(scratch), lock_file, output, compiled=not fresh)
    if not made:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise EnvironmentFault(
            f"the environment of requirements.lock can't be built: {''.join(last) or 'no reason given'}; read {log}, and"
            " check that the package index answers"
        )
    record(folder, lock)


def _installed(folder: Path, lock: str, scratch: Path, lock_file: int, output: IO[str], compiled: bool) -> bool:
    """Whether every archive of a lock could be installed: by the lock's own uv, or else by pip."""
    base = base_of(Path(sys.prefix)) / "bin" / "python{}.{}".format(*sys.version_info)
    tools, wanted, uv_lock = scratch / "tools", scratch / "requirements.lock", scratch / "uv.lock"
    wanted.write_text(lock, encoding="utf-8")
    uv_lock.write_text(lines_of("uv", lock), encoding="utf-8")

    def succeeds(*command: str | Path, bytecode: Path = scratch / "compiled") -> bool:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        variables |= {"PYTHONNOUSERSITE": "1", "PYTHONPYCACHEPREFIX": str(bytecode)}
        # The child keeps the lock's file open: if this process is killed, no second build starts beside it.
        done = subprocess.run(command, stdout=output, stderr=output, env=variables, pass_fds=(lock_file,), check=False)
        return done.returncode == 0

    pip = (tools / "bin" / "python", "-m", "pip")
    by_hash = ("install", "-qq", "--no-cache-dir", "--require-hashes", "--no-deps", "--requirement")
    uv = (tools / "bin" / "uv", "pip", "sync", "--quiet", "--no-cache", "--require-hashes", "--link-mode", "copy")
    compile_all = ("--compile-bytecode",) if compiled else ()
    python, kept = python_of(folder), (folder if compiled else scratch) / BYTECODE
    if not (succeeds(base, "-m", "venv", tools) and succeeds(base, "-m", "venv", "--without-pip", folder)):
        return False
    return (
        succeeds(*pip, *by_hash, uv_lock) and succeeds(*uv, *compile_all, "--python", python, wanted, bytecode=kept)
    ) or succeeds(*pip, "--python", python, *by_hash, wanted, bytecode=kept)


def lines_of(package: str, lock: str) -> str:
    """The entry of one package in a lock: its version and its hashes."""
    found = re.search(rf"^{package}==(?:.*\\\n)*.*", lock, re.MULTILINE)
    return found[0] if found else ""


def _inspected(prefix: Path, lock: str, kind: str) -> Environment:
    """A proven environment with the facts of its machine. Raises EnvironmentFault if its packages differ from the lock."""
    script = (
        "import json, runpy, sys; facts = runpy.run_path(sys.argv[1]);"
        " print(json.dumps([facts['installed_packages'](), facts['machine']()]))"
    )
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [python_of(prefix), "-c", script, str(environment_facts.__file__)],
            capture_output=True,
            text=True,
            env=_clean_variables(prefix, Path(scratch)) | PINNED,
            cwd=scratch,
            check=False,
        )
    try:
        installed, machine = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise EnvironmentFault(
            f"the Python of {prefix} does not start: {reason}; `make install` makes it anew"
        ) from None
    if different := package_differences(locked_packages(lock), installed):
        raise EnvironmentFault(
            f"requirements.lock can't be installed here: {', '.join(different[:3])}; see {prefix}.log"
        )
    return Environment(prefix, kind, machine)


def _clean_variables(prefix: Path, scratch: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("USER", "LOGNAME", "TMPDIR") if name in os.environ}
    home = scratch / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {
        **kept,
        "HOME": str(home),
        "PATH": f"{prefix / 'bin'}:{SYSTEM_PATH}",
        "PYTHONNOUSERSITE": "1",
        **bytecode_variables(prefix, scratch / "compiled"),
    }


def describe(environment: Environment, lock: str) -> dict[str, Any]:
    """The environment in the report of a rerun; `record_sha256` is of the signed list of its files."""
    return {
        "kind": environment.kind,
        "packages": len(locked_packages(lock)),
        "requirements_lock_sha256": bytes_sha256(lock.encode()),
        "record_sha256": file_sha256(environment.prefix / RECORD),
        "differences": [],
        **environment.machine,
    }
