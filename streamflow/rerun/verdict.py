"""The verdict on a result that was derived again: identical, equivalent or diverged, and what differed first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamflow.pipeline.layout import MODEL
from streamflow.provenance.record import DIVERGED, EQUIVALENT, IDENTICAL
from streamflow.provenance.result import Result

_CONFIGURATION = ("conf", "params.yaml")
_SOURCE_STAGES = ("ingest", "snapshot")


@dataclass(frozen=True)
class Out:
    """One DVC output: its MD5 in dvc.lock, and the MD5 of the rerun (empty: the rerun did not make it).

    `sha256` is that of the rerun's file, or the `dirHash` of its folder.
    """

    path: str
    stage: str
    expected: str
    actual: str
    sha256: str = ""

    @property
    def same(self) -> bool:
        """Whether the bytes are the same."""
        return self.expected == self.actual


@dataclass(frozen=True)
class Divergence:
    """The first stage that differs; `cause` is one of data, config, code, lock, environment, CPU kernel, unexplained."""

    stage: str
    cause: str
    detail: str

    def to_json(self) -> dict[str, str]:
        """The divergence as JSON."""
        return {"stage": self.stage, "cause": self.cause, "detail": self.detail}


@dataclass(frozen=True)
class Circumstances:
    """What may explain a difference: files of the commit that differ from what the run read, and the machines.

    `source` maps a month to the differences in its history; `recorded` and `now` are facts of the machine (python, cpu,
    blas_kernel), `recorded` is empty if no version is registered.
    """

    code: Sequence[str] = ()
    lock: Sequence[str] = ()
    packages: Sequence[str] = ()
    source: Mapping[str, str] | None = None
    recorded: Mapping[str, str] | None = None
    now: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Rederivation:
    """The outcome of a rerun; `model_expected` is the registered SHA-256, or that of the commit's receipt.

    `erased_users` were erased since from the months that it read; `proven` says of each month what is left, in words.
    """

    ref: str
    commit: str
    verdict: str
    first_divergence: Divergence | None
    outs: tuple[Out, ...]
    model_expected: str
    model_actual: str
    environment: Mapping[str, Any]
    seconds: float
    erased_users: int = 0
    proven: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The document of `streamflow rerun --json`."""
        return {
            "ref": self.ref,
            "commit": self.commit,
            "verdict": self.verdict,
            "first_divergence": self.first_divergence.to_json() if self.first_divergence else None,
            "outs": [{"path": out.path, "expected": out.expected, "actual": out.actual} for out in self.outs],
            "model_sha256": {"expected": self.model_expected, "actual": self.model_actual},
            "environment": dict(self.environment),
            **({"erased_users": self.erased_users, "proven": list(self.proven)} if self.erased_users else {}),
            "seconds": round(self.seconds, 1),
        }


def compare_outputs(result: Result, actual: Mapping[str, str], sha256: Mapping[str, str]) -> tuple[Out, ...]:
    """Every output of the result, in the order of dvc.lock, with the MD5 and the SHA-256 of the rerun."""
    return tuple(
        Out(path, stage, md5, actual.get(path, ""), sha256.get(path, "")) for path, (stage, md5) in result.outs.items()
    )


def verdict(
    result: Result,
    outs: Sequence[Out],
    model_expected: str,
    model_actual: str,
    golden_equal: bool,
    circumstances: Circumstances,
) -> tuple[str, Divergence | None]:
    """Identical only if every byte is, and the files of the commit are the inputs in dvc.lock.

    Equivalent: bytes differ, but the training set and the golden predictions of the models are the same.
    """
    different = [out for out in outs if not out.same]
    if not different and model_expected == model_actual:
        if not circumstances.code and not circumstances.lock:
            return IDENTICAL, None
        return DIVERGED, _explain("", result, circumstances)
    if not different:
        return DIVERGED, Divergence(
            result.outs[str(MODEL)][0],
            "lock",
            f"the registered model is {model_expected[:12]}, dvc.lock and this rerun say {model_actual[:12]}",
        )
    first = _explain(different[0].stage, result, circumstances)
    upstream = {out.stage for out in different} - {"train", "cross_validate", "evaluate"}
    same_model = not upstream and golden_equal and not circumstances.code and not circumstances.lock
    return (EQUIVALENT if same_model else DIVERGED), first


def _explain(stage: str, result: Result, found: Circumstances) -> Divergence:
    month = stage.split("@")[-1]
    if stage.split("@")[0] in _SOURCE_STAGES and found.source and month in found.source:
        return Divergence(stage, "data", found.source[month])
    if found.lock:
        return Divergence(stage or found.lock[0].split(" ")[0], "lock", found.lock[0])
    mine = [path for path in found.code if not stage or path in result.stages[stage].deps]
    if mine or (found.code and not stage):
        path = (mine or list(found.code))[0]
        cause = "config" if path.split("/")[0] in _CONFIGURATION else "code"
        reader = stage or next(name for name, each in result.stages.items() if path in each.deps)
        return Divergence(reader, cause, f"{path} in the commit differs from what the run read")
    if found.packages:
        return Divergence(stage, "environment", ", ".join(found.packages))
    recorded, now = found.recorded or {}, found.now or {}
    for name, cause in (("python", "environment"), ("blas_kernel", "CPU kernel"), ("cpu", "CPU kernel")):
        if recorded.get(name) and recorded[name] != now.get(name):
            return Divergence(stage, cause, f"{name} {now.get(name)}, at training {recorded[name]}")
    detail = "same data, code, configuration and packages: the stage is not deterministic, or its output was edited"
    return Divergence(stage, "unexplained", detail)
