"""A copy of this project in a folder of its own, and commands run in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
KEY = ROOT / "var" / "keys" / "private.pem"
# A surrounding that no result may depend on.
ELSEWHERE = {
    "PYTHONHASHSEED": "7",
    "TZ": "Asia/Kathmandu",
    "LC_ALL": "POSIX",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "2",
}
_IDENTITY = {
    "GIT_AUTHOR_NAME": "tests",
    "GIT_AUTHOR_EMAIL": "tests@streamflow.example",
    "GIT_COMMITTER_NAME": "tests",
    "GIT_COMMITTER_EMAIL": "tests@streamflow.example",
}


class Project:
    """A git repository with all files of this working tree that git does not ignore, committed."""

    def __init__(self, path: Path, **environment: str) -> None:
        self.path = path
        self.python = sys.executable
        self.environment = {**os.environ, **_IDENTITY, **environment}
        # The environment is that of this working tree, whose key signed the record of its files.
        self.environment.setdefault("STREAMFLOW_SIGNING_KEY", str(KEY))
        for name in ("STREAMFLOW_STATE_DIR", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
            self.environment.pop(name, None)
        self.environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    @classmethod
    def copy(cls, path: Path, *overrides: str, **environment: str) -> "Project":
        """Copy this working tree to `path` and commit it there, params.yaml composed with `overrides`."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, path / name)
        project = cls(path, **environment)
        if overrides:
            compose = "import sys; from streamflow.operations.repro.compose import compose; compose(sys.argv[1:])"
            project.run(project.python, "-c", compose, *overrides)
        for command in (["init", "-q", "-b", "main"], ["add", "--all"], ["commit", "-q", "-m", "copy"]):
            project.run("git", *command)
        return project

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project; its output is in the error if it fails unexpectedly."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def streamflow(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run this copy's `streamflow`."""
        return self.run(self.python, "-m", "streamflow.cli.main", *arguments, check=check, **environment)

    def status(self) -> str:
        """What git sees as changed or untracked."""
        return self.run("git", "status", "--porcelain").stdout

    def text(self, name: str) -> str:
        """A file's content."""
        return (self.path / name).read_text(encoding="utf-8")

    def outputs(self, *stages: str) -> dict[str, str]:
        """Path to MD5 of the outputs that dvc.lock names for some stages, or for all."""
        lock = yaml.safe_load(self.text("dvc.lock"))["stages"]
        return {out["path"]: out["md5"] for stage in stages or lock for out in lock[stage].get("outs", [])}

    def postgres_is_up(self) -> bool:
        """Whether the embedded server of this copy runs."""
        return (self.path / "var" / "postgres" / "postmaster.pid").exists()


def small(*overrides: str, users: int = 400) -> list[str]:
    """Overrides for a pipeline run that takes seconds: few users, few trees, few folds."""
    folds = ["cross_validation.repeats=1", "cross_validation.folds=2"]
    return [f"source.users={users}", "model.n_estimators=20", *folds, *overrides]
