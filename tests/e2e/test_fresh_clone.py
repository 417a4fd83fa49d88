"""A fresh clone, `make repro`, and what must then hold: the same bytes, features, answers, and nothing left behind."""

import json
import sys
from pathlib import Path

import pytest
from http_server import gone, serving
from plain_sql import differences
from project import Project

from streamflow.schema import FEATURE_SERVICES

JANUARY = "2024-01-31"
ALWAYS_RUN = ["ingest@2024-01-31", "ingest@2024-02-29", "register", "materialize"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which `make repro` has run once; its environment is the one that runs the tests."""
    project = Project.copy(tmp_path_factory.mktemp("clone") / "streamflow")
    (project.path / ".venv").symlink_to(sys.prefix)
    project.first_run = project.run("make", "repro")
    return project


def test_make_repro_leaves_every_tracked_file_as_committed(clone):
    assert clone.status() == ""


def test_the_summary_says_rows_metrics_version_report_and_the_next_command(clone):
    lines = clone.first_run.stdout.splitlines()
    lines = lines[lines.index("StreamFlow churn as of 2024-01-31: random_forest on churn_v1") :]
    for start in ("  rows        7,043 users, 1,885 churners", "  metrics     ROC AUC 0.8", "  report      artifacts/"):
        assert any(line.startswith(start) for line in lines), start
    assert "  production  version 1" in lines
    assert any("make serve" in line for line in lines)


def test_nothing_is_left_running(clone):
    assert not clone.postgres_is_up()
    assert gone(clone, 5) == []


def test_a_second_dvc_repro_runs_no_work(clone):
    done = clone.run("dvc", "repro")
    ran = [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")]
    assert ran == ALWAYS_RUN
    for line in ("nothing new", "holds model", "are online already"):
        assert line in done.stdout
    assert clone.status() == ""


def test_another_path_hash_seed_time_zone_locale_and_thread_count_give_the_same_bytes(clone, tmp_path):
    elsewhere = Project.copy(
        tmp_path / "another folder, näher",
        PYTHONHASHSEED="7",
        TZ="Asia/Kathmandu",
        LC_ALL="POSIX",
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="2",
    )
    elsewhere.streamflow("repro")
    assert elsewhere.status() == ""
    assert elsewhere.text("dvc.lock") == clone.text("dvc.lock")
    assert gone(elsewhere, 5) == []


def test_every_row_of_the_training_set_is_the_answer_of_plain_sql(clone):
    assert differences(clone.path, JANUARY) == (7043, 0)


def test_online_equals_offline_for_every_user(clone):
    done = clone.streamflow("check-skew", TZ="Asia/Tokyo")
    assert done.stdout.splitlines() == [
        "Production is version 1: churn_v1 as of 2024-01-31",
        "  users          7,043 compared",
        "  features       14 of each: 98,602 values by serving, 98,602 values by feast",
        done.stdout.splitlines()[3],
        "no skew",
    ]
    assert done.stdout.splitlines()[3].startswith("  probabilities  7,043 compared by serving, largest difference ")


def test_online_features_equal_the_frozen_files_read_without_feast(clone):
    script = Path(__file__).parents[1] / "support" / "online_offline.py"
    done = clone.run(sys.executable, str(script), JANUARY, "churn_v2", PYTHONPATH=str(clone.path), TZ="Asia/Tokyo")
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "users": 7043,
        "different": [],
        "null_plans": 1480,
        "moments": ["2024-01-31T00:00:00+00:00"],
    }


def test_serving_answers_over_http_and_leaves_nothing_behind(clone, tmp_path):
    with serving(clone, tmp_path / "serve.log") as client:
        answer = client.post("/predict", json={"user_id": "7590-VHVEG"})
        assert answer.status_code == 200
        body = answer.json()
        assert list(body["features_used"]) == list(FEATURE_SERVICES["churn_v1"])
        assert body["features_used"]["watch_hours_30d"] == 24.483650766787413
        assert body["features_used"]["plan_stream_tv"] is False
        assert body["feature_timestamp"] == "2024-01-31T00:00:00Z"
        assert body["prediction"] == int(body["probability"] >= 0.455)

        model = client.get("/model").json()
        assert body["model"] == {name: model[name] for name in body["model"]}
        assert model["model_sha256"] == clone.run("sha256sum", "artifacts/model/model.onnx").stdout.split()[0]
        assert model["git_commit"] == clone.run("git", "rev-parse", "HEAD").stdout.strip()
        assert model["provenance"]["streamflow.git_dirty"] == "false"

        unknown = client.post("/predict", json={"user_id": "nobody"})
        assert unknown.status_code == 404
        assert unknown.json() == {
            "error": "Missing features for user_id=nobody",
            "missing_features": list(FEATURE_SERVICES["churn_v1"]),
        }
        assert client.get("/health").json() == {"status": "ok"}

        for row in json.loads(clone.text("artifacts/model/golden.json"))["rows"]:
            served = client.post("/predict", json={"user_id": row["user_id"]}).json()
            assert served["features_used"] == row["features"]
            assert served["probability"] == pytest.approx(row["churn_probability"], abs=1e-6)
            assert client.get(f"/features/{row['user_id']}").json()["features"] == row["features"]

        taken = clone.streamflow("serve", "--port", str(client.base_url.port), check=False)
        assert taken.returncode == 2
        assert len(taken.stderr.splitlines()) == 1
        assert f"127.0.0.1:{client.base_url.port} is taken" in taken.stderr
    assert gone(clone) == []
    assert not clone.postgres_is_up()


def test_feasts_own_command_line_reads_the_repository(clone):
    clone.streamflow("db", "start")
    try:
        done = clone.run(
            "bash", "-c", 'eval "$(python -m streamflow.cli.main db env)"; feast -c feature_repo feature-services list'
        )
        assert "churn_v1" in done.stdout
        assert "churn_v2" in done.stdout
    finally:
        clone.streamflow("db", "stop")


def test_a_dvc_experiment_composes_natively_and_the_commit_comes_back_without_work(clone):
    clone.run("dvc", "exp", "run", "-S", "model=hist_gradient_boosting", "-S", "as_of=2024-02-29", "dataset")
    assert "model_name: hist_gradient_boosting" in clone.text("params.yaml")
    assert json.loads(clone.text("data/dataset/dataset.json"))["as_of"] == "2024-02-29"
    assert differences(clone.path, "2024-02-29") == (7043, 0)
    clone.run("git", "checkout", "--", ".")
    done = clone.run("dvc", "repro")
    assert "Running stage 'train'" not in done.stdout
    assert clone.status() == ""


def test_a_wiped_database_is_put_right_with_the_same_bytes(clone):
    for name in ("postgres", "mlartifacts"):
        clone.run("rm", "-rf", f"var/{name}")
    done = clone.streamflow("repro")
    assert "version 1 becomes Production" in done.stdout
    assert "7043 users as of 2024-01-31 are online in 5 feature views" in done.stdout
    assert "train:" not in done.stdout
    assert clone.status() == ""
