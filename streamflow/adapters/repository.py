"""git and DVC of the project: commit, state of the tree, dvc.lock."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from streamflow.errors import EnvironmentFault

LOCK = Path("dvc.lock")


def git(*arguments: str) -> str:
    """Output of a git command in the project. Raises EnvironmentFault if git is missing or refuses."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise EnvironmentFault("git is not installed; install it and run the command again") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip() or "no reason given").splitlines()[0]
        raise EnvironmentFault(f"git {' '.join(arguments)}: {reason}") from error
    return done.stdout.strip()


def commit() -> str:
    """The commit that is checked out. Raises EnvironmentFault where there is none."""
    return git("rev-parse", "HEAD")


def tag_of_commit() -> str:
    """The tag of the checked-out commit; empty if it has none."""
    return git("tag", "--points-at", "HEAD", "--sort=-creatordate").split("\n")[0]


def changed_files() -> list[str]:
    """Tracked files with changes and untracked ones, dvc.lock aside, which a run of the pipeline writes."""
    lines = git("status", "--porcelain", "--untracked-files=all").splitlines()
    return [name for line in lines if (name := line.strip().split(maxsplit=1)[-1]) != str(LOCK)]


def lock_content() -> dict[str, Any]:
    """The stages of dvc.lock, as DVC has written it so far in this run."""
    content = yaml.safe_load(LOCK.read_text(encoding="utf-8")) if LOCK.exists() else None
    stages: dict[str, Any] = (content or {}).get("stages", {})
    return stages
