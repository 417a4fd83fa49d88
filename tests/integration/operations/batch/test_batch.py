"""`streamflow batch` over a real registry and frozen files: whose scores, by which model, and what is refused."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from frozen_month import freeze, lock
from online_months import inside
from project import ROOT
from registered_models import model_folder, register
from small_month import joined_month

from streamflow.cli.batch import batch
from streamflow.core.errors import ConfigError, HistoryError, ModelError, RegistryError
from streamflow.core.schema import FEATURE_SERVICES
from streamflow.features.dataset import entity_rows
from streamflow.features.point_in_time import point_in_time_rows
from streamflow.pipeline.file_digest import file_sha256
from streamflow.snapshots.frozen import proven_snapshot, snapshot_rows

pytestmark = pytest.mark.filterwarnings("default")

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"
USERS = 400


@pytest.fixture(scope="module")
def project(state, registry, rows, module_database_url):
    """A project with January frozen, two registered versions, the first of them Production, and no row in its database."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, state)
    (state / "conf").mkdir()
    shutil.copytree(ROOT / "feature_repo", state / "feature_repo", ignore=shutil.ignore_patterns("__pycache__"))
    freeze(state / "data" / "snapshots" / JANUARY, USERS)
    lock(state)
    for strength in (1.0, 0.01):
        folder, digest = model_folder(state / f"model-{strength}", rows, strength)
        register(registry, folder, digest, f"f{strength}")
    registry.promote("1")
    patch = pytest.MonkeyPatch()
    patch.setenv("STREAMFLOW_DATABASE_URL", module_database_url)
    yield state
    patch.undo()


@pytest.fixture
def damaged(project, tmp_path):
    """A copy of the project's files."""
    shutil.copytree(project / "data", tmp_path / "data")
    for name in ("dvc.yaml", "params.yaml", "dvc.lock"):
        shutil.copy(project / name, tmp_path)
    shutil.copytree(project / "artifacts", tmp_path / "artifacts")
    with inside(tmp_path):
        yield tmp_path


