"""The figures that must come out of the real extracts, where they are at hand (../shared/data/streamflow)."""

import hashlib
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain_sql import differences
from project import ROOT, Project

from streamflow.adapters.snapshots import snapshot_rows

EXTRACTS = ROOT.parent / "shared" / "data" / "streamflow"
JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"

pytestmark = pytest.mark.skipif(not EXTRACTS.is_dir(), reason="needs the real extracts in ../shared/data/streamflow")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project.copy(tmp_path_factory.mktemp("real") / "streamflow")
    project.streamflow(*csv(f"months=[{JANUARY}]"))
    return project


def csv(*overrides):
    return ["repro", "source=csv", f"source.dir={EXTRACTS}", *overrides]


def dataset(project):
    return json.loads(project.text("data/dataset/dataset.json"))


def metrics(project):
    return json.loads(project.text("artifacts/evaluation/metrics.json"))


def streamed_rows_are_feasts(project, service):
    """Whether the rows that batch scores are those of the training set, which Feast joined, value for value."""
    streamed = pa.Table.from_batches(snapshot_rows(service, project.path / "data" / "snapshots" / JANUARY, 1000))
    joined = pq.read_table(project.path / "data" / "dataset" / "dataset.parquet")
    return streamed.equals(joined.select(streamed.column_names).cast(streamed.schema))


def test_january_and_the_scores_of_churn_v1(project):
    assert dataset(project)["rows"] == 7043
    assert dataset(project)["churners"] == 1869
    assert metrics(project)["roc_auc"] >= 0.81
    assert metrics(project)["f1"] >= 0.57
    assert differences(project.path, JANUARY) == (7043, 0)
    assert streamed_rows_are_feasts(project, "churn_v1")


def test_users_without_internet_keep_null_plans_to_the_online_store(project):
    script = Path(__file__).parents[1] / "support" / "online_offline.py"
    done = project.run(sys.executable, str(script), JANUARY, "churn_v2", PYTHONPATH=str(project.path))
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer == {
        "users": 7043,
        "different": [],
        "null_plans": 1526,
        "moments": ["2024-01-31T00:00:00+00:00"],
    }


def test_january_is_the_same_after_february_and_churn_v2_scores(project):
    def digest():
        return hashlib.sha256((project.path / "data/dataset/dataset.parquet").read_bytes()).hexdigest()

    before = digest()
    project.streamflow(*csv())
    assert digest() == before
    for month in (JANUARY, FEBRUARY):
        receipt = json.loads(project.text(f"artifacts/ingest/{month}.json"))["tables"]
        assert {table["rows"] for table in receipt.values()} == {7043}
    project.streamflow(*csv("features=churn_v2", "model=hist_gradient_boosting"))
    assert metrics(project)["roc_auc"] >= 0.83
    assert metrics(project)["f1"] >= 0.60
    assert differences(project.path, JANUARY) == (7043, 0)
    assert streamed_rows_are_feasts(project, "churn_v2")


def test_february_has_its_own_churners(project):
    overrides = [f"source.dir={EXTRACTS}", "source=csv", f"as_of={FEBRUARY}"]
    options = [word for override in overrides for word in ("-S", override)]
    project.run("dvc", "exp", "run", *options, "dataset")
    assert dataset(project)["churners"] == 1701
    assert differences(project.path, FEBRUARY) == (7043, 0)
