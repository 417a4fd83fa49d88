"""Compiled modules that a rerun reads: kept in the environment, covered by its record, never written again."""

import os
import shutil
import subprocess
from pathlib import Path

from streamflow.core.errors import EnvironmentFault, first_line
from streamflow.trust.python_files import BYTECODE, base_of, site_packages

_COMPILED = "__pycache__"
# What no stage imports, of the standard library.
_LEFT_OUT = "/(site-packages|dist-packages|test|tests|idlelib|lib2to3|tkinter|ensurepip|turtledemo)/"


def keep_bytecode(prefix: Path) -> None:
    """Collect what the installer has compiled, and compile the standard library, whose own cache nobody vouches for.

    Without compiled modules beside the packages there is nothing to keep: a rerun compiles then what it loads.
    """
    kept = prefix / BYTECODE
    shutil.rmtree(kept, ignore_errors=True)
    packages = site_packages(prefix)
    if not any(packages.glob(f"*/{_COMPILED}")):
        return
    for folder in packages.rglob(_COMPILED):
        target = kept / folder.parent.relative_to("/")
        target.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("*.pyc"):
            _link_or_copy(file, target / file.name)
    python = prefix / "bin" / "python"
    where = f"pycache_prefix={kept}"
    command = [str(python), "-I", "-X", where, "-m", "compileall", "-q", "-j", "2", "-x", _LEFT_OUT]
    done = subprocess.run(
        [*command, *map(str, base_of(prefix).glob("lib*/python3*"))], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = first_line(done.stdout + done.stderr, "no reason given")
        raise EnvironmentFault(f"the standard library can't be compiled: {reason}; check the installation of Python")


def bytecode_variables(prefix: Path, scratch: Path) -> dict[str, str]:
    """Variables by which a Python reads compiled modules from the environment's folder only, and writes none.

    An environment that has none for this place (it was moved, or is new) gets an empty folder, which is written to.
    """
    kept = prefix / BYTECODE
    if (kept / site_packages(prefix).relative_to("/")).is_dir():
        return {"PYTHONPYCACHEPREFIX": str(kept), "PYTHONDONTWRITEBYTECODE": "1"}
    return {"PYTHONPYCACHEPREFIX": str(scratch)}


def _link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file, where the file system can; Python puts new files in place of old ones."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
