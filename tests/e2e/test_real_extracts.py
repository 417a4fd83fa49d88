"""The figures that must come out of the real extracts, where they are at hand (../shared/data/streamflow)."""

import hashlib
import json
import re
import sys
from pathlib import Path

import pytest
from plain_sql import differences
from project import ROOT, Project

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


def test_january_and_the_scores_of_churn_v1(project):
    assert dataset(project)["rows"] == 7043
    assert dataset(project)["churners"] == 1869
    assert metrics(project)["roc_auc"] >= 0.81
    assert metrics(project)["f1"] >= 0.57
    assert differences(project.path, JANUARY) == (7043, 0)


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
    project.streamflow(*csv("experiment=best"))
    assert metrics(project)["roc_auc"] >= 0.83
    assert metrics(project)["f1"] >= 0.60
    assert differences(project.path, JANUARY) == (7043, 0)


def test_repeated_cross_validation_reaches_the_figures_of_the_issue(project):
    found = json.loads(project.text("artifacts/cross_validation/metrics.json"))
    assert found["roc_auc"] >= 0.843
    assert found["f1"] >= 0.620
    # The training set of churn_v2 has the columns of churn_v1.
    table = project.run(project.python, "-m", "benchmarks.models", "--repeats", "2", "--model", "blend").stdout
    (narrow,) = [line for line in table.splitlines() if "churn_v1" in line]
    auc, _, _, _, _, f1, *_ = re.findall(r"\d\.\d{4}", narrow)
    assert float(auc) >= 0.828
    assert float(f1) >= 0.605


def test_the_next_month_is_hardly_to_be_told_from_this_one(project):
    project.streamflow(*csv("experiment=next_month", "cross_validation.repeats=1", "cross_validation.folds=2"))
    assert 0.60 <= metrics(project)["roc_auc"] <= 0.65
    assert "the model looks ahead" in project.text("artifacts/evaluation/report.html")


def test_february_has_its_own_churners(project):
    overrides = [f"source.dir={EXTRACTS}", "source=csv", f"as_of={FEBRUARY}"]
    options = [word for override in overrides for word in ("-S", override)]
    project.run("dvc", "exp", "run", *options, "dataset")
    assert dataset(project)["churners"] == 1701
    assert differences(project.path, FEBRUARY) == (7043, 0)
