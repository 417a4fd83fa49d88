"""What the Makefile says on a machine that lacks something: one line, exit code 2, nothing made."""

import os
import re
import shutil
import subprocess

import pytest
from project import ROOT


@pytest.fixture
def checkout(tmp_path):
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.1"\nexit 0\n')
    old.chmod(0o755)
    return tmp_path


def make(checkout, *arguments, **environment):
    return subprocess.run(
        [shutil.which("make"), "repro", *arguments],
        cwd=checkout,
        env={
            **{name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"},
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_has_a_line_for_each_target_that_a_person_calls_and_makes_nothing(checkout):
    # As if it were not called by `make test`, which would have it say which folder it enters.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")
    }
    command = [shutil.which("make"), "help"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    (phony,) = re.findall(r"^\.PHONY: (.*)", (checkout / "Makefile").read_text(), re.MULTILINE)
    told = {line.split()[1]: line.split(maxsplit=2)[2] for line in done.stdout.splitlines()}
    assert sorted(told) == sorted(phony.split())
    assert min(map(len, told.values())) >= 9
    assert not (checkout / ".venv").exists()


def refused(done, checkout, message):
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("PYTHON=python3.99", "python3.99 is not installed; install Python 3.11, or name it"),
        ("PYTHON=./old-python", "./old-python is Python 3.9.1, this project needs Python 3.11"),
        ("NEEDED_MB=999999999", "the environment needs 999999999; make room, then run make again"),
    ],
)
def test_what_is_missing_is_one_line(checkout, argument, message):
    refused(make(checkout, argument), checkout, message)


def test_no_git_is_one_line(checkout):
    programs = checkout / "programs"
    programs.mkdir()
    for name in ("sh", "cmp", "df", "awk", "echo", "test"):
        (programs / name).symlink_to(shutil.which(name))
    refused(make(checkout, PATH=str(programs)), checkout, "git is not installed; install git, then run make again")


def test_an_environment_made_from_this_lock_is_used_as_it_is(checkout):
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "streamflow").write_text('#!/bin/sh\necho "streamflow $*"\n')
    (programs / "streamflow").chmod(0o755)
    shutil.copy(checkout / "requirements.lock", checkout / ".venv" / "requirements.lock.installed")
    assert make(checkout, "PYTHON=python3.99").returncode == 2, "nobody vouches for its files"
    (checkout / ".venv" / "streamflow-environment.json").write_text("{}")
    done = make(checkout, "PYTHON=python3.99")
    assert (done.returncode, done.stdout, done.stderr) == (0, "streamflow repro\n", "")
    (checkout / "requirements.lock").write_text("changed")
    assert make(checkout, "PYTHON=python3.99").returncode == 2
