"""Batch scores: what ONNX gave, for every user of the files, the same bytes however the work is cut; or nothing."""

import csv
import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from frozen_month import freeze, write_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registered_models import model_folder
from small_month import joined_month

from streamflow.core.arrow import arrow_schema
from streamflow.core.errors import ConfigError, EnvironmentFault, HistoryError
from streamflow.core.schema import FEATURE_SERVICES, SUBSCRIPTIONS, service_features
from streamflow.model.scoring import ChurnModel
from streamflow.operations.batch.scores import check_output, score_snapshot
from streamflow.pipeline.file_digest import file_sha256
from streamflow.registry.loading import LoadedModel
from streamflow.snapshots.frozen import snapshot_rows

USERS = 500


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return freeze(tmp_path_factory.mktemp("snapshot") / "2024-01-31", USERS)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    files, digest = model_folder(tmp_path_factory.mktemp("model"), joined_month(300), 1.0)
    model = ChurnModel((files / "model.onnx").read_bytes(), service_features("churn_v1"))
    tags = {"streamflow.model_sha256": digest, "streamflow.feature_service": "churn_v1"}
    return LoadedModel("7", "run", model, tags, 0.4, digest, "churn_v1")


@pytest.fixture(scope="module")
def expected(loaded):
    rows = joined_month(USERS)
    probabilities, predictions = loaded.model.score(
        {name: rows[name].to_pylist() for name in FEATURE_SERVICES["churn_v1"]}
    )
    return rows["user_id"].to_pylist(), probabilities, predictions


def test_every_user_has_the_probability_that_the_model_gives(folder, loaded, expected, tmp_path):
    scores = score_snapshot(folder, loaded, tmp_path / "scores.parquet")
    written = pq.read_table(tmp_path / "scores.parquet")
    users, probabilities, predictions = expected
    assert written.column_names == [
        "user_id",
        "as_of",
        "churn_probability",
        "prediction",
        "model_version",
        "model_sha256",
    ]
    assert written["user_id"].to_pylist() == users == sorted(users)
    assert written["churn_probability"].to_pylist() == probabilities
    assert [str(kind) for kind in written.schema.types] == [
        "string",
        "date32[day]",
        "float",
        "int8",
        "string",
        "string",
    ]
    assert not any(field.nullable for field in written.schema)
    assert written["prediction"].to_pylist() == predictions
    assert {str(day) for day in written["as_of"].to_pylist()} == {"2024-01-31"}
    assert set(written["model_version"].to_pylist()) == {"7"}
    assert set(written["model_sha256"].to_pylist()) == {loaded.model_sha256}
    assert (scores.users, scores.churners) == (USERS, sum(predictions))
    assert scores.sha256 == file_sha256(tmp_path / "scores.parquet")


def test_csv_numbers_read_back_as_the_same_float32(folder, loaded, expected, tmp_path):
    score_snapshot(folder, loaded, tmp_path / "scores.csv", reasons=2)
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["user_id"] for row in rows] == expected[0]
    read = np.array([row["churn_probability"] for row in rows]).astype(np.float32)
    assert read.tobytes() == np.array(expected[1], np.float32).tobytes()
    assert rows[0]["as_of"] == "2024-01-31"
    assert list(rows[0])[-4:] == ["reason_1", "contribution_1", "reason_2", "contribution_2"]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@given(threads=st.integers(1, 4), slice_rows=st.integers(1, USERS + 1), reasons=st.sampled_from([0, 2]))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_bytes_depend_neither_on_threads_nor_on_slices(
    folder, loaded, tmp_path, suffix, threads, slice_rows, reasons
):
    cut, whole = tmp_path / f"cut.{suffix}", tmp_path / f"whole.{suffix}"
    score_snapshot(folder, loaded, cut, reasons, threads=threads, slice_rows=slice_rows)
    score_snapshot(folder, loaded, whole, reasons, threads=1)
    assert cut.read_bytes() == whole.read_bytes()


