"""The model fitted once more, by another process in a folder of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from streamflow.core.errors import ModelError
from streamflow.pipeline.environment import STEERING
from streamflow.pipeline.file_digest import file_sha256
from streamflow.pipeline.project import state_dir

# All that stage `train` reads; artifacts/sha256 is copied, because it leaves its own receipt there.
_READ = ("conf", "data", "dvc.lock", "dvc.yaml", "params.yaml", "requirements.lock", "stages", "streamflow")
_RECEIPTS = "artifacts/sha256"


def refit_sha256() -> str:
    """SHA-256 of the model that stage `train` makes of this project's dataset and configuration; nothing here changes.

    Raises ModelError with the stage's own line if it fails.
    """
    scratches = state_dir() / "refits"
    scratches.mkdir(exist_ok=True)
    for left in scratches.iterdir():  # of a process that was killed
        if not Path("/proc", left.name.split("-")[0]).exists():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=scratches) as scratch:
        copy = Path(scratch)
        for name in _READ:
            (copy / name).symlink_to(Path(name).resolve())
        shutil.copytree(_RECEIPTS, copy / _RECEIPTS)
        kept = {name: value for name, value in os.environ.items() if name not in STEERING}
        done = subprocess.run(
            [sys.executable, "-m", "stages.train"],
            cwd=copy,
            env={**kept, "STREAMFLOW_STATE_DIR": str(copy / "var")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ModelError(f"the re-fit failed: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")
        return file_sha256(copy / "artifacts" / "model" / "model.onnx")
