"""How measurements are shown and kept."""

from dataclasses import asdict
from typing import Any

from benchmarks.serving.servers import Server
from benchmarks.serving.targets import Loads, judged, typical
from benchmarks.serving.wrk import Load


def line(load: Load) -> str:
    """One measurement as one line."""
    failed = ", ".join(f"{count} {name}" for name, count in load.errors.items()) or "no errors"
    return (
        f"{load.connections:>4} connections  p50 {load.p50:9.2f} ms  p99 {load.p99:9.2f} ms"
        f"  {load.requests_per_second:8.0f} req/s  {failed}"
    )


def report(loads: Loads) -> None:
    """Print the medians and the relations."""
    medians = typical(loads)
    print("\nserver  connections    p50 ms    p99 ms     req/s  errors")
    for (name, connections), each in sorted(medians.items()):
        figures = f"{each.p50:>10.2f}{each.p99:>10.2f}{each.requests_per_second:>10.0f}{each.errors:>8}"
        print(f"{name:<6}{connections:>13}{figures}")
    print(f"\n{'relation':<40}{'value':>8}{'limit':>8}{'aim':>7}")
    for target, value in judged(medians):
        verdict = "not measured" if value is None else target.verdict(value)
        shown = "-" if value is None else f"{value:.2f}"
        print(f"{target.name:<40}{shown:>8}{target.limit:>8g}{target.aim or '':>7}  {verdict}")


def record(machine: dict[str, str], servers: list[Server], loads: Loads, seconds: int) -> dict[str, Any]:
    """Everything that was measured, for a file."""
    medians = typical(loads)
    return {
        "machine": machine,
        "seconds": seconds,
        "servers": {server.name: {"what": server.what, "command": server.command} for server in servers},
        "rounds": [{"server": name, **asdict(load)} for (name, _), rounds in loads.items() for load in rounds],
        "medians": [{"server": name, "connections": count, **asdict(each)} for (name, count), each in medians.items()],
        "relations": [
            {
                "name": target.name,
                "value": value,
                "limit": target.limit,
                "aim": target.aim,
                "verdict": None if value is None else target.verdict(value),
            }
            for target, value in judged(medians)
        ],
    }
