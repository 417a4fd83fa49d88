"""The environment of the process, on which numeric results may depend."""

import os
import platform
import re
import time
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import distributions
from pathlib import Path

OWN_DISTRIBUTION = "streamflow-churn"

PINNED = {
    # OpenBLAS picks a kernel for the CPU at import; kernels differ in the last bit. Haswell runs on any x86-64-v3.
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
}
# What would let Python load other code than that of the project and its environment.
STEERING = ("PYTHONPATH", "PYTHONSAFEPATH", "PYTHONSTARTUP", "PYTHONHOME", "PYTHONUSERBASE")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "DO_NOT_TRACK": "1",
    "FEAST_USAGE": "False",
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "GIT_PYTHON_REFRESH": "quiet",
}


def pin_kernels() -> None:
    """Set threads, BLAS kernel, time zone and locale; call it before numpy is imported, which reads them once."""
    os.environ.update(PINNED)
    time.tzset()


def silence_telemetry() -> None:
    """Switch off the telemetry of the libraries; values that the user set stay."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def locked_packages(lock: str) -> dict[str, str]:
    """Package to version, as requirements.lock pins them; names normalised."""
    pinned = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s\\;]+)", lock, re.MULTILINE)
    return {_normalised(name): version for name, version in pinned}


def installed_packages() -> dict[str, str]:
    """Package to version, as installed in this environment; names normalised, without this project.

    A package that is installed twice has both versions.
    """
    found: dict[str, str] = {}
    for each in distributions():
        name = _normalised(each.metadata["Name"] or "")
        if name and name != OWN_DISTRIBUTION and each.version not in found.get(name, "").split(" and "):
            found[name] = f"{found[name]} and {each.version}" if name in found else each.version
    return found


def environment_differences(lock: str) -> list[str]:
    """Packages that differ from requirements.lock, one phrase for each; empty if none differs."""
    return package_differences(locked_packages(lock), installed_packages())


def package_differences(locked: Mapping[str, str], installed: Mapping[str, str]) -> list[str]:
    """Packages that differ from the lock: another version, missing, or not in the lock; sorted by name."""
    return [
        f"{name} {installed.get(name, 'missing')} ({f'locked {locked[name]}' if name in locked else 'not locked'})"
        for name in sorted(locked.keys() | installed.keys())
        if locked.get(name) != installed.get(name)
    ]


def machine() -> dict[str, str]:
    """Python, platform, glibc, CPU, numpy's dispatched CPU features and BLAS kernel of this process."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "glibc": "-".join(platform.libc_ver()),
        "cpu": _cpu_model(),
        "cpu_features": _cpu_features(),
        "blas_kernel": _blas_kernel(),
    }


def _cpu_features() -> str:
    """The features that numpy chose its loops by: of those it has code for, the ones that this CPU has."""
    compiled = import_module("numpy._core._multiarray_umath")
    features = compiled.__cpu_features__
    return " ".join(name for name in compiled.__cpu_dispatch__ if features[name]) or "none"


def _blas_kernel() -> str:
    import numpy  # noqa: F401  # loads the library that is asked
    from threadpoolctl import threadpool_info

    kernels = sorted({each["architecture"] for each in threadpool_info() if "architecture" in each})
    return " ".join(kernels) or "unknown"


def _cpu_model() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
