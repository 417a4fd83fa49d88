"""Environments for a rerun, built for real from a lock of three packages: proven file by file, or not used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from project import KEY, ROOT

from streamflow.core.errors import EnvironmentFault
from streamflow.rerun import environments
from streamflow.rerun.environments import environment_of, lines_of
from streamflow.trust import bytecode, installed
from streamflow.trust.python_files import python_of

LOCK = (
    "\n".join(lines_of(name, (ROOT / "requirements.lock").read_text()) for name in ("numpy", "threadpoolctl", "uv"))
    + "\n"
)


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def said(state, monkeypatch):
    """What is printed."""
    monkeypatch.setenv("STREAMFLOW_STATE_DIR", str(state))
    monkeypatch.delenv("STREAMFLOW_SIGNING_KEY", raising=False)
    monkeypatch.chdir(state)
    # Ten seconds that nothing here is about.
    monkeypatch.setattr(installed, "compile_standard_library", lambda prefix: None)
    return []


def building(said):
    return [line for line in said if line.startswith("building an environment of 3 packages")]


def test_an_environment_is_built_once_and_again_if_a_file_was_changed(said):
    with environment_of(LOCK, False, said.append) as made:
        assert made.kind == "built"
        assert made.machine["blas_kernel"] == "Haswell"
        assert bytecode.kept_packages(made.prefix).is_dir()
    assert "this environment is not used: " in said[0]
    assert len(building(said)) == 1

    with environment_of(LOCK, False, said.append) as made:
        assert len(building(said)) == 1
    threadpoolctl = next(made.prefix.glob("lib/*/site-packages/threadpoolctl.py"))
    good = threadpoolctl.read_text()
    threadpoolctl.write_text(good + "EVIL = True\n")
    with environment_of(LOCK, False, said.append):
        assert len(building(said)) == 2
        assert threadpoolctl.read_text() == good


def test_a_lock_with_a_falsified_hash_proves_nothing_and_can_not_be_installed(said):
    entry = lines_of("threadpoolctl", LOCK)
    false = LOCK.replace(entry, f"{entry.splitlines()[0]}\n    --hash=sha256:{'0' * 64}")
    with pytest.raises(EnvironmentFault, match="can't be built"), environment_of(false, False, said.append):
        pass
    assert len(building(said)) == 1


def test_the_environment_of_this_process_is_used_if_its_record_proves_it_and_only_then(said, monkeypatch):
    lock = (ROOT / "requirements.lock").read_text()
    monkeypatch.setenv("STREAMFLOW_SIGNING_KEY", str(KEY))
    monkeypatch.setattr(environments, "_build", lambda *_: pytest.fail("builds"))
    with environment_of(lock, False, said.append) as found:
        assert (found.kind, found.prefix, said) == ("current", Path(sys.prefix), [])
    falsified = lock.replace("--hash=sha256:", "--hash=sha256:0", 1)
    with pytest.raises(pytest.fail.Exception, match="builds"), environment_of(falsified, False, said.append):
        pass
    assert "was made from another requirements.lock" in said[0]


def test_a_process_of_a_rerun_has_nothing_of_the_users_surrounding(said, tmp_path, monkeypatch):
    """Neither a home, nor a path of programs, nor a way to give Python other modules."""
    evil = tmp_path / "evil"
    (evil / ".local/lib/python3.11/site-packages").mkdir(parents=True)
    (evil / "usercustomize.py").write_text("print('evil')")
    (evil / ".local/lib/python3.11/site-packages/usercustomize.py").write_text("print('evil')")
    for name in ("HOME", "PYTHONPATH", "PYTHONUSERBASE", "PYTHONHOME", "LD_PRELOAD", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(evil))
    monkeypatch.setenv("PATH", f"{evil}:{os.environ['PATH']}")
    environment = environments.Environment(Path(sys.prefix), "current", {})
    variables = environment.variables(tmp_path / "scratch", MORE="1")
    assert str(evil) not in str(variables)
    assert variables["MORE"] == "1"
    assert variables["PATH"].split(":")[0] == f"{sys.prefix}/bin"
    where = [
        python_of(environment.prefix),
        "-c",
        "import os, sys; print(os.path.expanduser('~')); print(sys.pycache_prefix)",
    ]
    home, compiled = subprocess.check_output(where, env=variables, text=True).splitlines()
    assert Path(home).is_relative_to(tmp_path / "scratch")
    assert compiled in (f"{sys.prefix}/bytecode", f"{tmp_path}/scratch/compiled")
