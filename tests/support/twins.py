"""A project with a finished result, made once for all workers of a suite, and copies of it with all that it knows."""

import fcntl
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from project import Project, small

from drills.attacks import prepared
from streamflow.postgres.connection import transaction
from streamflow.postgres.server import database

# Where MLflow keeps absolute addresses of files.
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)


def small_result(factory: pytest.TempPathFactory) -> Project:
    """400 users, a tagged result that is Production, a remote that has its files: made by the worker that asks first.

    Nobody changes it; a test that does takes a `twin`.
    """
    here = factory.getbasetemp()
    shared = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here
    folder, made = shared / "small-result", shared / "small-result.made"
    with (shared / "small-result.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            prepared(folder, *small())
            made.touch()
    return Project(folder / "streamflow")


def twin(project: Project, folder: Path) -> Project:
    """A copy of a project: its files, git, DVC's cache, database and registry; the remote is that of both.

    A test on it proves what it would after a run of its own: stages and commands read nothing but these, and none of them
    knows where they lie. Only MLflow does, and is told.
    """
    copy = Project(folder / project.path.name)
    subprocess.run(["cp", "-a", str(project.path), str(folder)], check=True)
    _let_pass(copy.path)
    with database(copy.path / "var") as url, transaction(url) as cursor:
        for table, column in _ADDRESSES:
            cursor.execute(
                f"UPDATE mlflow.{table} SET {column} = replace({column}, %s, %s)",
                (project.path.as_uri(), copy.path.as_uri()),
            )
    return copy


def _let_pass(path: Path) -> None:
    """Under root the server is another user's process; the project lets it pass where the server was made."""
    for each in path.parents:
        if os.geteuid() == each.stat().st_uid:
            each.chmod(stat.S_IMODE(each.stat().st_mode) | stat.S_IXOTH)
