"""History in Postgres: append-only, bitemporal, one for each source; what comes out is what went in."""

import time
from contextlib import closing

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from streamflow.core.arrow import sorted_by_user
from streamflow.core.digest import rows_sha256
from streamflow.core.errors import EnvironmentFault, HistoryError
from streamflow.core.schema import LABELS, SUBSCRIPTIONS, TABLES, USAGE, Column, Table
from streamflow.extracts.synthetic import generate_month
from streamflow.postgres.connection import connect, transaction
from streamflow.warehouse.definitions import HISTORY_TABLES
from streamflow.warehouse.history import warehouse
from streamflow.warehouse.versions import ledger_versions, row_versions

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"


def month(users=60, name=JANUARY):
    return {table: sorted_by_user(rows) for table, rows in generate_month(users, name, 5).items()}


def with_fee(rows, position, fee):
    values = rows["monthly_fee"].to_pylist()
    values[position] = fee
    return rows.set_column(
        rows.schema.get_field_index("monthly_fee"), rows.schema.field("monthly_fee"), pa.array(values)
    )


@pytest.fixture
def store(database_url):
    with warehouse(database_url, "test") as opened:
        yield opened


def now(database_url):
    with closing(connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()::text")
        return cursor.fetchone()[0]


def test_what_is_recorded_comes_out_bit_for_bit(store):
    extracts = month(300)
    recorded = store.record(JANUARY, extracts)
    assert [each.added for each in recorded] == [300] * 6
    for table in TABLES:
        assert rows_sha256(store.history_rows(table, JANUARY)) == rows_sha256(extracts[table.name])
        assert rows_sha256(store.live_month(JANUARY)[table.name]) == rows_sha256(extracts[table.name])


def test_recording_the_same_again_appends_nothing(store):
    store.record(JANUARY, month())
    assert sum(each.total for each in store.record(JANUARY, month())) == 0
    assert len(ledger_versions(store, SUBSCRIPTIONS, JANUARY)) == 1


def test_a_corrected_extract_is_a_new_version_and_the_old_one_stays_known(store, database_url):
    first = month()
    store.record(JANUARY, first)
    known_at = now(database_url)
    time.sleep(0.01)
    second = {**first, "subscriptions": with_fee(first["subscriptions"], 3, 99.95)}
    recorded = {each.table: each for each in store.record(JANUARY, second)}
    assert (recorded["subscriptions"].changed, recorded["subscriptions"].total) == (1, 1)
    assert recorded["users"].total == 0
    versions = [rows_sha256(each["subscriptions"]) for each in (first, second)]
    assert [each.content_sha256 for each in ledger_versions(store, SUBSCRIPTIONS, JANUARY)] == versions
    assert row_versions(store, SUBSCRIPTIONS, JANUARY) == ledger_versions(store, SUBSCRIPTIONS, JANUARY)
    assert store.history_rows(SUBSCRIPTIONS, JANUARY)["monthly_fee"][3].as_py() == 99.95
    assert rows_sha256(store.history_rows(SUBSCRIPTIONS, JANUARY, known_at)) == rows_sha256(first["subscriptions"])


def test_users_that_a_correction_drops_or_adds_are_retracted_or_added(store, database_url):
    first = month()
    fewer = {name: rows.slice(1) for name, rows in first.items()}
    store.record(JANUARY, first)
    before = now(database_url)
    time.sleep(0.01)
    assert [each.retracted for each in store.record(JANUARY, fewer)] == [1] * 6
    assert store.history_rows(LABELS, JANUARY).num_rows == 59
    assert store.history_rows(LABELS, JANUARY, before).num_rows == 60
    assert [each.total for each in store.record(JANUARY, first)] == [1] * 6
    assert rows_sha256(store.history_rows(LABELS, JANUARY)) == rows_sha256(first["labels"])


def test_months_and_sources_do_not_touch_each_other(store, database_url):
    store.record(JANUARY, month())
    before = rows_sha256(store.history_rows(USAGE, JANUARY))
    store.record(FEBRUARY, month(name=FEBRUARY))
    with warehouse(database_url, "another") as other:
        assert other.recorded_digest(USAGE, JANUARY) is None
        other.record(JANUARY, month(30))
        assert other.history_rows(USAGE, JANUARY).num_rows == 30
    assert rows_sha256(store.history_rows(USAGE, JANUARY)) == before
    assert store.rows_before(USAGE, FEBRUARY) == (FEBRUARY, 60)
    assert store.rows_before(USAGE, "2024-02-01") == (JANUARY, 60)
    assert store.rows_before(USAGE, "2023-12-31") is None


@pytest.mark.parametrize("table", [*(table.name for table in TABLES), "extracts"])
@pytest.mark.parametrize(
    "change", ["UPDATE history.{} SET as_of = as_of", "DELETE FROM history.{}", "TRUNCATE history.{}"]
)
def test_history_refuses_to_be_changed(module_database_url, table, change):
    with warehouse(module_database_url, "test") as store:
        store.record(JANUARY, month())
    refused = pytest.raises(psycopg2.errors.RaiseException, match=rf"history.{table} is append-only")
    with closing(connect(module_database_url)) as connection, connection.cursor() as cursor, refused:
        cursor.execute(change.format(table))


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (
            "CREATE OR REPLACE FUNCTION history.refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN NULL; END $$",
            "function history.refuse_change",
        ),
        ("ALTER TABLE history.labels DISABLE TRIGGER append_only", "table history.labels"),
        ("ALTER TABLE history.labels ENABLE REPLICA TRIGGER append_only", "table history.labels"),
        ("DROP TRIGGER append_only ON history.extracts", "table history.extracts"),
        (
            "CREATE OR REPLACE TRIGGER append_only BEFORE DELETE ON history.users"
            " FOR EACH STATEMENT EXECUTE FUNCTION history.refuse_change()",
            "table history.users",
        ),
        (
            "CREATE FUNCTION public.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
            " CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON history.users"
            " FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change()",
            "table history.users",
        ),
    ],
)
def test_a_history_whose_protection_was_taken_away_is_named_and_protected_again(store, database_url, attack, named):
    store.record(JANUARY, month())
    assert store.unprotected() == []
    with transaction(database_url) as cursor:
        cursor.execute(attack)
    assert store.unprotected() == [named]
    assert store.protect() == [named]
    assert store.unprotected() == store.protect() == []
    refused = pytest.raises(psycopg2.errors.RaiseException, match=r"history.labels is append-only")
    with closing(connect(database_url)) as connection, connection.cursor() as cursor, refused:
        cursor.execute("DELETE FROM history.labels")


