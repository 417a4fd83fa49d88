"""What somebody meant by a key or an option that conf/ does not have, and the file that has it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from streamflow.core.errors import cut, did_you_mean
from streamflow.core.yaml_text import parse_yaml
from streamflow.pipeline.layout import CONF

_NO_SETTINGS = ("experiment", "search", "plugins")
_GLOBAL = "# @package _global_"
_FREE = "model."
"""Settings of an estimator are its own: scikit-learn has more than the file names."""


def unknown_key(key: str) -> str:
    """Why a key can't be overridden, in words: another choice's key, a typo, or none at all; and the file to look into."""
    places = _places()
    if files := places.get(key):
        choice = next((f": choose it by {path.parent.name}={path.stem}" for path in files), "")
        return f"{key} is not a key of what is chosen, but of {', '.join(map(str, files))}{choice}"
    meant = did_you_mean(key, [*places, *_groups()])
    section = key.partition(".")[0]
    file = CONF / (section if section in _groups() else "config.yaml")
    more = f"; to give the estimator one more setting: +{cut(key)}=VALUE" if key.startswith(_FREE) else ""
    return f"{cut(key)} is not a key of conf/{meant}; see {file}{more}"


def _places() -> Mapping[str, list[Path]]:
    """Each dotted key of conf/ to the files that give it a value."""
    found: dict[str, list[Path]] = {}
    for path in sorted(CONF.rglob("*.yaml")):
        if path.relative_to(CONF).parts[0] not in _NO_SETTINGS:
            text = path.read_text(encoding="utf-8")
            is_global = path.parent == CONF or text.startswith(_GLOBAL)
            for key in _keys(parse_yaml(text), "" if is_global else f"{path.parent.name}."):
                found.setdefault(key, []).append(path)
    return found


def _keys(values: Any, prefix: str) -> Iterator[str]:
    for name, value in values.items() if isinstance(values, dict) else ():
        if name != "defaults":
            yield f"{prefix}{name}"
            yield from _keys(value, f"{prefix}{name}.")


def _groups() -> list[str]:
    return sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("plugins", "search"))