def test_reasons_are_features_of_the_model_and_the_file_says_what_they_compare_with(folder, loaded, tmp_path):
    scores = score_snapshot(folder, loaded, tmp_path / "scores.parquet", reasons=14)
    written = pq.read_table(tmp_path / "scores.parquet")
    assert json.loads(written.schema.metadata[b"streamflow.reference"]) == scores.reference
    assert list(scores.reference) == list(FEATURE_SERVICES["churn_v1"])
    assert scores.reference["paperless_billing"] is True
    first = written.slice(0, 1).to_pylist()[0]
    told = [first[f"reason_{rank}"] for rank in range(1, 15)]
    named = [name for name in told if name is not None]
    assert len(named) == len(set(named)) >= 5
    assert told == named + [None] * (14 - len(named))
    sizes = [abs(first[f"contribution_{rank}"]) for rank in range(1, len(named) + 1)]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) > 0


@pytest.mark.parametrize("service", list(FEATURE_SERVICES))
@pytest.mark.parametrize("rows", [1, 7, 499, 500, 8192])
def test_slices_of_all_tables_in_step_are_the_joined_rows(folder, service, rows):
    slices = list(snapshot_rows(service, folder, rows))
    assert [each.num_rows for each in slices[:-1]] == [rows] * (len(slices) - 1)
    read = pa.Table.from_batches(slices)
    names = ["user_id", *FEATURE_SERVICES[service]]
    assert read.column_names == ["user_id", "as_of", *FEATURE_SERVICES[service]]
    assert read.select(names).to_pylist() == joined_month(USERS).select(names).to_pylist()


def without(rows, at):
    return pa.concat_tables([rows.slice(0, at), rows.slice(at + 1)])


@pytest.mark.parametrize("at", [0, 250, USERS - 1])
def test_a_table_without_a_user_is_named_with_the_user_and_nothing_is_written(folder, loaded, expected, tmp_path, at):
    damaged = freeze(tmp_path / "2024-01-31", USERS)
    rows = pq.read_table(folder / "subscriptions.parquet").select(arrow_schema(SUBSCRIPTIONS).names)
    write_table(damaged / "subscriptions.parquet", without(rows, at))
    out = tmp_path / "scores.parquet"
    out.write_bytes(b"of before")
    with pytest.raises(
        HistoryError, match=f"subscriptions.parquet does not hold the users .* {expected[0][at]} must be"
    ):
        score_snapshot(damaged, loaded, out, slice_rows=100)
    assert out.read_bytes() == b"of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2024-01-31", "scores.parquet"]


def test_a_table_with_one_user_more_is_named(folder, loaded, expected, tmp_path):
    damaged = freeze(tmp_path / "2024-01-31", USERS)
    rows = pq.read_table(folder / "users.parquet")
    write_table(damaged / "users.parquet", rows.select([name for name in rows.column_names if name != "as_of"])[:-1])
    with pytest.raises(HistoryError, match=rf"subscriptions.parquet .* it has {expected[0][-1]} where user none"):
        list(snapshot_rows("churn_v1", damaged, 100))


@pytest.mark.parametrize("reasons", [-1, 15])
def test_more_reasons_than_features_are_refused(folder, loaded, tmp_path, reasons):
    with pytest.raises(ConfigError, match=f"--reasons {reasons}: the model takes 14 features"):
        score_snapshot(folder, loaded, tmp_path / "scores.csv", reasons)
    assert not (tmp_path / "scores.csv").exists()


def test_a_full_disk_is_one_line_and_the_file_of_before_stays(folder, loaded, tmp_path):
    def fails(slices, total):
        yield next(iter(slices))
        raise OSError(28, os.strerror(28))

    out = tmp_path / "scores.csv"
    out.write_bytes(b"of before")
    with pytest.raises(EnvironmentFault, match=r"--out .*scores.csv: No space left on device; nothing was written"):
        score_snapshot(folder, loaded, out, watch=fails)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("scores.csv", b"of before")]


def test_a_place_that_can_not_take_scores_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match=r"must end in .parquet or .csv"):
        check_output(tmp_path / "scores.json")
    with pytest.raises(EnvironmentFault, match=r"there is no folder .*missing; `mkdir -p"):
        check_output(tmp_path / "missing" / "scores.csv")
    with pytest.raises(EnvironmentFault, match="the file can't be written"):
        check_output(tmp_path / "folder.csv")
    (tmp_path / "data" / "snapshots").mkdir(parents=True)
    with pytest.raises(ConfigError, match="are for outputs of the pipeline"):
        check_output(tmp_path / "data" / "snapshots" / "users.parquet")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(EnvironmentFault, match="the file can't be written"):
        check_output(tmp_path / "scores.csv")
