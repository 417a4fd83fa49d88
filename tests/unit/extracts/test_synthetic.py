"""The generator: the same month for the same seed, the schema kept, churn that can be learned but not too well."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from project import ROOT
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from streamflow.core.arrow import arrow_schema, sorted_by_user
from streamflow.core.calendar import parse_date
from streamflow.core.digest import rows_sha256
from streamflow.core.schema import TABLES, Column, Table, service_features
from streamflow.extracts.synthetic import KNOWN_USER, generate_month, user_ids
from streamflow.extracts.validation import check_month
from streamflow.features.splits import user_fraction
from streamflow.model.sklearn_pipeline import pipeline_frame

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"
DAY = parse_date(JANUARY, "months")
PINNED = {
    "2024-01-31": {
        "users": "0a5e76199b3a8f6b",
        "subscriptions": "2f3ea43652fe7eb2",
        "usage_agg_30d": "cf328f876f7f5bbb",
        "payments_agg_90d": "94a47d6b8749212c",
        "support_agg_90d": "38b3d2a2824760a7",
        "labels": "f1dec491e8de4138",
    },
    "2024-04-30": {
        "users": "0a5e76199b3a8f6b",
        "subscriptions": "e53dd52b0fe79a1d",
        "usage_agg_30d": "46ec235e11c9b07d",
        "payments_agg_90d": "2316a563936acb5e",
        "support_agg_90d": "b41f8855dda28723",
        "labels": "da308a04c473e97c",
    },
}


@pytest.fixture(scope="module")
def january():
    return generate_month(7043, JANUARY, 42)


@pytest.fixture(scope="module")
def february():
    return generate_month(7043, FEBRUARY, 42)


def joined(month):
    rows = month["users"]
    for name in ("subscriptions", "usage_agg_30d", "payments_agg_90d", "support_agg_90d", "labels"):
        rows = rows.join(month[name], "user_id")
    return rows.sort_by("user_id")


def test_both_months_pass_validation_and_have_the_schema_of_the_extracts(january, february):
    for month, as_of in ((january, JANUARY), (february, FEBRUARY)):
        check_month(month, {table.name: table.name for table in TABLES}, parse_date(as_of, "as_of"))
        for table in TABLES:
            assert month[table.name].schema.names == arrow_schema(table).names
            assert month[table.name].schema.types == arrow_schema(table).types
            assert month[table.name].num_rows == 7043


def test_the_known_user_has_the_published_january(january):
    row = next(row for row in joined(january).to_pylist() if row["user_id"] == KNOWN_USER)
    expected = {
        "net_service": "DSL",
        "months_active": 1,
        "monthly_fee": 29.85,
        "paperless_billing": True,
        "plan_stream_tv": False,
        "plan_stream_movies": False,
        "skips_7d": 4,
        "watch_hours_30d": 24.483650766787413,
        "rebuffer_events_7d": 1,
        "unique_devices_30d": 3,
        "avg_session_mins_7d": 29.14104464084511,
        "failed_payments_90d": 1,
        "ticket_avg_resolution_hrs_90d": 16.0,
        "support_tickets_90d": 0,
    }
    assert {name: row[name] for name in expected} == expected


def test_plans_are_null_exactly_without_internet(january):
    rows = january["subscriptions"]
    offline = pc.equal(rows["net_service"], "No")
    assert pc.sum(offline).as_py() == 1480
    for plan in ("plan_stream_tv", "plan_stream_movies"):
        assert pc.is_null(rows[plan]).equals(offline)


def test_a_month_changes_what_changes_and_keeps_what_stays(january, february):
    assert january["users"].equals(february["users"])
    before, after = joined(january), joined(february)
    changed = {
        name: np.mean([a != b for a, b in zip(before[name].to_pylist(), after[name].to_pylist(), strict=True)])
        for name in before.column_names
    }
    assert changed["user_gender"] == 0
    assert changed["months_active"] == 1
    assert changed["watch_hours_30d"] > 0.99
    assert 0.01 < changed["contract_type"] < 0.03
    assert 0.02 < changed["monthly_fee"] < 0.08
    assert 0.1 < changed["churn_label"] < 0.5
    assert 0.25 < pc.mean(before["churn_label"].cast(pa.int8())).as_py() < 0.29


def test_a_good_model_is_good_and_not_perfect(january):
    rows = joined(january)
    for service, low, high in (("churn_v1", 0.80, 0.845), ("churn_v2", 0.82, 0.86)):
        frame = pipeline_frame(rows, service_features(service)).drop(columns=["net_service"]).fillna(-1)
        frame["fiber"] = [value == "Fiber optic" for value in rows["net_service"].to_pylist()]
        if "contract_type" in frame:
            frame["term"] = [len(value) for value in frame.pop("contract_type")]
            frame = frame.drop(columns=["user_gender"])
        churned = np.array(rows["churn_label"].to_pylist())
        test = np.array([user_fraction(user, "x") < 0.4 for user in rows["user_id"].to_pylist()])
        model = HistGradientBoostingClassifier(
            max_iter=120, learning_rate=0.05, max_leaf_nodes=8, early_stopping=False, random_state=0
        )
        model.fit(frame[~test].astype(float), churned[~test])
        assert low < roc_auc_score(churned[test], model.predict_proba(frame[test].astype(float))[:, 1]) < high


def test_ids_are_unique_and_of_one_form():
    ids = user_ids(200_000)
    assert ids[0] == KNOWN_USER
    assert len(set(ids)) == 200_000
    assert all(len(user) == 10 and user[4] == "-" and user[:4].isdigit() and user[5:].isupper() for user in ids[:1000])


def test_another_seed_gives_other_months_and_another_process_the_same(january):
    digest = rows_sha256(sorted_by_user(january["usage_agg_30d"]))
    assert rows_sha256(sorted_by_user(generate_month(7043, JANUARY, 43)["usage_agg_30d"])) != digest
    code = (
        "from streamflow.extracts.synthetic import generate_month; from streamflow.core.arrow import sorted_by_user;"
        "from streamflow.core.digest import rows_sha256;"
        "print(rows_sha256(sorted_by_user(generate_month(7043, '2024-01-31', 42)['usage_agg_30d'])))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest


def test_the_months_of_a_seed_are_pinned():
    """Every reader of the documentation has these users; a generator that draws otherwise is another source."""
    found = {
        month: {name: rows_sha256(sorted_by_user(rows))[:16] for name, rows in generate_month(300, month, 7).items()}
        for month in (JANUARY, "2024-04-30")
    }
    assert found == PINNED


def test_a_month_before_the_first_is_refused():
    with pytest.raises(ValueError, match="before the first synthetic month"):
        generate_month(100, "2023-12-31", 42)


ADDED = (
    Column("added_count", "integer", "a count", minimum=2, maximum=5),
    Column("added_amount", "real", "an amount", nullable=True, minimum=-1.5, maximum=1.5),
    Column("added_word", "text", "a word", allowed=("x", "y")),
    Column("added_flag", "boolean", "a flag", nullable=True),
    Column("added_day", "date", "a day"),
    Column("added_free", "real", "without bounds"),
    Column("added_debt", "integer", "at most", maximum=-3),
)


def with_added(monkeypatch):
    users = Table("users", (*TABLES[0].columns, *ADDED))
    tables = (users, *TABLES[1:], Table("ratings_agg_90d", (Column("titles", "integer", "titles", maximum=9),)))
    monkeypatch.setattr("streamflow.extracts.synthetic.TABLES", tables)
    monkeypatch.setattr("streamflow.extracts.validation.TABLES", tables)
    return tables


def test_a_column_and_a_table_of_the_schema_alone_are_made_up_within_its_bounds(monkeypatch, january):
    tables = with_added(monkeypatch)
    made = generate_month(7043, JANUARY, 42)
    assert list(made) == [table.name for table in tables]
    rows = made["users"]
    assert set(rows["added_count"].to_pylist()) == {2, 3, 4, 5}
    assert set(rows["added_word"].to_pylist()) == {"x", "y"}
    assert set(rows["added_flag"].to_pylist()) == {True, False, None}
    assert 0.08 < rows["added_amount"].null_count / 7043 < 0.12
    assert -1.5 <= pc.min(rows["added_amount"]).as_py() < -1.4
    assert 1.4 < pc.max(rows["added_amount"]).as_py() <= 1.5
    assert pc.max(rows["added_debt"]).as_py() == -3
    assert set(made["ratings_agg_90d"]["titles"].to_pylist()) == set(range(10))
    check_month({name: sorted_by_user(each) for name, each in made.items()}, {t.name: t.name for t in tables}, DAY)


def test_a_new_column_leaves_the_bytes_of_the_others(monkeypatch, january):
    with_added(monkeypatch)
    made = generate_month(7043, JANUARY, 42)
    for name, rows in january.items():
        assert made[name].select(rows.column_names).equals(rows)
    assert made["users"].equals(generate_month(7043, JANUARY, 42)["users"])
    assert not made["users"]["added_count"].equals(generate_month(7043, FEBRUARY, 42)["users"]["added_count"])