def test_a_failed_recording_changes_nothing(store):
    broken = {**month(), "labels": month()["labels"].set_column(0, "user_id", pa.array(["same"] * 60))}
    with pytest.raises(HistoryError, match="nothing was written"):
        store.record(JANUARY, broken)
    assert store.recorded_digest(LABELS, JANUARY) is None
    assert store.live_month(JANUARY)[USAGE.name].num_rows == 0


def test_freezing_streams_every_table_sorted(store):
    extracts = month(200)
    store.record(JANUARY, extracts)
    frozen = {table.name: pa.Table.from_batches(list(batches)) for table, batches in store.freeze(JANUARY, None)}
    assert {name: rows_sha256(rows) for name, rows in frozen.items()} == {
        name: rows_sha256(rows) for name, rows in extracts.items()
    }


def test_freezing_what_was_not_known_is_refused(store):
    with pytest.raises(HistoryError, match="has no rows of 2024-01-31"):
        next(store.freeze(JANUARY, None))
    store.record(JANUARY, month())
    with pytest.raises(HistoryError, match="was first recorded at"):
        next(store.freeze(JANUARY, "2020-01-01T00:00:00+00:00"))


def test_a_freeze_does_not_see_what_is_recorded_meanwhile(store, database_url):
    first = month()
    store.record(JANUARY, first)
    frozen = store.freeze(JANUARY, None)
    _, batches = next(frozen)
    list(batches)
    with warehouse(database_url, "test") as other:
        other.record(JANUARY, {**first, "subscriptions": with_fee(first["subscriptions"], 0, 1.0)})
    rest = {table.name: pa.Table.from_batches(list(batches)) for table, batches in frozen}
    assert rows_sha256(rest["subscriptions"]) == rows_sha256(first["subscriptions"])


def test_nulls_survive(store):
    extracts = month(300)
    store.record(JANUARY, extracts)
    rows = store.history_rows(SUBSCRIPTIONS, JANUARY)
    assert rows["plan_stream_tv"].null_count == pc.sum(pc.equal(rows["net_service"], "No")).as_py() > 30


def test_a_clock_that_was_set_back_does_not_hide_a_correction(store, database_url):
    first = month()
    store.record(JANUARY, first)
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO history.extracts SELECT source, '2020-01-31', table_name, now() + interval '1 year', rows,"
            " content_sha256, added, changed, retracted, columns FROM history.extracts"
        )
    corrected = {**first, "subscriptions": with_fee(first["subscriptions"], 0, 1.0)}
    store.record(JANUARY, corrected)
    assert store.history_rows(SUBSCRIPTIONS, JANUARY)["monthly_fee"][0].as_py() == 1.0


