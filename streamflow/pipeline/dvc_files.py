"""dvc.yaml, dvc.lock and the SHA-256 receipts of the stages, read without DVC, which takes a second to import."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streamflow.core.errors import ConfigError, ModelError
from streamflow.core.yaml_text import parse_yaml
from streamflow.pipeline.layout import LOCK, PARAMS, PIPELINE, RECEIPTS
from streamflow.pipeline.lock import LockedStage, read_lock


@dataclass(frozen=True)
class Declared:
    """What dvc.yaml declares for one stage instance, paths resolved; `tracked` are the outputs that are in git."""

    name: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    tracked: tuple[str, ...]
    params: Mapping[str, Any]


def declaration(stage: str, item: str | None = None) -> Declared:
    """The entry of dvc.yaml for a stage, with the values of params.yaml filled in."""
    definition = parse_yaml(PIPELINE.read_text(encoding="utf-8"))["stages"][stage]
    return _declare(stage, item, definition, parse_yaml(PARAMS.read_text(encoding="utf-8")))


def declarations(root: Path = Path()) -> Iterator[Declared]:
    """Every stage instance of a project folder, in the order of its dvc.yaml."""
    values = parse_yaml((root / PARAMS).read_text(encoding="utf-8"))
    for stage, definition in parse_yaml((root / PIPELINE).read_text(encoding="utf-8"))["stages"].items():
        for item in values["months"] if "foreach" in definition else (None,):
            yield _declare(stage, item, definition, values)


def disagreements(stages: Mapping[str, LockedStage], root: Path = Path()) -> list[str]:
    """Where dvc.lock differs from dvc.yaml and params.yaml of a project folder: DVC would run the stage again."""
    values = parse_yaml((root / PARAMS).read_text(encoding="utf-8"))
    found = []
    for declared in declarations(root):
        recorded = stages.get(declared.name)
        if recorded is None:
            found.append(f"{declared.name} has not run: it is not in dvc.lock")
            continue
        if set(recorded.outs) != set(declared.outs):
            found.append(f"{declared.name} has other outputs in dvc.lock than in dvc.yaml")
        # The deps of what follows the derivation are of the run before, while a run is under way.
        if declared.outs and set(recorded.deps) != set(declared.deps):
            found.append(f"{declared.name} has other deps in dvc.lock than in dvc.yaml")
        read = recorded.params.get(str(PARAMS), {}) if declared.outs else {}
        wrong = [name for name, value in read.items() if _look_up(values, name) != value]
        wrong += [name for name in declared.params if declared.outs and not _covers(name, read)]
        found += [f"{declared.name} ran with another value of {name} than params.yaml" for name in wrong]
    return found


def _look_up(values: Any, name: str) -> Any:
    for part in [name] if name in values else name.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _covers(name: str, read: Mapping[str, Any]) -> bool:
    return name in read or any(key.startswith(f"{name}.") for key in read)


def tracked_outputs() -> list[str]:
    """The files of outputs that are in git and not in DVC's cache: receipts and metrics."""
    return [file for each in declarations() for path in each.tracked for file in _files_of(Path(path))]


def _files_of(output: Path) -> list[str]:
    """The files of an output that is a folder; a file is itself, there or not."""
    return sorted(str(path) for path in output.rglob("*") if path.is_file()) if output.is_dir() else [str(output)]


def locked_stages() -> dict[str, LockedStage]:
    """The stages of dvc.lock, as DVC has written it so far. Raises ModelError if the file is damaged."""
    months = parse_yaml(PARAMS.read_text(encoding="utf-8"))["months"]
    return read_lock(lock_text(), months)


def lock_text() -> str:
    """The text of dvc.lock; empty if there is none. Raises ModelError if it is not UTF-8."""
    try:
        return LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    except UnicodeDecodeError:
        raise ModelError("dvc.lock is damaged (not UTF-8); `git checkout dvc.lock`") from None


def receipt_of(stage: str) -> Path:
    """The file in which a stage instance records the SHA-256 of every file that it wrote; it is in git."""
    return RECEIPTS / f"{stage}.json"


def read_receipt(stage: str, root: Path = Path()) -> dict[str, str]:
    """Path to SHA-256 of what a stage wrote; empty if it has no receipt. Raises ModelError if the receipt is damaged."""
    path = root / receipt_of(stage)
    try:
        return parse_receipt(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError:
        raise ModelError(
            f"{receipt_of(stage)} is damaged (not the receipt that stage {stage} wrote); `git checkout {path}`"
        ) from None


def parse_receipt(text: str) -> dict[str, str]:
    """The files of a receipt. Raises ValueError if it is damaged."""
    try:
        files = parse_yaml(text)["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a receipt") from error


def _declare(stage: str, item: str | None, definition: Mapping[str, Any], values: Mapping[str, Any]) -> Declared:
    body = definition.get("do", definition)
    known = {**values, "item": item}
    outs = [*body.get("outs", ()), *body.get("metrics", ())]
    tracked = [
        next(iter(out)) for out in outs if isinstance(out, dict) and next(iter(out.values())).get("cache") is False
    ]
    return Declared(
        f"{stage}@{item}" if item else stage,
        _paths(body.get("deps", ()), known),
        _paths(outs, known),
        _paths(tracked, known),
        {name: _value(values, name, stage) for name in body.get("params", ())},
    )


def _value(values: Mapping[str, Any], name: str, stage: str) -> Any:
    if name not in values:
        raise ConfigError(
            f"{PARAMS} has no {name}, which stage {stage} of {PIPELINE} reads: an older version of the code composed it;"
            " `streamflow repro model=NAME` composes it again"
        )
    return values[name]


def _paths(entries: Iterable[Any], values: Mapping[str, Any]) -> tuple[str, ...]:
    names = (entry if isinstance(entry, str) else next(iter(entry)) for entry in entries)
    return tuple(re.sub(r"\$\{(\w+)\}", lambda name: str(values[name[1]]), path) for path in names)
