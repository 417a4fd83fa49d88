"""Eight `streamflow repro` at once in one clone: one works, the others say so in one line; the lock's bytes are the same.

python -m drills.concurrency [COUNT]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from project import Project, small

SAID = "another `streamflow repro` is running in this clone"


def at_once(project: Project, count: int, *arguments: str) -> list[tuple[int, str]]:
    """Exit code and stderr of `count` calls started together."""
    calls = [
        subprocess.Popen(
            [project.python, "-m", "streamflow.cli.main", "repro", *arguments],
            cwd=project.path,
            env=project.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    return [(call.wait(), stderr) for call in calls for stderr in [call.communicate()[1]]]


def main() -> None:
    """Start them together on changed code, and compare with a run alone."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    with tempfile.TemporaryDirectory(prefix="streamflow-drill-") as scratch:
        project = Project.copy(Path(scratch) / "streamflow")
        project.streamflow("repro", *small())
        lock = project.text("dvc.lock")
        answers = at_once(project, count, "--force")
        same = project.text("dvc.lock") == lock
    worked = sum(code == 0 for code, _ in answers)
    refused = sum(code == 2 and len(said.splitlines()) == 1 and SAID in said for code, said in answers)
    print(f"{worked} worked, {refused} said so in one line; dvc.lock {'has the same bytes' if same else 'DIFFERS'}")
    sys.exit(0 if worked >= 1 and worked + refused == count and same else 1)


if __name__ == "__main__":
    main()
