"""Other processors, as far as one processor can play them: each estimator is trained with CPU features masked.

    python -m drills.cpu_features            800 users
    python -m drills.cpu_features --full     7,043 users

Prints a table of identical, equivalent (bytes differ, every golden prediction is equal) and diverged, and keeps it in
benchmarks/results/cpu_features.json. Fails if an estimator is not identical under a mask that the pins should make harmless.
What was asked for has to be in force: the features that numpy then uses are printed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from project import ROOT, Project

from streamflow.core.errors import ModelError
from streamflow.model.card import check_golden, schema_features
from streamflow.model.scoring import ChurnModel
from streamflow.pipeline.environment import machine
from streamflow.provenance.record import DIVERGED, EQUIVALENT, IDENTICAL

MODELS = ("random_forest", "hist_gradient_boosting", "logistic_regression", "blend")
_READ = ("conf", "data", "dvc.lock", "dvc.yaml", "params.yaml", "requirements.lock", "stages", "streamflow")
_GLIBC = "glibc.cpu.hwcaps=-AVX2,-AVX,-FMA,-AVX512F,-AVX512VL,-ERMS"
_KERNEL = (
    "import runpy, sys; from streamflow.pipeline import environment;"
    " environment.PINNED['OPENBLAS_CORETYPE'] = sys.argv[1]; runpy.run_module('stages.train', run_name='__main__')"
)
_FEATURES = "from streamflow.pipeline.environment import machine; import stages; print(machine()['cpu_features'])"


def masks() -> dict[str, tuple[dict[str, str], str | None, bool]]:
    """Name to environment variables, a BLAS kernel instead of the pinned one, and whether the result must be identical."""
    here = machine()["cpu_features"].split()
    wide = [name for name in here if name not in ("X86_V3", "none")]
    found: dict[str, tuple[dict[str, str], str | None, bool]] = {"nothing": ({}, None, True)}
    if wide:
        found["numpy without AVX-512"] = ({"NPY_DISABLE_CPU_FEATURES": " ".join(wide)}, None, True)
    if "X86_V3" in here:
        found["numpy without AVX2 and FMA"] = ({"NPY_DISABLE_CPU_FEATURES": " ".join(here)}, None, True)
    both = {"GLIBC_TUNABLES": _GLIBC, **({"NPY_DISABLE_CPU_FEATURES": " ".join(here)} if here != ["none"] else {})}
    found["glibc without AVX2 and FMA"] = ({"GLIBC_TUNABLES": _GLIBC}, None, True)
    found["both"] = (both, None, True)
    for kernel in ("Nehalem", "SkylakeX", "Zen"):
        found[f"BLAS kernel {kernel}, not the pinned one"] = ({}, kernel, False)
    return found


def trained(project: Project, variables: dict[str, str], kernel: str | None, scratch: Path) -> Path:
    """Run stage `train` in a copy of the project under a mask; returns the folder of the model."""
    for name in _READ:
        (scratch / name).symlink_to(project.path / name)
    shutil.copytree(project.path / "artifacts/sha256", scratch / "artifacts/sha256")
    command = [project.python, "-c", _KERNEL, kernel] if kernel else [project.python, "-m", "stages.train"]
    environment = {**project.environment, **variables, "STREAMFLOW_STATE_DIR": str(scratch / "var")}
    environment["PYTHONPATH"] = str(scratch)
    done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"training failed: {done.stderr[-2000:]}")
    return scratch / "artifacts/model"


def compared(before: Path, after: Path) -> str:
    """The verdict on a model that was trained again."""
    content = (after / "model.onnx").read_bytes()
    if content == (before / "model.onnx").read_bytes():
        return IDENTICAL
    schema, golden = (json.loads((before / name).read_text()) for name in ("feature_schema.json", "golden.json"))
    try:
        check_golden(ChurnModel(content, schema_features(schema)), golden)
    except ModelError:
        return DIVERGED
    return EQUIVALENT


def main() -> None:
    """Train every estimator under every mask and compare."""
    users = [] if "--full" in sys.argv else ["source.users=800"]
    table: dict[str, dict[str, str]] = {}
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="streamflow-drill-") as folder:
        project = Project.copy(Path(folder) / "streamflow")
        for model in MODELS:
            project.streamflow("repro", f"model={model}", "promotion=never", "cross_validation.repeats=1", *users)
            for name, (variables, kernel, must) in masks().items():
                scratch = Path(tempfile.mkdtemp(dir=folder))
                verdict = compared(project.path / "artifacts/model", trained(project, variables, kernel, scratch))
                used = project.run(project.python, "-c", _FEATURES, **variables).stdout.strip()
                table.setdefault(name, {"numpy uses": used})[model] = verdict
                wrong += must and verdict != IDENTICAL
                print(f"{verdict:<11} {model:<24} {name:<44} numpy uses {used}", flush=True)
    emulated = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    print(
        f"aarch64: {'an emulator is here, but no wheels for it' if emulated else 'not run, qemu-user is not installed'}"
    )
    result = {"machine": machine(), "users": 800 if users else 7043, "cores": os.cpu_count(), "verdicts": table}
    (ROOT / "benchmarks/results").mkdir(exist_ok=True)
    (ROOT / "benchmarks/results/cpu_features.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
