"""Users in git: every object of the repository, whatever refers to it."""

import subprocess
from collections.abc import Iterator, Sequence

from streamflow.provenance.git import without_git_variables


def objects_with(needles: Sequence[bytes]) -> int:
    """How many files, commits and tags of the repository hold any of some texts, in all of its history."""
    return sum(any(needle in content for needle in needles) for content in _objects())


def _objects() -> Iterator[bytes]:
    command = ["git", "cat-file", "--batch-all-objects", "--batch", "--unordered", "--buffer"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=without_git_variables()) as process:
        assert process.stdout is not None
        while head := process.stdout.readline():
            _, kind, size = head.split()
            content = process.stdout.read(int(size))
            process.stdout.read(1)
            if kind != b"tree":
                yield content