def test_the_moment_is_found_at_which_all_tables_had_some_content(store):
    first = month()
    fee = {**first, "subscriptions": with_fee(first["subscriptions"], 3, 99.95)}
    fewer = {**first, "usage_agg_30d": first["usage_agg_30d"].slice(1)}
    moments = []
    for extracts in (first, fee, fewer, first):  # a correction taken back, with another in between
        store.record(JANUARY, extracts)
        digests = {name: rows_sha256(rows) for name, rows in extracts.items()}
        moments.append(store.known_when(JANUARY, digests))
        assert {table.name: rows_sha256(store.history_rows(table, JANUARY, moments[-1])) for table in TABLES} == digests
    assert moments == sorted(set(moments))
    assert store.known_when(JANUARY, {table.name: "another" for table in TABLES}) is None
    assert store.known_when(FEBRUARY, {}) is None


def test_tables_of_others_in_its_schemas_are_not_taken_for_its_own(database_url):
    with transaction(database_url) as cursor:
        cursor.execute("CREATE SCHEMA live")
        for number in range(2 * len(TABLES) + 1):
            cursor.execute(f"CREATE TABLE live.of_others_{number} ()")
    with warehouse(database_url, "test") as store:
        assert sum(each.added for each in store.record(JANUARY, month())) == 60 * len(TABLES)


def test_a_new_table_of_the_schema_is_made_beside_recorded_months(store, database_url, monkeypatch):
    rows = month()
    store.record(JANUARY, rows)
    before = {table.name: store.recorded_digest(table, JANUARY) for table in TABLES}
    ratings = Table("ratings_agg_90d", (Column("titles", "integer", "titles", minimum=0, maximum=9),))
    for module in ("warehouse.definitions", "warehouse.history", "warehouse.upgrade", "extracts.synthetic"):
        monkeypatch.setattr(f"streamflow.{module}.TABLES", (*TABLES, ratings))
    for module in ("definitions", "history", "upgrade"):
        monkeypatch.setattr(f"streamflow.warehouse.{module}.HISTORY_TABLES", (*HISTORY_TABLES, ratings.name))
    with warehouse(database_url, "test") as opened:
        assert opened.unprotected() == []
        recorded = opened.record(JANUARY, month(), (*TABLES, ratings))
        assert [(each.table, each.added) for each in recorded if each.total] == [("ratings_agg_90d", 60)]
        assert {table.name: opened.recorded_digest(table, JANUARY) for table in TABLES} == before
        assert rows_sha256(opened.history_rows(ratings, JANUARY)) == opened.recorded_digest(ratings, JANUARY)


def with_late_payments(monkeypatch):
    late = Column("late_payments_90d", "integer", "late payments", minimum=0, maximum=9)
    tables = tuple(
        Table(table.name, (*table.columns, late)) if table.name == "payments_agg_90d" else table for table in TABLES
    )
    for module in (
        "warehouse.definitions",
        "warehouse.history",
        "warehouse.columns",
        "warehouse.upgrade",
        "extracts.synthetic",
    ):
        monkeypatch.setattr(f"streamflow.{module}.TABLES", tables)
    return tables


def test_a_new_column_is_added_to_tables_without_rows(store, database_url, monkeypatch):
    assert store.tables_of(JANUARY) == 0
    tables = with_late_payments(monkeypatch)
    with warehouse(database_url, "test") as opened:
        rows = month()
        opened.record(JANUARY, rows, tables)
        payments = opened.history_rows(tables[3], JANUARY)
        assert payments["late_payments_90d"].to_pylist() == rows["payments_agg_90d"]["late_payments_90d"].to_pylist()
        assert opened.unprotected() == []
    with pytest.raises(EnvironmentFault, match="payments_agg_90d_check"), transaction(database_url) as cursor:
        cursor.execute("INSERT INTO history.payments_agg_90d VALUES ('test', '2024-01-31', 'x', now(), 1, false, NULL)")


def test_a_new_column_of_a_table_with_recorded_months_is_refused_in_one_line(store, database_url, monkeypatch):
    store.record(JANUARY, month())
    with_late_payments(monkeypatch)
    with pytest.raises(HistoryError) as refusal, warehouse(database_url, "test"):
        pass
    assert str(refusal.value) == (
        "live.payments_agg_90d has rows that were written without the column late_payments_90d of"
        " streamflow/core/schema.py; make it nullable there, then `streamflow db upgrade`; nothing was changed"
    )
    assert store.recorded_digest(TABLES[3], JANUARY) == rows_sha256(store.history_rows(TABLES[3], JANUARY))
