"""The counters of a test."""

from pathlib import Path

from serve.metrics import Metrics

_KEPT: list[Metrics] = []


def counters(folder: Path) -> Metrics:
    """Counters in a folder of their own. prometheus_client never closes its files, so they stay until the session ends."""
    _KEPT.append(Metrics(folder))
    return _KEPT[-1]
