"""The process environment that numeric results may depend on."""

import os
import time

PINNED = {
    # OpenBLAS picks a kernel for the CPU at import; kernels differ in the last bit. Haswell runs on any x86-64-v3.
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
}
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "FEAST_USAGE": "False",
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "GIT_PYTHON_REFRESH": "quiet",
}


def pin_kernels() -> None:
    """Fix threads, BLAS kernel, time zone and locale; call it before numpy is imported, which reads them once."""
    os.environ.update(PINNED)
    time.tzset()


def silence_telemetry() -> None:
    """Keep the libraries from calling home; values that the user set stay."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
