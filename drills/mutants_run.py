"""Each mutant in a process of its own: a fork of one that has imported every library, but no module of the project."""

import contextlib
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Self

import hypothesis
import pytest

from drills.mutants_made import Mutant

SECONDS = 30
"""A mutant may take this long, and three times as long as its room's tests take in a process that must import everything.

So much that a busy machine makes no survivor a time-out, which counts as killed.
"""


class Outcome(Enum):
    """How the tests of a room took a mutant."""

    KILLED = "killed"
    TIME_OUT = "time-out"
    SURVIVED = "SURVIVED"


@dataclass
class _Running:
    mutant: Mutant
    until: float
    scratch: Path


class Runner:
    """Runs the tests of rooms against mutants, one process for each CPU."""

    def __init__(self, root: Path) -> None:
        self._root, self._seconds = root, dict[str, float]()
        self._scratch = Path(tempfile.mkdtemp(prefix="streamflow-mutants-"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def prepare(self, room: str) -> str:
        """Run a room's tests without a mutant: empty if they pass, else their output. Import here what they imported."""
        if not _tests(self._root, room).is_dir():
            return f"there is no folder {_tests(self._root, room)}"
        scratch, started = self._folder(), time.monotonic()
        process = os.fork()
        if process == 0:
            _be_the_tests(self._root, room, None, scratch)
        _, status = os.waitpid(process, 0)
        self._seconds[room] = time.monotonic() - started
        if status:
            return (scratch / "output").read_text(errors="replace")[-2000:]
        for name in json.loads((scratch / "modules").read_text()):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        return ""

    def run(self, room: str, mutants: Iterable[Mutant]) -> Iterator[tuple[Mutant, Outcome]]:
        """The outcome of each mutant, in the order given."""
        waiting, running, outcomes = list(mutants)[::-1], dict[int, _Running](), list[tuple[Mutant, Outcome]]()
        order = waiting[::-1]
        while waiting or running:
            while waiting and len(running) < len(os.sched_getaffinity(0)):
                mutant, scratch = waiting.pop(), self._folder()
                process = os.fork()
                if process == 0:
                    _be_the_tests(self._root, room, mutant, scratch)
                limit = SECONDS + 3 * self._seconds[room]
                running[process] = _Running(mutant, time.monotonic() + limit, scratch)
            time.sleep(0.01)
            for process, each in list(running.items()):
                if outcome := _outcome(process, each):
                    outcomes.append((each.mutant, outcome))
                    shutil.rmtree(running.pop(process).scratch, ignore_errors=True)
        yield from sorted(outcomes, key=lambda each: order.index(each[0]))

    def _folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._scratch))


def _outcome(process: int, running: _Running) -> Outcome | None:
    """None while it runs. Raises RuntimeError if pytest did not get as far as the tests, which would prove nothing."""
    ended, status = os.waitpid(process, os.WNOHANG)
    if not ended and time.monotonic() < running.until:
        return None
    if not ended:
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return Outcome.TIME_OUT
    if os.WIFSIGNALED(status) or os.WEXITSTATUS(status) in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED):
        return Outcome.KILLED
    if status:
        raise RuntimeError((running.scratch / "output").read_text(errors="replace"))
    return Outcome.SURVIVED


def _be_the_tests(root: Path, room: str, mutant: Mutant | None, scratch: Path) -> None:
    """Become a pytest of the room's tests; never returns. The exit code is 0 if all of them pass."""
    code = 70
    try:
        os.setpgid(0, 0)
        output = os.open(scratch / "output", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(root)
        for name in _project_modules(root):
            del sys.modules[name]
        if mutant is not None:
            sys.meta_path.insert(0, _Finder(mutant))
        code = int(pytest.main(_arguments(root, room, mutant, scratch), [_Profile()]))
        if mutant is None:
            ours = _project_modules(root)
            (scratch / "modules").write_text(json.dumps([name for name in sys.modules if name not in ours]))
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _project_modules(root: Path) -> set[str]:
    """Imported modules that lie in the project and not in its environment: code, tests and what supports them."""

    def is_ours(module: ModuleType) -> bool:
        places = [getattr(module, "__file__", None) or "", *map(str, getattr(module, "__path__", ()))]
        return any(each.startswith(f"{root}/") and not each.startswith(sys.prefix) for each in places)

    found = {name for name, module in list(sys.modules.items()) if isinstance(module, ModuleType) and is_ours(module)}
    return found - {"__main__"}


def _tests(root: Path, room: str) -> Path:
    return root / "tests" / "unit" / room


def _arguments(root: Path, room: str, mutant: Mutant | None, scratch: Path) -> list[str]:
    folder = _tests(root, room)
    own = [folder / f"test_{mutant.module.path.stem}.py"] if mutant else []
    files = [str(path) for path in [*own, folder] if path.exists()]
    imported = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    quiet = ["-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=line"]
    return [*quiet, *imported, f"--rootdir={root}", f"--basetemp={scratch / 'tmp'}", *files]


class _Profile:
    """The same examples each time, and no search for the smallest one that fails."""

    def pytest_collection(self) -> None:
        generated = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        profile: Any = hypothesis.settings(phases=generated, database=None, derandomize=True, deadline=None)
        hypothesis.settings.register_profile("mutants", profile)
        hypothesis.settings.load_profile("mutants")


class _Finder(MetaPathFinder):
    """Gives one module of the project its mutated text; its file stays as it is."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != self._mutant.module.name:
            return None
        file = str(self._mutant.module.path)
        return spec_from_file_location(fullname, file, loader=_Loader(fullname, file, self._mutant.source))


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, text: str) -> None:
        super().__init__(fullname, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._text, self.path, "exec")
