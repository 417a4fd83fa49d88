"""Load by wrk, a generator written in C that leaves the cores to the server."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from streamflow.core.errors import EnvironmentFault

SCRIPT = Path(__file__).with_name("predict.lua")
ERRORS = ("not_200", "connect", "read", "write", "timeout")
# wrk counts an answer that takes longer as an error; its own default of 2 s would also count a slow laboratory server.
TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Load:
    """What one run of wrk measured; latencies in milliseconds, `errors` counts answers other than 200 and socket errors."""

    connections: int
    requests: int
    requests_per_second: float
    p50: float
    p90: float
    p99: float
    longest: float
    errors: dict[str, int]


def require_wrk() -> str:
    """wrk's version. Raises EnvironmentFault if it is not installed."""
    if shutil.which("wrk") is None:
        raise EnvironmentFault("wrk is not installed; `apt-get install wrk` (or `brew install wrk`)")
    return subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split(" [")[0]


def loaded(url: str, users: Path, connections: int, seconds: int) -> Load:
    """Ask /predict over keep-alive connections, one user of the file after the other."""
    command = [
        "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT_SECONDS}s", "--latency",
        "-s", str(SCRIPT), f"{url}/predict", "--", str(users),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or not done.stdout.strip():
        raise EnvironmentFault(f"wrk ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return Load(
        connections=connections,
        requests=told["requests"],
        requests_per_second=told["requests"] / told["microseconds"] * 1e6,
        p50=told["p50"] / 1000,
        p90=told["p90"] / 1000,
        p99=told["p99"] / 1000,
        longest=told["max"] / 1000,
        errors={name: told[name] for name in ERRORS if told[name]},
    )
