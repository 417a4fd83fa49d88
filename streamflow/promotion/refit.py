"""A second training of the model, by another process in a temporary folder."""

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

# All that stage `train` reads; artifacts/sha256 is copied, because the stage writes its receipt there.
_READ = ("conf", "data", "dvc.lock", "dvc.yaml", "params.yaml", "requirements.lock", "stages", "streamflow")
_RECEIPTS = "artifacts/sha256"


def refit_sha256() -> str:
    """Run stage `train` again in a temporary folder; the SHA-256 of its model. The project is not changed.

    Raises ModelError with the stage's message if it fails.
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
            raise ModelError(
                f"the second training failed: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}"
            )
        return file_sha256(copy / "artifacts" / "model" / "model.onnx")
