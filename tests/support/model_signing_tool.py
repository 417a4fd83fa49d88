"""The tool `model_signing` of the OpenSSF in an environment of its own: 14 packages that the project does not need."""

import subprocess
import sys
from pathlib import Path

import pytest

# pyOpenSSL: model-signing 1.1.1 imports it, and has it only by way of sigstore, which no longer needs it.
PACKAGES = ("model-signing==1.1.1", "pyOpenSSL")


def model_signing_tool(folder: Path) -> Path:
    """The program, installed below `folder`; the test is skipped if no package index answers."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=120)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "15"]
    done = subprocess.run([*pip, *PACKAGES], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        pytest.skip(f"model_signing needs a package index to be installed: {reason[:200]}")
    return folder / "bin" / "model_signing"
