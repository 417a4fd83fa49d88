"""Compiled modules that a rerun reads: kept in the environment, covered by its record, never written again.

The installer writes those of the packages there, told by PYTHONPYCACHEPREFIX.
"""

import os
import shutil
import subprocess
from pathlib import Path

from streamflow.core.errors import EnvironmentFault, first_line
from streamflow.trust.python_files import BYTECODE, base_of, python_of, site_packages

_COMPILED = "__pycache__"
# What no stage imports, of the standard library.
_LEFT_OUT = "/(site-packages|dist-packages|test|tests|idlelib|lib2to3|tkinter|ensurepip|turtledemo)/"


def compile_standard_library(prefix: Path) -> None:
    """Compile the standard library for an environment that has compiled packages: nobody vouches for its own __pycache__.

    Without compiled packages there is nothing to complete: a rerun compiles what it loads.
    """
    if not kept_packages(prefix).is_dir():
        return
    where = f"pycache_prefix={prefix / BYTECODE}"
    command: list[str | Path] = [
        python_of(prefix),
        "-I",
        "-X",
        where,
        "-m",
        "compileall",
        "-q",
        "-j",
        "2",
        "-x",
        _LEFT_OUT,
    ]
    library = base_of(prefix).glob("lib*/python3*")
    done = subprocess.run([*command, *library], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = first_line(done.stdout + done.stderr, "no reason given")
        raise EnvironmentFault(f"the standard library can't be compiled: {reason}; check the installation of Python")


def share_bytecode(prefix: Path) -> None:
    """Give the compiled packages a second name beside their sources, for processes that are no rerun's."""
    kept, packages = kept_packages(prefix), site_packages(prefix)
    for file in kept.rglob("*.pyc"):
        source = packages / file.parent.relative_to(kept)
        if (source / f"{file.name.partition('.')[0]}.py").is_file():
            (source / _COMPILED).mkdir(exist_ok=True)
            _link_or_copy(file, source / _COMPILED / file.name)


def kept_packages(prefix: Path) -> Path:
    """The folder of the compiled packages; there is none in an environment that was moved."""
    return prefix / BYTECODE / site_packages(prefix).absolute().relative_to("/")


def bytecode_variables(prefix: Path, scratch: Path) -> dict[str, str]:
    """Variables by which a Python reads compiled modules from the environment's folder only, and writes none.

    An environment that has none for this place (it was moved, or is new) gets an empty folder, which is written to.
    """
    if kept_packages(prefix).is_dir():
        return {"PYTHONPYCACHEPREFIX": str(prefix / BYTECODE), "PYTHONDONTWRITEBYTECODE": "1"}
    return {"PYTHONPYCACHEPREFIX": str(scratch)}


def _link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file, where the file system can; Python puts new files in place of old ones."""
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        shutil.copy2(source, target)
