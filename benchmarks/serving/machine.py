"""The machine and the versions that figures belong to."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from streamflow.postgres.connection import transaction

PACKAGES = (
    "fastapi",
    "uvicorn",
    "uvloop",
    "asyncpg",
    "orjson",
    "onnxruntime",
    "scikit-learn",
    "feast",
    "mlflow",
    "ray",
)


def about(url: str) -> dict[str, str]:
    """The machine and the versions that the figures belong to."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    with transaction(url) as cursor:
        cursor.execute("SHOW server_version")
        postgres = cursor.fetchone()[0]
    return {
        "cpu": f"{len(os.sched_getaffinity(0))} cores, {cpu}",
        "load": f"{os.getloadavg()[0]:.2f} before the first server",
        "python": f"{platform.python_version()}, PostgreSQL {postgres}",
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }
