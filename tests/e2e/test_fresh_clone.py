"""A fresh clone, `make repro`, and what must then hold: the same bytes, features, answers, and nothing left behind."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chromium import CHROMIUM
from http_server import gone, listening, serving
from plain_sql import differences
from project import ELSEWHERE, ROOT, Project

from streamflow.core.schema import FEATURE_SERVICES
from streamflow.snapshots.frozen import snapshot_rows

JANUARY = "2024-01-31"
ALWAYS_RUN = ["ingest", "register", "materialize"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which `make repro` has run once, elsewhere; its packages are those of the environment of the tests."""
    project = Project.copy(tmp_path_factory.mktemp("clone") / "another folder, näher")
    (project.path / ".venv").symlink_to(sys.prefix)
    project.first_run = project.run("make", "repro", **ELSEWHERE)
    return project


def test_another_path_hash_seed_time_zone_locale_and_thread_count_give_every_tracked_file_as_committed(clone):
    """What is committed came from a plain surrounding, so one clone elsewhere compares the two."""
    assert clone.status() == ""
    assert clone.text("dvc.lock") == (ROOT / "dvc.lock").read_text()


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
    for line in ("ingest: 2 of 2 months are as at the last look", "holds model", "are online already"):
        assert line in done.stdout
    assert clone.status() == ""


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


def test_the_rows_that_batch_streams_are_those_that_feast_joined(clone):
    rows = pa.Table.from_batches(snapshot_rows("churn_v1", clone.path / "data" / "snapshots" / JANUARY))
    dataset = pq.read_table(clone.path / "data" / "dataset" / "dataset.parquet")
    assert rows.num_rows == 7043
    assert rows.equals(dataset.select(rows.column_names).cast(rows.schema))


