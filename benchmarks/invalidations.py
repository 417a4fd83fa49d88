"""How many commits of this repository would have made DVC run a stage again: exact import closures against folders.

    python -m benchmarks.invalidations [--to REV] [--json]

`exact`: the stage lists the import closure of its code, as dvc.yaml once did, and the commit changes a file of it.
`folders`: the stage names what dvc.yaml names today, and the commit changes a file in there; a path of an older layout
counts as the file that it became by git's renames. Only code in stages/ and streamflow/ is looked at: data, parameters and
packages count the same either way. Merges are left out, because their commits are counted one by one.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import yaml

from benchmarks.house import ROOT, git, revision

sys.path.insert(0, str(ROOT / "tests" / "support"))

from import_closure import import_closure

CODE = ("stages", "streamflow")


@dataclass
class Commit:
    """The files in stages/ and streamflow/ that a commit changed, whatever it did to them; old name to new one if moved."""

    name: str
    changed: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)
    moved: dict[str, str] = field(default_factory=dict)


@dataclass
class Count:
    """Commits that would have made a stage run again."""

    exact: int = 0
    folders: int = 0


def commits(root: Path) -> list[Commit]:
    """The commits of the current branch that changed code, merges left out, the newest first."""
    how = ("--topo-order", "--no-merges", "--name-status", "--find-renames=40%", "-l0", "--format=%x00%H")
    log = git(root, "log", *how, "HEAD", "--", *CODE).decode()
    return [_commit(block.split("\n")) for block in log.split("\0")[1:]]


def with_successors(newest_first: Iterable[Commit]) -> Iterator[tuple[Commit, set[str]]]:
    """Each commit and the files that it changed, by the names that they have after the newest commit.

    A file that is deleted has none; whoever imported it was changed by the same commit.
    """
    became: dict[str, str | None] = {}
    for commit in newest_first:
        step = {old: became.get(new, new) for old, new in commit.moved.items()} | dict.fromkeys(commit.deleted)
        names = {step.get(path, became.get(path, path)) for path in commit.changed}
        yield commit, {name for name in names if name}
        for path in (*commit.added, *commit.moved.values()):
            became.pop(path, None)
        became |= step


def counts(root: Path, to: str, deps: dict[str, list[str]]) -> tuple[int, dict[str, Count]]:
    """How many commits were looked at, and the counts of each stage; `deps` are what the stages name today."""
    found = {stage: Count() for stage in deps}
    looked_at = 0
    wanted = set(git(root, "rev-list", to).decode().split())
    for commit, names in with_successors(commits(root)):
        if commit.name not in wanted:
            continue
        looked_at += 1
        with revision(root, commit.name, *CODE) as folder:
            for stage in deps:
                if (folder / "stages" / f"{stage}.py").is_file():
                    found[stage].exact += bool(commit.changed & import_closure(folder, f"stages.{stage}"))
                    found[stage].folders += any(_is_in(name, deps[stage]) for name in names)
    return looked_at, found


def code_deps(pipeline: Path) -> dict[str, list[str]]:
    """The deps in stages/ and streamflow/ that each stage of a dvc.yaml names."""
    stages = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"]
    return {
        name: [dep for dep in stage.get("do", stage)["deps"] if dep.split("/")[0] in CODE]
        for name, stage in stages.items()
    }


def _commit(lines: list[str]) -> Commit:
    commit = Commit(lines[0])
    for line in filter(None, lines[1:]):
        what, *paths = line.split("\t")
        commit.changed |= set(paths)
        if what.startswith("R"):
            commit.moved[paths[0]] = paths[1]
        elif what in "AD":
            (commit.added if what == "A" else commit.deleted).add(paths[0])
    return commit


def _is_in(path: str, deps: list[str]) -> bool:
    return any(path == dep or path.startswith(f"{dep}/") for dep in deps)


@click.command()
@click.option("--to", default="HEAD", show_default=True, metavar="REV", help="The newest commit that counts.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def main(to: str, as_json: bool) -> None:
    """Count the commits that would have made each stage run again."""
    looked_at, found = counts(ROOT, to, code_deps(ROOT / "dvc.yaml"))
    if as_json:
        print(json.dumps({"commits": looked_at, "stages": {stage: asdict(each) for stage, each in found.items()}}))
        return
    print(f"{looked_at} commits that changed stages/ or streamflow/ would have made these stages run again:")
    print(f"{'':<16}{'exact':>8}{'folders':>9}")
    for stage, count in found.items():
        print(f"{stage:<16}{count.exact:>8}{count.folders:>9}")


if __name__ == "__main__":
    main()
