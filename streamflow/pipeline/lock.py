"""What dvc.lock records of each stage, as typed values, and contradictions in it.

The *derivation* is the part of dvc.lock that has outputs: config, ingest, snapshot, dataset, train and evaluate. The stages
after it (register, materialize) write no output, so the derivation is complete before they run; its digest names a result.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError, first_line

_HEXADECIMAL = set("0123456789abcdef")
# libyaml's reader and writer, which say the same ten times faster.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class LockedStage:
    """One stage of dvc.lock: path to MD5 of what it read and what it wrote; `.dir` ends the MD5 of a folder."""

    name: str
    command: str
    deps: Mapping[str, str]
    outs: Mapping[str, str]
    params: Mapping[str, Any]


def read_lock(text: str, months: Collection[str]) -> dict[str, LockedStage]:
    """The stages of a dvc.lock in the order of the file. Raises ModelError if the file is damaged.

    DVC keeps the entries of months that the configuration no longer has; only those of `months` are read.
    """
    try:
        content = yaml.load(text, Loader=_Loader)
        stages = (content or {}).get("stages", {})
        return {name: _stage(name, entry) for name, entry in stages.items() if _is_current(name, months)}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = first_line(error)
        raise ModelError(f"dvc.lock is damaged ({reason}); `git checkout dvc.lock`") from error


def derivation(text: str, months: Collection[str]) -> str:
    """The derivation of a dvc.lock as a dvc.lock of its own, in a canonical form; empty stages if there is none."""
    stages = (yaml.load(text, Loader=_Loader) or {}).get("stages", {})
    kept = {name: entry for name, entry in stages.items() if entry.get("outs") and _is_current(name, months)}
    dumped: str = yaml.dump({"schema": "2.0", "stages": kept}, Dumper=_Dumper, sort_keys=True, width=120)
    return dumped


def derivation_sha256(text: str, months: Collection[str]) -> str:
    """Digest of the derivation of a dvc.lock: the provenance's `dvc_lock_sha256`."""
    return bytes_sha256(derivation(text, months).encode())


def outputs(stages: Iterable[LockedStage]) -> dict[str, tuple[str, str]]:
    """Output path to the stage that wrote it and its MD5."""
    return {path: (stage.name, md5) for stage in stages for path, md5 in stage.outs.items()}


def contradictions(stages: Mapping[str, LockedStage]) -> list[str]:
    """Files with two digests in one lock: no run of DVC writes that, so somebody edited it."""
    made = outputs(stages.values())
    found = []
    read: dict[str, tuple[str, str]] = {}
    for stage in stages.values():
        if not stage.outs:
            continue  # what follows the derivation is behind it until the run has ended
        for path, md5 in stage.deps.items():
            if path in made and made[path][1] != md5:
                found.append(f"{stage.name} read {path} as {md5[:12]}, {made[path][0]} wrote {made[path][1][:12]}")
            elif path in read and read[path][1] != md5 and path not in made:
                found.append(f"{stage.name} read {path} as {md5[:12]}, {read[path][0]} read {read[path][1][:12]}")
            read.setdefault(path, (stage.name, md5))
    return found


def _is_current(name: str, months: Collection[str]) -> bool:
    _, at, month = name.partition("@")
    return not at or month in months


def _stage(name: str, entry: Mapping[str, Any]) -> LockedStage:
    deps, outs = (_digests(name, entry.get(key, ())) for key in ("deps", "outs"))
    return LockedStage(name, str(entry["cmd"]), deps, outs, dict(entry.get("params", {})))


def _digests(stage: str, items: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    digests = {}
    for item in items:
        md5 = str(item["md5"])
        if len(md5.removesuffix(".dir")) != 32 or not set(md5.removesuffix(".dir")) <= _HEXADECIMAL:
            raise ValueError(f"stage {stage}, {item['path']}: {md5} is not an MD5")
        if md5.endswith(".dir") != ("nfiles" in item):
            raise ValueError(f"stage {stage}, {item['path']}: neither a file nor a folder")
        if not isinstance(item["size"], int):
            raise ValueError(f"stage {stage}, {item['path']}: size {item['size']}")
        digests[str(item["path"])] = md5
    return digests
