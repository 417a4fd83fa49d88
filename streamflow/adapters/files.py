"""Files of the project: where run-time state lives, params.yaml and dvc.yaml, and writing without half-written files."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from streamflow.config import Config, typed
from streamflow.errors import ConfigError

PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
# A queued or --temp experiment of DVC runs in a copy of the project below this folder.
_DVC_COPIES = Path(".dvc/tmp/exps")


def project_root(start: Path | None = None) -> Path:
    """The folder that holds dvc.yaml and conf/: `start` (default: here) or the nearest folder above it."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / PIPELINE).is_file() and (folder / "conf").is_dir():
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
    """Where the frozen files of a table lie: one for each month, or the one of STREAMFLOW_SNAPSHOT_MONTH."""
    month = os.environ.get("STREAMFLOW_SNAPSHOT_MONTH", "*")
    return str(project_root() / "data" / "snapshots" / month / f"{table}.parquet")


def read_params(stage: str) -> Config:
    """The part of params.yaml that dvc.yaml declares for a stage; any other section raises when it is read."""
    pipeline = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))
    definition = pipeline["stages"][stage]
    return typed(_load_params(), (definition.get("do") or definition).get("params", ()))


def read_all_params() -> Config:
    """The whole of params.yaml."""
    return typed(_load_params())


def _load_params() -> Mapping[str, Any]:
    # The base loader would leave numbers as text; the safe loader would make dates of quoted text only.
    try:
        values = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("params.yaml is missing; compose it with `streamflow repro model=random_forest`") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"params.yaml is not YAML: {error}; `git checkout params.yaml`") from error
    if not isinstance(values, dict):
        raise ConfigError("params.yaml holds no mapping; `git checkout params.yaml`")
    return values


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write sorted, indented JSON with a final newline, so that equal content means equal bytes."""
    with replacing(path) as partial:
        partial.write_text(
            json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to that takes the place of `path` only when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
