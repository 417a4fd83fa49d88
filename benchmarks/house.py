"""The shape of the code: rooms, arrows between them, circles, and how long files and functions are.

    python -m benchmarks.house                            this working tree
    python -m benchmarks.house --rev 3486984 --rev HEAD   revisions of this repository, side by side
    python -m benchmarks.house --check                    exit code 1 if a limit is broken
    python -m benchmarks.house --json

The code is streamflow/, stages/, serve/ and feature_repo/. A room is a folder of streamflow/ (each folder of operations/ is
one), or one of the other three; `no room` is what lies in streamflow/ itself. An arrow is an import of one module or room by
another. `__init__.py` files hold a docstring and are not counted. Lines are all lines; the median file is also given without
its blank lines, and that is the one that has a limit.
"""

import ast
import io
import json
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from house import CODE, Module, arrows, circles, modules  # noqa: E402

LARGEST_ROOM = 0.20
LONGEST_FILE = 300
MEDIAN_FILE = 70


@dataclass(frozen=True)
class Room:
    """One room; `share` is its part of all lines."""

    files: int
    lines: int
    share: float


@dataclass(frozen=True)
class Shape:
    """What is measured, in lines; a function's begin with its `def`, `median_text` counts no blank lines."""

    rooms: dict[str, Room]
    files: int
    lines: int
    arrows_between_rooms: int
    arrows_between_modules: int
    circles_of_rooms: list[list[str]]
    circles_of_modules: list[list[str]]
    longest_file: int
    longest_file_path: str
    median_file: float
    median_text: float
    median_function: float
    longest_function_of_ten: int

    @property
    def largest_room(self) -> str:
        """Name of the room with the most lines."""
        return max(self.rooms, key=lambda name: self.rooms[name].lines)


def shape(root: Path) -> Shape:
    """The shape of the code under `root`."""
    house = modules(root)
    graph = arrows(house)
    lines = {name: len(module.source.splitlines()) for name, module in house.items()}
    between = {(house[name].room, house[other].room) for name, others in graph.items() for other in others}
    between = {(room, other) for room, other in between if room != other}
    files = Counter(module.room for module in house.values())
    in_room = Counter[str]()
    for name, module in house.items():
        in_room[module.room] += lines[name]
    total = sum(lines.values())
    functions = sorted(length for module in house.values() for length in _function_lengths(module))
    longest = max(lines, key=lambda name: lines[name])
    return Shape(
        rooms={room: Room(files[room], count, count / total) for room, count in in_room.most_common()},
        files=len(house),
        lines=total,
        arrows_between_rooms=len(between),
        arrows_between_modules=sum(map(len, graph.values())),
        circles_of_rooms=circles({room: {other for one, other in between if one == room} for room in files}),
        circles_of_modules=circles(graph),
        longest_file=lines[longest],
        longest_file_path=house[longest].path.relative_to(root).as_posix(),
        median_file=median(lines.values()),
        median_text=median(sum(map(bool, module.source.split("\n"))) for module in house.values()),
        median_function=median(functions),
        longest_function_of_ten=functions[len(functions) * 9 // 10],
    )


def broken_limits(found: Shape) -> list[str]:
    """One line for each limit that a shape breaks; empty if it keeps them all."""
    room = found.largest_room
    share = found.rooms[room].share
    broken = []
    if share > LARGEST_ROOM:
        broken.append(f"{room} holds {share:.1%} of the lines; the limit is {LARGEST_ROOM:.0%}")
    broken += [f"a circle of modules: {', '.join(each)}" for each in found.circles_of_modules]
    broken += [f"a circle of rooms: {', '.join(each)}" for each in found.circles_of_rooms]
    if found.longest_file > LONGEST_FILE:
        broken.append(f"{found.longest_file_path} has {found.longest_file} lines; the limit is {LONGEST_FILE}")
    if found.median_text > MEDIAN_FILE:
        broken.append(f"the median file has {found.median_text:g} lines that are not blank; the limit is {MEDIAN_FILE}")
    return broken


@contextmanager
def revision(root: Path, rev: str, *folders: str) -> Iterator[Path]:
    """The named folders of a revision of a repository, in a temporary folder; those that it lacks are left out."""
    present = git(root, "ls-tree", "-d", "--name-only", rev, *folders).decode().split()
    with TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(git(root, "archive", rev, *present))) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def git(root: Path, *arguments: str) -> bytes:
    """What a git command prints."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    if done.returncode:
        raise click.ClickException(f"git {' '.join(arguments)}: {done.stderr.decode().strip()}")
    return done.stdout


def _function_lengths(module: Module) -> Iterator[int]:
    for node in ast.walk(ast.parse(module.source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def _in_room(path: str) -> str:
    return path.removeprefix("streamflow/")


def _rooms_table(found: Shape) -> str:
    rows = [f"{name:<22}{room.files:>6}{room.lines:>8}{room.share:>8.1%}" for name, room in found.rooms.items()]
    return "\n".join([f"{'room':<22}{'files':>6}{'lines':>8}{'share':>8}", *rows])


def _summary(shapes: dict[str, Shape]) -> str:
    def row(title: str, cells: list[str]) -> str:
        return (f"{title:<26}" + "".join(f"{cell:>26}" for cell in cells)).rstrip()

    found = list(shapes.values())
    return "\n".join(
        [
            row("", list(shapes)),
            row("rooms", [str(len(each.rooms)) for each in found]),
            row("files", [str(each.files) for each in found]),
            row("lines", [str(each.lines) for each in found]),
            row("largest room", [f"{each.largest_room} {each.rooms[each.largest_room].share:.1%}" for each in found]),
            row("arrows between rooms", [str(each.arrows_between_rooms) for each in found]),
            row("arrows between modules", [str(each.arrows_between_modules) for each in found]),
            row("circles of rooms", [str(len(each.circles_of_rooms)) for each in found]),
            row("circles of modules", [str(len(each.circles_of_modules)) for each in found]),
            row("longest file", [f"{_in_room(each.longest_file_path)} {each.longest_file}" for each in found]),
            row("median file", [f"{each.median_file:g}" for each in found]),
            row("  without blank lines", [f"{each.median_text:g}" for each in found]),
            row("median function", [f"{each.median_function:g}" for each in found]),
            row("9 of 10 functions up to", [str(each.longest_function_of_ten) for each in found]),
        ]
    )


@click.command()
@click.option("--rev", "revs", multiple=True, metavar="REV", help="A revision instead of the working tree; repeatable.")
@click.option("--check", is_flag=True, help="Exit with 1 and say why if a limit is broken.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
def main(revs: tuple[str, ...], check: bool, as_json: bool) -> None:
    """Measure the shape of the code."""
    shapes = {}
    for rev in revs:
        with revision(ROOT, rev, *CODE) as folder:
            shapes[rev] = shape(folder)
    shapes = shapes or {"working tree": shape(ROOT)}
    if as_json:
        print(json.dumps({name: asdict(found) for name, found in shapes.items()}, indent=2))
    else:
        for name, found in shapes.items():
            print(*([f"{name}:"] if len(shapes) > 1 else []), _rooms_table(found), "", sep="\n")
        print(_summary(shapes))
    broken = [f"{name}: {line}" for name, found in shapes.items() for line in broken_limits(found)]
    if check and broken:
        print(*broken, sep="\n", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
