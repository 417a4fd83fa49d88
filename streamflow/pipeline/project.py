"""The project on disk: its root, the folder of run-time state, and files that are written whole or not at all."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streamflow.core.errors import ConfigError
from streamflow.pipeline.layout import CONF, PIPELINE, SNAPSHOTS

SNAPSHOTS_VARIABLE = "STREAMFLOW_SNAPSHOTS"
"""Names another folder with frozen months for Feast than the project's."""
# A queued or --temp experiment of DVC runs in a copy of the project below this folder.
_DVC_COPIES = Path(".dvc/tmp/exps")


def project_root(start: Path | None = None) -> Path:
    """The folder with dvc.yaml and conf/: `start` (default: here) or the nearest folder above it."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / PIPELINE).is_file() and (folder / CONF).is_dir():
            return folder
    raise ConfigError(f"{here} is not inside a StreamFlow project (no dvc.yaml and conf/); cd into your clone")


def state_dir(root: Path | None = None) -> Path:
    """var/ of the project: run-time state that git ignores. STREAMFLOW_STATE_DIR names another folder."""
    if named := os.environ.get("STREAMFLOW_STATE_DIR"):
        folder = Path(named).resolve()
    else:
        text = str(root or project_root())
        folder = Path(text.split(f"/{_DVC_COPIES}/")[0]) / "var"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def snapshot_pattern(table: str) -> str:
    """The glob of the frozen files of a table: of all months, or of STREAMFLOW_SNAPSHOT_MONTH; in STREAMFLOW_SNAPSHOTS."""
    month = os.environ.get("STREAMFLOW_SNAPSHOT_MONTH", "*")
    folder = os.environ.get(SNAPSHOTS_VARIABLE) or str(project_root() / SNAPSHOTS)
    return str(Path(folder) / month / f"{table}.parquet")


@contextmanager
def reading_from(folder: Path) -> Iterator[None]:
    """Feast reads frozen months from another folder while the block runs, unless it is the project's own."""
    if folder.resolve() == (project_root() / SNAPSHOTS).resolve():
        yield
        return
    before = os.environ.get(SNAPSHOTS_VARIABLE)
    os.environ[SNAPSHOTS_VARIABLE] = str(folder.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ[SNAPSHOTS_VARIABLE]
        else:
            os.environ[SNAPSHOTS_VARIABLE] = before


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write sorted, indented JSON with a final newline, so that equal content means equal bytes."""
    with replacing(path) as partial:
        partial.write_text(
            json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to; it replaces `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