def run(*arguments, started_in):
    """What the command says. Raises what it raises."""
    done = CliRunner().invoke(batch, arguments, obj=started_in, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def refused(error, *arguments, started_in):
    done = CliRunner().invoke(batch, arguments, obj=started_in)
    assert isinstance(done.exception, error), done.exception
    assert list(started_in.glob("*scores*")) == []
    return str(done.exception)


def test_production_scores_the_frozen_users_in_a_file_where_the_person_stands(project, registry, tmp_path):
    lines = run("--as-of", JANUARY, "--out", "scores.parquet", started_in=tmp_path)
    written = pq.read_table(tmp_path / "scores.parquet")
    loaded = registry.load(registry.version("Production"))
    rows = joined_month(USERS)
    probabilities, predictions = loaded.model.score({n: rows[n].to_pylist() for n in FEATURE_SERVICES["churn_v1"]})
    assert written["user_id"].to_pylist() == rows["user_id"].to_pylist()
    assert written["churn_probability"].to_pylist() == probabilities
    assert set(written["model_version"].to_pylist()) == {"1"}
    assert set(written["model_sha256"].to_pylist()) == {loaded.model_sha256}
    assert lines[0] == f"400 users as of 2024-01-31 scored, {sum(predictions)} of them predicted to churn"
    assert lines[1] == (
        f"  model       version 1, {loaded.model_sha256[:12]}: churn_v1 as of 2024-01-31, threshold 0.4"
    )
    assert lines[2] == "  users       of an unknown source, the model is of synthetic users=7043 seed=42"
    assert lines[3].startswith("  written     scores.parquet, SHA-256 ")


def test_json_tells_what_the_lines_tell(project, registry, tmp_path):
    told = json.loads("\n".join(run("--as-of", JANUARY, "--out", "scores.csv", "--json", started_in=tmp_path)))
    loaded = registry.load(registry.version("Production"))
    assert told["model"] == {
        "version": "1", "model_sha256": loaded.model_sha256, "feature_service": "churn_v1", "as_of": JANUARY,
        "source": loaded.source, "threshold": loaded.threshold,
    }  # fmt: skip
    assert (told["users"], told["out"], told["reasons"]) == (USERS, "scores.csv", 0)
    assert told["sha256"] == file_sha256(tmp_path / "scores.csv")


def test_a_version_is_named_as_everywhere_and_gives_its_own_scores(project, tmp_path):
    for name, version in (("v2", "2"), ("2", "2"), ("Production", "1")):
        out = f"{name}.parquet"
        run("--as-of", JANUARY, "--out", out, "--model", name, "--reasons", "2", started_in=tmp_path)
        assert set(pq.read_table(tmp_path / out)["model_version"].to_pylist()) == {version}
    assert (tmp_path / "2.parquet").read_bytes() == (tmp_path / "v2.parquet").read_bytes()
    one, two = (pq.read_table(tmp_path / f"{name}.parquet")["churn_probability"] for name in ("Production", "v2"))
    assert not one.equals(two)


def test_reasons_are_said_with_the_values_they_compare_with(project, tmp_path):
    lines = run("--as-of", JANUARY, "--out", "scores.csv", "--reasons", "1", started_in=tmp_path)
    assert lines[2].startswith("  reasons     1 of each, compared with months_active ")
    assert "paperless_billing true" in lines[2]


def test_a_version_or_alias_that_is_not_there_is_refused(project, tmp_path):
    for name in ("v9", "Nobody"):
        said = refused(RegistryError, "--as-of", JANUARY, "--out", "scores.csv", "--model", name, started_in=tmp_path)
        assert said == f"streamflow_churn has no version or alias {name}; `streamflow models` lists them"


def test_an_alias_that_is_mistyped_is_answered_with_what_was_meant(project, tmp_path):
    said = refused(
        RegistryError, "--as-of", JANUARY, "--out", "scores.parquet", "--model", "production", started_in=tmp_path
    )
    assert said == (
        "streamflow_churn has no version or alias production (did you mean Production?); `streamflow models` lists them"
    )


def test_a_version_whose_files_are_not_the_registered_ones_is_refused(project, registry, tmp_path):
    digest = registry.version("2").tags["streamflow.model_sha256"]
    registry.set_tags("2", {"model_sha256": "0" * 64})
    try:
        said = refused(ModelError, "--as-of", JANUARY, "--out", "scores.csv", "--model", "v2", started_in=tmp_path)
    finally:
        registry.set_tags("2", {"model_sha256": digest})
    assert said == f"streamflow_churn version 2: model.onnx has SHA-256 {digest[:12]}, registered was 000000000000"


@pytest.mark.parametrize("month", ["2030-01-31", "nonsense", "../../x"])
def test_a_month_that_is_none_is_refused(project, tmp_path, month):
    said = refused(ConfigError, "--as-of", month, "--out", "scores.csv", started_in=tmp_path)
    assert said == f"as of {month}: the months are 2024-01-31, 2024-02-29; `streamflow repro 'months=[…]'` adds one"


def test_a_month_that_is_not_frozen_is_refused(project, tmp_path):
    said = refused(HistoryError, "--as-of", FEBRUARY, "--out", "scores.csv", started_in=tmp_path)
    assert said == "2024-02-29 is not frozen: dvc.lock has no snapshot@2024-02-29; `dvc repro snapshot@2024-02-29`"


def test_a_flipped_bit_is_found_before_a_row_is_used_and_the_file_is_named(damaged):
    path = damaged / "data" / "snapshots" / JANUARY / "usage_agg_30d.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        HistoryError, match=r"SHA-256 of .*usage_agg_30d.parquet differs from the receipt of stage snapshot@2024-01-31"
    ):
        proven_snapshot(JANUARY)
    shutil.rmtree(damaged / "artifacts")  # no receipt: the lock alone
    with pytest.raises(HistoryError, match=r"MD5 of data/snapshots/2024-01-31 is \w+, stage snapshot@2024-01-31 wrote"):
        proven_snapshot(JANUARY)


def test_a_missing_table_and_a_missing_month_are_found(damaged):
    folder = damaged / "data" / "snapshots" / JANUARY
    (folder / "labels.parquet").unlink()
    with pytest.raises(
        HistoryError, match=r"SHA-256 of .*labels.parquet differs from the receipt of stage snapshot@2024-01-31"
    ):
        proven_snapshot(JANUARY)
    shutil.rmtree(folder)
    with pytest.raises(HistoryError, match=r"2024-01-31 is missing; `dvc checkout data/snapshots/2024-01-31`"):
        proven_snapshot(JANUARY)


@pytest.mark.parametrize("service", list(FEATURE_SERVICES))
def test_the_streamed_rows_are_feasts_point_in_time_rows(project, service):
    folder = proven_snapshot(JANUARY)
    with inside(project):
        feast = point_in_time_rows(service, entity_rows(pq.read_table(folder / "users.parquet")), JANUARY)
    streamed = pa.Table.from_batches(snapshot_rows(service, folder, 150))
    assert streamed.num_rows == USERS
    feast = feast.select(streamed.schema.names).cast(streamed.schema).sort_by("user_id")
    assert feast.to_pylist() == streamed.to_pylist()