@pytest.mark.parametrize(
    ("month", "out", "said"),
    [
        ("2030-01-31", "scores.csv", "as of 2030-01-31: the months are 2024-01-31, 2024-02-29; `streamflow repro "),
        (JANUARY, "scores.xlsx", "the name must end in .parquet or .csv"),
    ],
)
def test_batch_refuses_in_one_line(clone, tmp_path, month, out, said):
    done = clone.streamflow("batch", "--as-of", month, "--out", str(tmp_path / out), check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("streamflow: ")
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def predict(client, user):
    return client.post("/predict", json={"user_id": user})


@pytest.fixture(scope="class")
def client(clone, tmp_path_factory):
    with serving(clone, tmp_path_factory.mktemp("serve") / "log") as client:
        yield client


@pytest.fixture(scope="class")
def scored(clone):
    """Sixteen users of the test part, four of them without internet, with the features and scores of the pipeline."""
    scores = pq.read_table(clone.path / "artifacts/evaluation/predictions.parquet").to_pylist()
    features = {row["user_id"]: row for row in pq.read_table(clone.path / "data/dataset/dataset.parquet").to_pylist()}
    found = [
        {
            "user_id": row["user_id"],
            "features": {name: features[row["user_id"]][name] for name in FEATURE_SERVICES["churn_v1"]},
            "churn_probability": row["churn_probability"],
        }
        for row in scores
    ]
    with_null = [row for row in found if row["features"]["plan_stream_tv"] is None]
    return [*found[:12], *with_null[-4:]]


class TestServing:
    """`streamflow serve` as it comes, graph `split`."""

    def test_a_prediction_says_what_it_came_from(self, clone, client):
        answer = predict(client, "7590-VHVEG")
        assert answer.status_code == 200
        body = answer.json()
        assert list(body["features_used"]) == list(FEATURE_SERVICES["churn_v1"])
        assert body["features_used"]["watch_hours_30d"] == 24.483650766787413
        assert body["features_used"]["plan_stream_tv"] is False
        assert body["feature_timestamp"] == "2024-01-31T00:00:00Z"
        model = client.get("/model").json()
        assert body["prediction"] == int(body["probability"] >= model["threshold"])
        assert body["model"] == {name: model[name] for name in body["model"]}
        assert model["model_sha256"] == clone.run("sha256sum", "artifacts/model/model.onnx").stdout.split()[0]
        assert model["git_commit"] == clone.run("git", "rev-parse", "HEAD").stdout.strip()
        assert (model["threshold"], model["not_served"], model["from_local_copy"]) == (0.265, None, False)
        assert model["provenance"]["streamflow.git_dirty"] == "false"

    def test_an_unknown_user_misses_all_features(self, client):
        unknown = predict(client, "nobody")
        assert unknown.status_code == 404
        assert unknown.json() == {
            "error": "Missing features for user_id=nobody",
            "missing_features": list(FEATURE_SERVICES["churn_v1"]),
        }

    def test_test_users_score_what_they_scored_in_the_evaluation(self, client, scored):
        for row in scored:
            served = predict(client, row["user_id"]).json()
            assert served["features_used"] == row["features"]
            assert served["probability"] == pytest.approx(row["churn_probability"], abs=1e-6)
            assert client.get(f"/features/{row['user_id']}").json()["features"] == row["features"]

    def test_a_batch_answers_as_single_requests_do(self, client, scored):
        users = [row["user_id"] for row in scored]
        batch = client.post("/predict/batch", json={"user_ids": [*users, "nobody"]}).json()["results"]
        assert batch[:-1] == [predict(client, user).json() for user in users]
        assert (batch[-1]["user_id"], batch[-1]["status"]) == ("nobody", 404)

    def test_a_thousand_users_score_over_http_to_the_last_bit_what_batch_writes(self, clone, client, tmp_path):
        command = ("batch", "--as-of", JANUARY, "--out")
        before = clone.status()
        clone.streamflow(*command, str(tmp_path / "scores.parquet"))
        clone.streamflow(*command, str(tmp_path / "again.parquet"), TZ="Asia/Tokyo", PYTHONHASHSEED="7")
        assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "scores.parquet").read_bytes()
        assert clone.status() == before
        rows = pq.read_table(tmp_path / "scores.parquet").to_pylist()
        assert len(rows) == 7043
        written = {row["user_id"]: row for row in random.Random(5).sample(rows, 1000)}
        together = client.post("/predict/batch", json={"user_ids": list(written)}).json()["results"]
        alone = [predict(client, user).json() for user in written]
        for user, row, *answers in zip(written, written.values(), together, alone, strict=True):
            for answer in answers:
                assert (answer["user_id"], answer["probability"]) == (user, row["churn_probability"])
                assert answer["prediction"] == row["prediction"]
                assert answer["model"]["model_sha256"] == row["model_sha256"]

    def test_a_request_keeps_its_id_and_is_counted(self, client):
        answer = client.get("/model", headers={"X-Request-ID": "asked-7"})
        assert answer.headers.get_list("X-Request-ID") == ["asked-7"]
        counters = client.get("/metrics").text.splitlines()
        digest = answer.json()["model_sha256"]
        assert f'streamflow_model_replicas{{model_sha256="{digest}",version="1"}} 1.0' in counters
        assert 'streamflow_requests_total{endpoint="/predict",status="404"} 1.0' in counters

    def test_everything_listens_on_loopback(self, clone):
        addresses = listening(clone)
        assert "haproxy" in addresses.values()
        assert any(name.startswith("ray::ServeRepl") for name in addresses.values())
        assert [each for each in addresses if "127.0.0.1:" not in each] == []

    def test_a_second_server_says_what_runs_already(self, clone, client):
        port = str(client.base_url.port)
        taken = clone.streamflow("serve", "--port", port, check=False)
        assert (taken.returncode, len(taken.stderr.splitlines())) == (2, 1)
        assert f"127.0.0.1:{port} is taken (streamflow_churn version 1 is served there since" in taken.stderr

    @pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
    def test_the_page_shows_a_user_and_the_model(self, client):
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom"]
        page = subprocess.run(
            [*command, f"{client.base_url}/?user=7590-VHVEG"], capture_output=True, text=True, timeout=60, check=True
        )
        for text in ("55.1%", "churns", "watch_hours_30d", "24.48", "streamflow_churn", "26.5%", "Stale"):
            assert text in page.stdout.replace("<wbr>", ""), text

    def test_a_move_by_the_ledger_is_followed_a_damaged_version_and_a_move_past_the_ledger_are_not(self, clone, client):
        def move(what):
            script = Path(__file__).parents[1] / "support" / "alias_moves.py"
            moved = clone.run(sys.executable, str(script), what, PYTHONPATH=str(clone.path)).stdout.split()[-1]
            return moved, time.monotonic() + 10

        def seen(what, by):
            while time.monotonic() < by:
                if what(client.get("/model").json()):
                    return True
                time.sleep(0.1)
            return False

        second, by = move("copy")
        assert seen(lambda model: model["version"] == second, by)
        assert predict(client, "7590-VHVEG").json()["model"]["version"] == second
        damaged, by = move("damaged")
        assert seen(lambda model: model["not_served"], by)
        model = client.get("/model").json()
        assert (model["version"], model["not_served"]["version"]) == (second, damaged)
        assert "registered was 000000000000" in model["not_served"]["reason"]
        assert "streamflow_model_not_served 1.0" in client.get("/metrics").text
        _, by = move("back")
        assert seen(lambda model: model["version"] == "1" and model["not_served"] is None, by)
        outside, by = move("outside")
        assert seen(lambda model: model["not_served"] and model["not_served"]["version"] == outside, by)
        model = client.get("/model").json()
        assert model["version"] == "1"
        assert f"version {outside} is Production by other means than streamflow" in model["not_served"]["reason"]
        _, by = move("back")
        assert seen(lambda model: model["version"] == "1" and model["not_served"] is None, by)


def test_serving_leaves_nothing_behind(clone):
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
