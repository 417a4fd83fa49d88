"""200 random bit flips in snapshots, training set, model, cache objects, registered files and dvc.lock: each is named.

A flip keeps the size and the times of the file, as a failing disk does, so nothing but the bytes can tell. `streamflow
fsck` must name the file, and name nothing else; afterwards the bit is flipped back.

    python -m drills.bit_flips [COUNT]
"""

import os
import random
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from project import Project, small

from drills.attacks import prepared
from streamflow.operations.health.fsck import integrity

# Packages are left out: hashing 36,000 files for each bit would take hours.
LOOKED_AT = ("tracked", "outputs", "cache", "registry")


def targets(root: Path) -> dict[str, list[Path]]:
    """Kind of file to the files of that kind."""
    artifacts = root / "var" / "mlartifacts"
    return {
        "snapshot": sorted((root / "data/snapshots").rglob("*.parquet")),
        "training set": sorted((root / "data/dataset").iterdir()),
        "model": sorted((root / "artifacts/model").iterdir()),
        "cache object": sorted(path for path in (root / ".dvc/cache/files/md5").rglob("*") if path.is_file()),
        "registered ONNX": sorted(artifacts.rglob("model.onnx")),
        "provenance.json": sorted(artifacts.rglob("provenance.json")),
        "dvc.lock": [root / "dvc.lock"],
    }


@contextmanager
def flipped(path: Path, bit: int) -> Iterator[None]:
    """One bit of a file the other way round, its mode, size and times as they were."""
    before, state = path.read_bytes(), path.stat()
    damaged = bytearray(before)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        _write(path, bytes(damaged), state)
        yield
    finally:
        _write(path, before, state)


def names(kind: str, path: Path, root: Path) -> str:
    """How fsck must call a damaged file."""
    if kind == "registered ONNX":
        return "model/model.onnx of version"
    if kind == "provenance.json":
        return "provenance.json of"
    return str(path) if kind == "cache object" else path.relative_to(root).as_posix()


def named(kind: str, expected: str, said: list[str]) -> bool:
    """Whether lines of fsck name a damaged file and nothing that is not damaged.

    Only a damaged dvc.lock makes others look wrong: outputs and objects that no longer are what it names.
    """
    if kind == "dvc.lock":
        return "dvc.lock differs from HEAD" in said and all("dvc.lock" in line for line in said)
    return bool(said) and all(expected in line for line in said)


def detected(kind: str, path: Path, root: Path) -> tuple[bool, list[str]]:
    """Whether fsck names a damaged file and nothing that is not damaged; and what it said."""
    said = [problem.what for check in integrity(*LOOKED_AT) for problem in check.problems]
    return named(kind, names(kind, path, root), said), said


def _write(path: Path, content: bytes, state: os.stat_result) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    path.chmod(stat.S_IMODE(state.st_mode))


def drill(project: Project, count: int) -> int:
    """Flip `count` bits, one at a time; returns how many were named."""
    chance = random.Random(20240131)
    root = project.path
    os.chdir(root)
    files = targets(root)
    kinds = list(files)
    found = 0
    per_kind = dict.fromkeys(kinds, 0)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        path = chance.choice(files[kind])
        bit = chance.randrange(path.stat().st_size * 8)
        with flipped(path, bit):
            is_named, said = detected(kind, path, root)
        found += is_named
        per_kind[kind] += is_named
        if not is_named:
            print(f"FAILED  {kind} {path} bit {bit}: {said}", flush=True)
    print(", ".join(f"{kind} {hits}" for kind, hits in per_kind.items()))
    if whole := [problem.what for check in integrity(*LOOKED_AT) for problem in check.problems]:
        print(f"FAILED  not whole afterwards: {whole}")
        return -1
    return found


def main() -> None:
    """Flip, ask, flip back."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="streamflow-drill-") as scratch:
        project = prepared(Path(scratch), *small())
        project.streamflow("db", "start")
        try:
            found = drill(project, count)
        finally:
            os.chdir("/")
            project.streamflow("db", "stop", check=False)
    print(f"{found} of {count} bit flips detected and named, {time.monotonic() - started:.0f} s")
    sys.exit(0 if found == count else 1)


if __name__ == "__main__":
    main()
