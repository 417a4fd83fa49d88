"""Eight `streamflow repro` at once after a change of code: one works, the others say so in one line; the lock is right.

The lock must have the bytes that one run alone gives for the same change in another clone, and other bytes than before it.

python -m drills.concurrency [COUNT]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from project import Project, small

CHANGED = "streamflow/model/training.py"
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


def faults(answers: list[tuple[int, str]], before: str, together: str, alone: str) -> list[str]:
    """What is wrong with calls at once: who worked and who refused, and the locks of three moments."""
    worked = sum(code == 0 for code, _ in answers)
    refused = sum(code == 2 and len(said.splitlines()) == 1 and SAID in said for code, said in answers)
    found = []
    if worked != 1:
        found.append(f"{worked} worked, not 1")
    if worked + refused != len(answers):
        found.append(f"{len(answers) - worked - refused} neither worked nor said so in one line")
    if alone == before:
        found.append("the change of code changed nothing")
    if together != alone:
        found.append("dvc.lock has other bytes than after a run alone")
    return found


def changed_code(project: Project) -> None:
    """A change that DVC sees and no output does."""
    with (project.path / CHANGED).open("a") as file:
        file.write("# the same code with a line more\n")
    project.run("git", "commit", "-qam", "a line more")


def main() -> None:
    """Start them together on changed code, and compare with a run alone."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    with tempfile.TemporaryDirectory(prefix="streamflow-drill-") as scratch:
        clones = [Project.copy(Path(scratch) / name) for name in ("alone", "together")]
        for clone in clones:
            clone.streamflow("repro", *small())
            before = clone.text("dvc.lock")
            changed_code(clone)
        alone, together = clones
        alone.streamflow("repro")
        answers = at_once(together, count)
        found = faults(answers, before, together.text("dvc.lock"), alone.text("dvc.lock"))
    for each in found:
        print(f"FAILED  {each}")
    ending = "FAILED" if found else "one worked, the others said so, the lock is right"
    print(f"{count} calls at once on changed code: {ending}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
