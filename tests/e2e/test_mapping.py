"""A telephone company's wide CSVs, loaded by one mapping file: from the files to predictions over HTTP, without Python."""

import json

import pyarrow.parquet as pq
import pytest
from http_server import serving
from project import ROOT, Project
from telephone import NO_INTERNET, customers, write_telephone

MODEL = ["model=logistic_regression", "cross_validation.repeats=1", "cross_validation.folds=2"]
SERVICE = "churn_v1 without usage_agg_30d, payments_agg_90d, support_agg_90d"
FEATURES = [
    "months_active", "monthly_fee", "paperless_billing", "plan_stream_tv", "plan_stream_movies", "net_service",
]  # fmt: skip
ROWS = 7000


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("telephone")
    write_telephone(folder / "delivered", ROWS)
    return Project.copy(folder / "main", "source=telephone", f"source.dir={folder / 'delivered'}", *MODEL)


@pytest.fixture(scope="module")
def said(project):
    return project.streamflow("repro").stdout


def test_the_mapping_is_one_short_file():
    lines = (ROOT / "conf/source/telephone.yaml").read_text().splitlines()
    said = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    print(f"{len(said)} lines")
    assert len(said) <= 40


def test_a_check_shows_what_would_be_loaded_and_writes_nothing(project):
    before = {path: path.stat().st_mtime_ns for path in project.path.rglob("*") if "__pycache__" not in path.parts}
    checked = project.streamflow("source", "check", "source=telephone", *sources(project))
    assert f"users                 {ROWS:,} rows from " in checked.stdout
    assert "usage_agg_30d        absent" in checked.stdout
    assert f"of {SERVICE}\n" in checked.stdout
    assert "00000-TEL" in checked.stdout
    assert checked.stdout.endswith("the month would be loaded; nothing was written\n")
    after = {path: path.stat().st_mtime_ns for path in project.path.rglob("*") if "__pycache__" not in path.parts}
    assert after == before


def sources(project):
    return [f"source.dir={project.path.parent / 'delivered'}"]


def test_a_check_refuses_with_the_reason(project, tmp_path):
    write_telephone(tmp_path, 50)
    path = tmp_path / "2024-01-31.csv"
    path.write_text(path.read_text().replace(",Churn\n", ",Gone\n", 1))
    done = project.streamflow(
        "source", "check", "source=telephone", f"source.dir={tmp_path}", "--rows", "0", check=False
    )
    assert done.returncode == 1
    assert "labels              refused" in done.stdout
    assert "REFUSED: " in done.stdout
    assert "column Churn, row 1: is missing, and labels.churn_label is read from it" in done.stdout
    as_json = project.streamflow("source", "check", "source=telephone", f"source.dir={tmp_path}", "--json", check=False)
    assert (as_json.returncode, len(json.loads(as_json.stdout)["refused"])) == (1, 1)


def test_a_proposal_is_written_once_and_can_be_checked(project):
    file = str(project.path.parent / "delivered" / "2024-01-31.csv")
    project.streamflow("source", "init", file, "--name", "phone", "--write")
    written = project.path / "conf/source/phone.yaml"
    try:
        again = project.streamflow("source", "init", file, "--name", "phone", "--write", check=False)
        assert (again.returncode, again.stderr.count("\n")) == (2, 1)
        assert "conf/source/phone.yaml exists already" in again.stderr
        checked = project.streamflow("source", "check", "source=phone", *sources(project), "--json")
        assert json.loads(checked.stdout)["feature_service"] == SERVICE
    finally:
        written.unlink()


def test_the_pipeline_says_what_is_left_out_and_makes_production(project, said):
    assert (
        "config: telephone has no usage_agg_30d, payments_agg_90d, support_agg_90d; churn_v1 is without watch_hours"
        in said
    )
    assert "production  version 1" in said, said
    dataset = pq.read_table(project.path / "data/dataset/dataset.parquet")
    assert dataset.column_names == ["user_id", "as_of", *FEATURES, "churn_label", "split"]
    assert dataset.num_rows == ROWS
    (version,) = json.loads(project.streamflow("models", "--json").stdout)
    assert version["tags"]["streamflow.source"] == "mapped telephone"
    assert version["tags"]["streamflow.feature_service"] == SERVICE
    report = (project.path / "artifacts/evaluation/report.html").read_text()
    assert SERVICE in report


def test_the_rows_of_the_training_set_are_those_of_the_file(project, said):
    rows = {row["user_id"]: row for row in pq.read_table(project.path / "data/dataset/dataset.parquet").to_pylist()}
    for known in customers(ROWS, 0):
        row = rows[known["customerID"]]
        assert row["months_active"] == int(known["tenure"])
        assert row["monthly_fee"] == float(known["MonthlyCharges"])
        assert row["net_service"] == known["InternetService"]
        assert row["plan_stream_tv"] == {"Yes": True, "No": False, NO_INTERNET: None}[known["StreamingTV"]]
        assert row["churn_label"] == (known["Churn"] == "Yes")


def test_predictions_over_http_batch_and_skew_agree(project, said, tmp_path):
    project.streamflow("batch", "--as-of", "2024-01-31", "--out", str(tmp_path / "scores.parquet"))
    scores = {row["user_id"]: row for row in pq.read_table(tmp_path / "scores.parquet").to_pylist()}
    assert len(scores) == ROWS
    with serving(project, tmp_path / "log") as client:
        model = client.get("/model").json()
        assert model["features"] == FEATURES
        assert model["provenance"]["streamflow.source"] == "mapped telephone"
        for user in ("00000-TEL", "00001-TEL", "06999-TEL"):
            answer = client.post("/predict", json={"user_id": user})
            assert answer.status_code == 200, answer.text
            assert list(answer.json()["features_used"]) == FEATURES
            assert answer.json()["probability"] == pytest.approx(scores[user]["churn_probability"], abs=1e-6)
        assert client.post("/predict", json={"user_id": "nobody"}).json()["missing_features"] == FEATURES
    skew = project.streamflow("check-skew").stdout
    assert "no skew" in skew
    assert f"{ROWS:,} compared" in skew


def test_the_version_is_derived_again_and_drift_looks_at_what_is_there(project, said):
    project.run("git", "add", "--all")
    project.run("git", "commit", "-q", "-m", "results")
    project.streamflow("tag", "telephone")
    assert "IDENTICAL" in project.streamflow("rerun", "v1").stdout
    drift = project.streamflow("drift", "2024-01-31", "2024-02-29", "--json", check=False)
    names = {each["name"] for each in json.loads(drift.stdout)["columns"]}
    assert "months_active" in names
    assert "watch_hours_30d" not in names
    assert project.streamflow("doctor", check=False).stdout.count("not ok") == 0
