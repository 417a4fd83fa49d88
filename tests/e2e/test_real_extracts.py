"""The figures that must come out of the real extracts, where they are at hand (../shared/data/streamflow)."""

import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from plain_sql import differences
from project import ROOT, Project

from streamflow.core.schema import LABEL, SUBSCRIPTIONS, USERS
from streamflow.model.card import schema_features
from streamflow.model.scoring import ChurnModel
from streamflow.operations.drift.months import frozen_month
from streamflow.operations.drift.shifts import churn_rate, churn_scores, compare
from streamflow.operations.drift.verdict import SCORE, DataDrift, Month, Policy
from streamflow.snapshots.frozen import snapshot_rows

EXTRACTS = ROOT.parent / "shared" / "data" / "streamflow"
JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"

pytestmark = pytest.mark.skipif(not EXTRACTS.is_dir(), reason="needs the real extracts in ../shared/data/streamflow")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    # The choices are committed: the first version is signed, so `drift` can score with it.
    _, *choices = csv(f"months=[{JANUARY}]", "promotion=never")
    project = Project.copy(tmp_path_factory.mktemp("real") / "streamflow", *choices)
    project.streamflow("repro")
    return project


@pytest.fixture(scope="module")
def january(project):
    """January's users with the score of the model that was trained last, and the policy of conf/drift."""
    patch = pytest.MonkeyPatch()
    patch.chdir(project.path)
    _, rows = frozen_month(JANUARY, "REFERENCE")
    patch.undo()
    folder = project.path / "artifacts/model"
    features = schema_features(json.loads((folder / "feature_schema.json").read_text()))
    model = ChurnModel((folder / "model.onnx").read_bytes(), features)
    policy = Policy(**yaml.safe_load(project.text("params.yaml"))["drift"])
    return rows.append_column(SCORE, churn_scores(model, rows)).combine_chunks(), policy


def csv(*overrides):
    # The spread is the business of one test alone.
    folds = ["cross_validation.repeats=1", "cross_validation.folds=2"]
    return ["repro", "source=csv", f"source.dir={EXTRACTS}", *folds, *overrides]


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
    project.streamflow(*csv("experiment=best"))
    assert metrics(project)["roc_auc"] >= 0.83
    assert metrics(project)["f1"] >= 0.60
    assert differences(project.path, JANUARY) == (7043, 0)
    assert streamed_rows_are_feasts(project, "churn_v2")


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


def test_february_drifted_from_january_in_what_users_did_not_in_who_they_are(project):
    done = project.streamflow("drift", JANUARY, FEBRUARY, "--model", "v1", "--json", check=False)
    told = json.loads(done.stdout)
    assert {"rebuffer_events_7d", "watch_hours_30d"} <= set(told["features"]["drifted"])
    assert not set(told["features"]["drifted"]) & {*USERS.header, *SUBSCRIPTIONS.header}
    assert (told["label"]["reference_rate"], told["label"]["current_rate"]) == (0.26537, 0.241516)
    assert told["score"]["version"] == "1"
    assert [told["verdict"], done.returncode] == ["RETRAIN", 1]  # by the label alone
    assert told["reasons"] == ["churn rate 26.54 % to 24.15 %, -2.39 points, at least 2 points"]
    psi = {each["name"]: each["psi"] for each in told["columns"]}
    assert (psi["rebuffer_events_7d"], psi["watch_hours_30d"]) == pytest.approx((0.0363, 0.0091), abs=1e-4)
    assert psi["avg_session_mins_7d"] == 0  # one constant


def test_january_did_not_drift_from_itself(project):
    done = project.streamflow("drift", JANUARY, JANUARY, "--model", "v1")
    assert "features  0 of 20 drifted" in done.stdout
    assert "NO_ACTION" in done.stdout


@pytest.mark.parametrize(("kind", "at_most"), [("bootstrap", 0), ("halves", 5)])
def test_a_hundred_resamples_of_january_raise_few_alarms(january, kind, at_most):
    rows, policy = january
    alarms = sum(is_flagged(*resampled(rows, kind, seed), policy) for seed in range(100))
    assert alarms <= at_most


def resampled(rows, kind, seed):
    """January against a bootstrap of its users, or two random halves of it."""
    random = np.random.default_rng(seed)
    if kind == "bootstrap":
        return rows, rows.take(random.integers(0, rows.num_rows, rows.num_rows))
    order = random.permutation(rows.num_rows)
    return rows.take(order[: rows.num_rows // 2]), rows.take(order[rows.num_rows // 2 :])


def is_flagged(reference, current, policy):
    rates = (churn_rate(reference[LABEL]), churn_rate(current[LABEL]))
    months = [Month(JANUARY, each.num_rows, "") for each in (reference, current)]
    found = DataDrift(*months, compare(reference, current), rates, "", policy)
    return any(found.level(each) for each in found.shifts)
