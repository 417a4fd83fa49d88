"""Memory after 10,000 requests and after 100,000: the same within 5 %. Counts all processes that `streamflow serve` started.

    python -m drills.serving_memory [KEY=VALUE of serve]...      needs wrk (apt-get install wrk); graph=fused if not told

Proportional set size (PSS): a page that several processes share is counted once.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
from project import Project, small

from drills.served import Server, load_average, offline_scores, registry_of, report

FEW, MANY = 10_000, 100_000
LIMIT = 0.05
CONNECTIONS = 8
# What answers a request, and Ray's own processes around it.
PARTS = ("ServeReplica", "ProxyActor", "ServeController", "HAProxyManager", "haproxy -db")


def memory(server: Server) -> dict[str, int]:
    """Bytes by part; `others` is what Ray runs besides."""
    found = dict.fromkeys((*PARTS, "others"), 0)
    for process in server.processes():
        try:
            line, size = " ".join(process.cmdline()), process.memory_full_info().pss
        except psutil.Error:
            continue
        found[next((part for part in PARTS if part in line), "others")] += size
    return found


def script(folder: Path, users: list[str]) -> Path:
    """What wrk sends: the users in turn; and how it tells what went wrong."""
    path = folder / "predict.lua"
    names = ", ".join(f"'{user}'" for user in users)
    path.write_text(
        f"local users = {{{names}}}\nlocal next_user = 0\n"
        "wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\n"
        "request = function()\n  next_user = next_user % #users + 1\n"
        "  return wrk.format(nil, nil, nil, '{\"user_id\": \"' .. users[next_user] .. '\"}')\nend\n"
        "done = function(summary)\n  local e = summary.errors\n"
        "  print('FAILED ' .. e.connect + e.read + e.write + e.status + e.timeout)\nend\n"
    )
    return path


def requests(server: Server) -> int:
    """Requests to /predict that were answered with 200, as /metrics counts them."""
    return int(server.metric('streamflow_requests_total{endpoint="/predict",status="200"}') or 0)


def ask(server: Server, lua: Path, total: int) -> int:
    """Ask until `total` requests were answered; returns how many failed."""
    failed = 0
    seconds = 3
    while (done := requests(server)) < total:
        command = [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{seconds}s",
            "-s",
            str(lua),
            f"http://127.0.0.1:{server.port}/predict",
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        failed += int(re.search(r"FAILED (\d+)", said)[1])
        rate = max((requests(server) - done) / seconds, 100)
        seconds = min(max(int((total - requests(server)) / rate), 1), 60)
    return failed


def drill(project: Project, scratch: Path, *arguments: str) -> bool:
    """Ask, weigh, ask more, weigh again."""
    with registry_of(project) as registry:
        users = sorted(offline_scores(registry, "1")["1"])
    with Server(project, *arguments) as server:
        lua = script(scratch, users)
        figures = []
        failed = 0
        for total in (FEW, MANY):
            failed += ask(server, lua, total)
            figures.append((requests(server), memory(server)))
    (few, before), (many, after) = figures
    for part, size in after.items():
        print(f"  {part:<16} {before[part] / 2**20:8.1f} MB {size / 2**20:8.1f} MB {change(before[part], size):+.1%}")
    serving = [sum(sizes[part] for part in PARTS) for _, sizes in figures]
    grown = change(*serving)
    return report(
        grown <= LIMIT and not failed,
        f"memory, {' '.join(arguments)}",
        f"{serving[0] / 2**20:.0f} MB after {few} requests, {serving[1] / 2**20:.0f} MB after {many} ({grown:+.1%});"
        f" {failed} requests failed ({load_average()})",
    )


def change(before: int, after: int) -> float:
    """By how much of `before` it grew."""
    return after / before - 1 if before else 0.0


def main() -> None:
    """One server, many requests."""
    if shutil.which("wrk") is None:
        print("not run  memory: needs wrk; apt-get install wrk")
        return
    with tempfile.TemporaryDirectory(prefix="streamflow-drill-") as scratch:
        project = Project.copy(Path(scratch) / "streamflow", *small())
        project.streamflow("repro")
        held = drill(project, Path(scratch), *(sys.argv[1:] or ["graph=fused"]))
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
