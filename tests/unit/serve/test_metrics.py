"""What /metrics shows: the documented series, of all processes that share a folder."""

import asyncio
import os
import re
import subprocess
import sys

import pytest
from counters import counters
from project import ROOT

from serve.metrics import CONTENT_TYPE


@pytest.fixture
def metrics(tmp_path):
    return counters(tmp_path / "a" / "b")


def scraped(metrics):
    return metrics.scrape().decode().splitlines()


DOCUMENTED = {
    "streamflow_requests": "counter",
    "streamflow_request_seconds": "histogram",
    "streamflow_part_seconds": "histogram",
    "streamflow_batch_size": "histogram",
    "streamflow_predictions": "counter",
    "streamflow_model_reloads": "counter",
    "streamflow_model_replicas": "gauge",
    "streamflow_model_not_served": "gauge",
    "streamflow_model_unsigned": "gauge",
    "streamflow_missing_features": "counter",
    "streamflow_stale_features": "counter",
}


def fill(metrics):
    """One of each."""

    async def count():
        metrics.requests.labels("/predict", 200).inc()
        metrics.request_seconds.labels("/predict").observe(0.003)
        with metrics.part("graph"):
            pass
        metrics.batch_size.observe(3)
        metrics.count_prediction("7")
        metrics.count_prediction("7")
        metrics.reloads.labels("loaded").inc()
        metrics.replicas.labels("7", "ab").set(1)
        metrics.behind.set(1)
        metrics.unsigned.set(1)
        metrics.count_missing(["skips_7d"], ["monthly_fee", "skips_7d"])
        metrics.count_stale(["skips_7d"])

    asyncio.run(count())


def test_every_documented_series_is_there_with_its_labels(metrics):
    fill(metrics)
    lines = scraped(metrics)
    kinds = dict(re.fullmatch(r"# TYPE (\w+) (\w+)", line).groups() for line in lines if line.startswith("# TYPE"))
    assert {name.removesuffix("_total"): kind for name, kind in kinds.items()} == DOCUMENTED
    assert all(len(line.split(" ", 3)[3]) > 10 for line in lines if line.startswith("# HELP"))
    for line in (
        'streamflow_requests_total{endpoint="/predict",status="200"} 1.0',
        'streamflow_request_seconds_count{endpoint="/predict"} 1.0',
        'streamflow_part_seconds_count{part="graph"} 1.0',
        'streamflow_predictions_total{version="7"} 2.0',
        'streamflow_model_reloads_total{outcome="loaded"} 1.0',
        'streamflow_model_replicas{model_sha256="ab",version="7"} 1.0',
        "streamflow_model_not_served 1.0",
        "streamflow_model_unsigned 1.0",
        'streamflow_missing_features_total{feature="skips_7d",kind="absent"} 1.0',
        'streamflow_missing_features_total{feature="skips_7d",kind="null"} 1.0',
        'streamflow_missing_features_total{feature="monthly_fee",kind="null"} 1.0',
        'streamflow_stale_features_total{feature="skips_7d"} 1.0',
    ):
        assert line in lines, line
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def buckets(lines, name, label=""):
    return re.findall(rf'{name}_bucket\{{(?:{label},)?le="([^"]+)"', "\n".join(lines))


def test_the_buckets_are_those_that_dashboards_were_made_for(metrics):
    fill(metrics)
    lines = scraped(metrics)
    seconds = [
        "0.0005",
        "0.001",
        "0.002",
        "0.005",
        "0.01",
        "0.025",
        "0.05",
        "0.1",
        "0.25",
        "0.5",
        "1.0",
        "2.5",
        "5.0",
        "10.0",
        "+Inf",
    ]
    assert buckets(lines, "streamflow_request_seconds", 'endpoint="/predict"') == seconds
    parts = re.findall(r'part_seconds_bucket\{le="([^"]+)",part="graph"', "\n".join(lines))
    assert parts == seconds
    sizes = ["1.0", "2.0", "4.0", "8.0", "16.0", "32.0", "64.0", "128.0", "256.0", "512.0", "1000.0", "+Inf"]
    assert buckets(lines, "streamflow_batch_size") == sizes


@pytest.mark.parametrize("name", ["graph", "lookup", "score"])
def test_a_failed_call_of_a_part_is_timed_as_well(metrics, name):
    with pytest.raises(KeyError), metrics.part(name):
        raise KeyError
    lines = scraped(metrics)
    assert f'streamflow_part_seconds_count{{part="{name}"}} 1.0' in lines
    (total,) = (line for line in lines if line.startswith(f'streamflow_part_seconds_sum{{part="{name}"}}'))
    assert 0 < float(total.split()[-1]) < 1


def test_what_is_counted_reaches_the_files_after_half_a_second_without_a_scrape(metrics, monkeypatch):
    flushed = []
    monkeypatch.setattr(metrics, "_flush", lambda: flushed.append(asyncio.get_running_loop().time()))

    async def count():
        started = asyncio.get_running_loop().time()
        metrics.count_prediction("7")
        metrics.count_prediction("8")
        planned = metrics._flushing.when() - started
        while not flushed:
            await asyncio.sleep(0.05)
        return planned

    assert asyncio.run(count()) == pytest.approx(0.5, abs=0.1)
    assert len(flushed) == 1


def test_a_count_after_a_scrape_is_a_new_one(metrics):
    async def count():
        metrics.count_prediction("7")
        assert metrics._flushing is not None
        first = scraped(metrics)
        assert metrics._flushing is None
        metrics.count_prediction("7")
        return first, scraped(metrics)

    first, second = asyncio.run(count())
    assert 'streamflow_predictions_total{version="7"} 1.0' in first
    assert 'streamflow_predictions_total{version="7"} 2.0' in second


OTHER = """
import sys
from pathlib import Path
from serve.metrics import Metrics
metrics = Metrics(Path(sys.argv[1]))
metrics.replicas.labels("7", "ab").set(1)
metrics.requests.labels("/predict", 200).inc(5)
"""


def test_a_scrape_tells_of_all_processes_and_a_gauge_of_those_that_live(metrics, tmp_path):
    metrics.replicas.labels("7", "ab").set(1)
    metrics.requests.labels("/predict", 200).inc()
    folder = tmp_path / "a" / "b"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", OTHER, str(folder)], cwd=ROOT, env=environment, check=True)
    assert len(list(folder.glob("gauge_livesum_*.db"))) == 2
    lines = scraped(metrics)
    assert 'streamflow_requests_total{endpoint="/predict",status="200"} 6.0' in lines
    assert 'streamflow_model_replicas{model_sha256="ab",version="7"} 1.0' in lines
    assert [path.name for path in folder.glob("gauge_live*.db")] == [f"gauge_livesum_{os.getpid()}.db"]
