"""Tools of others that read what an archive of evidence holds, in an environment of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

# pyOpenSSL: model-signing 1.1.1 imports it, and has it only by way of sigstore, which no longer needs it.
PACKAGES = ("model-signing==1.1.1", "pyOpenSSL", "cyclonedx-python-lib[json-validation]==11.12.0")


def official_tools(folder: Path) -> Path:
    """The folder of the programs, installed below `folder`; the test is skipped if no package index answers."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=120)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "15"]
    done = subprocess.run([*pip, *PACKAGES], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        pytest.skip(f"model_signing and cyclonedx need a package index to be installed: {reason[:200]}")
    return folder / "bin"
