"""What issue 4 asks of the project's serving, as relations between servers that were measured in the same run."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.serving.wrk import Load

Loads = dict[tuple[str, int], list[Load]]
"""Server name and connections to one Load for each round."""


@dataclass(frozen=True)
class Typical:
    """Medians over the rounds; errors are summed. Latencies in milliseconds."""

    p50: float
    p99: float
    requests_per_second: float
    errors: int


@dataclass(frozen=True)
class Target:
    """A relation of measured figures, its limit and what is aimed at; `at_least` says on which side of them it must lie."""

    name: str
    value: Callable[[dict[tuple[str, int], Typical]], float]
    limit: float
    aim: float | None = None
    at_least: bool = False

    def verdict(self, value: float) -> str:
        """`aim met`, `held` or `MISSED`."""
        if self.aim is not None and self._within(value, self.aim):
            return "aim met"
        return "held" if self._within(value, self.limit) else "MISSED"

    def _within(self, value: float, bound: float) -> bool:
        return value >= bound if self.at_least else value <= bound


def p50_ratio(server: str, other: str) -> Callable[[dict[tuple[str, int], Typical]], float]:
    """p50 of a server in p50s of another, one connection."""
    return lambda t: t[server, 1].p50 / t[other, 1].p50


def rate_ratio(server: str, other: str) -> Callable[[dict[tuple[str, int], Typical]], float]:
    """Requests per second of a server in those of another, 32 connections."""
    return lambda t: t[server, 32].requests_per_second / t[other, 32].requests_per_second


def tail(server: str) -> Callable[[dict[tuple[str, int], Typical]], float]:
    """p99 at 128 connections in p50s at 8."""
    return lambda t: t[server, 128].p99 / t[server, 8].p50


def errors(server: str) -> Callable[[dict[tuple[str, int], Typical]], float]:
    """Errors at 128 connections."""
    return lambda t: t[server, 128].errors


TARGETS = (
    Target("D p50 / B p50, 1 connection", p50_ratio("D", "B"), 1.7, 1.3),
    Target("D req/s / B req/s, 32 connections", rate_ratio("D", "B"), 0.5, 0.8, at_least=True),
    Target("C p50 - B p50, 1 connection, ms", lambda t: t["C", 1].p50 - t["B", 1].p50, 4.0),
    Target("C req/s / B req/s, 32 connections", rate_ratio("C", "B"), 0.3, 0.5, at_least=True),
    Target("D req/s / A req/s, 32 connections", rate_ratio("D", "A"), 15, at_least=True),
    Target("C req/s / A req/s, 32 connections", rate_ratio("C", "A"), 8, at_least=True),
    Target("C errors, 128 connections", errors("C"), 0),
    Target("D errors, 128 connections", errors("D"), 0),
    Target("E errors, 128 connections", errors("E"), 0),
    Target("C p99 at 128 / p50 at 8 connections", tail("C"), 20),
    Target("D p99 at 128 / p50 at 8 connections", tail("D"), 20),
)


def typical(loads: Loads) -> dict[tuple[str, int], Typical]:
    """Medians over the rounds of each server and connection count."""
    return {
        key: Typical(
            p50=median(load.p50 for load in rounds),
            p99=median(load.p99 for load in rounds),
            requests_per_second=median(load.requests_per_second for load in rounds),
            errors=sum(sum(load.errors.values()) for load in rounds),
        )
        for key, rounds in loads.items()
    }


def judged(medians: dict[tuple[str, int], Typical]) -> list[tuple[Target, float | None]]:
    """Each target with its value; None if a server or connection count that it needs was not measured."""

    def value(target: Target) -> float | None:
        try:
            return target.value(medians)
        except KeyError:
            return None

    return [(target, value(target)) for target in TARGETS]
