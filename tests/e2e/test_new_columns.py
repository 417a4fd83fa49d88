"""A column and a table are added as CONTRIBUTING says, in one file each, to a clone whose database has recorded months."""

import pyarrow.parquet as pq
import pytest
from project import Project

CHOICES = ["source.users=300", "model=logistic_regression", "features=churn_v2"]
COLUMN = 'Column("late_payments_90d", "integer", "late payments", nullable=True, minimum=0, maximum=1000)'
TABLE = """RATINGS = Table(
    "ratings_agg_90d",
    (Column("titles_rated_90d", "integer", "titles rated, last 90 days", nullable=True, minimum=0, maximum=10_000),),
)
LABELS = Table("""
CHANGES = {
    '"payments, last 90 days", minimum=0, maximum=1000),)': f'"payments, last 90 days", minimum=0, maximum=1000), {COLUMN})',
    "LABELS = Table(": TABLE,
    "PAYMENTS, SUPPORT, LABELS)": "PAYMENTS, SUPPORT, RATINGS, LABELS)",
    '    "user_profile_fv": USERS,\n': '    "ratings_agg_90d_fv": RATINGS,\n    "user_profile_fv": USERS,\n',
    '"has_dependents",\n)\nFEATURE': '"has_dependents",\n    "late_payments_90d",\n    "titles_rated_90d",\n)\nFEATURE',
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.copy(tmp_path_factory.mktemp("columns") / "main", *CHOICES)


def dataset(project, *overrides):
    compose = "import sys; from streamflow.operations.repro.compose import compose; compose(sys.argv[1:])"
    project.run(project.python, "-c", compose, *CHOICES, *overrides)
    done = project.run(project.python, "-m", "dvc", "repro", "dataset")
    return done, pq.read_table(project.path / "data/dataset/dataset.parquet")


def query(project, text):
    return project.streamflow("db", "psql", "--", "-At", "-c", text).stdout.split()


def test_recorded_months_stay_what_they_were_and_the_training_set_gets_both(project):
    _, before = dataset(project)
    versions = "SELECT table_name || ' ' || content_sha256 FROM history.extracts ORDER BY recorded_at, 1"
    recorded = query(project, versions)
    moment = query(project, "SELECT replace(max(recorded_at)::text, ' ', 'T') FROM history.extracts")[0]
    frozen = (project.path / "data/snapshots/2024-01-31/payments_agg_90d.parquet").read_bytes()

    schema = project.path / "streamflow/core/schema.py"
    text = schema.read_text()
    for old, new in CHANGES.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    schema.write_text(text)
    done, after = dataset(project)
    said = done.stdout + done.stderr
    assert "database: history.payments_agg_90d.late_payments_90d added" in said
    assert "payments_agg_90d +300, ratings_agg_90d +300" in said
    added = {"late_payments_90d", "titles_rated_90d"}
    assert set(after.column_names) - set(before.column_names) == added
    assert all(after[name].null_count < 300 for name in added)
    assert after.drop_columns(sorted(added)).to_pydict() == before.to_pydict()
    assert query(project, versions)[: len(recorded)] == recorded

    _, then = dataset(project, f"known_at='{moment}'")
    assert (project.path / "data/snapshots/2024-01-31/payments_agg_90d.parquet").read_bytes() == frozen
    assert not (project.path / "data/snapshots/2024-01-31/ratings_agg_90d.parquet").exists()
    assert [then[name].null_count for name in sorted(added)] == [300, 300]
    assert then.drop_columns(sorted(added)).to_pydict() == before.to_pydict()
    assert "ok      history" in project.streamflow("fsck", check=False).stdout
