"""Databases of earlier versions, and columns that the schema gets later: every recorded version stays what it was."""

import gzip
import json
import random
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamflow.core.arrow import arrow_schema, sorted_by_user
from streamflow.core.digest import rows_sha256
from streamflow.core.errors import EnvironmentFault, HistoryError
from streamflow.core.schema import PAYMENTS, TABLES, Column, Table
from streamflow.extracts.synthetic import generate_month
from streamflow.pipeline.project import state_dir
from streamflow.postgres.connection import connect, transaction
from streamflow.warehouse.chain_drift import chain_drift
from streamflow.warehouse.definitions import HISTORY_TABLES
from streamflow.warehouse.history import warehouse
from streamflow.warehouse.source_drift import live_drift
from streamflow.warehouse.upgrade import HEAD, is_current, upgrade
from streamflow.warehouse.versions import ledger_versions, row_versions

OLD = Path(__file__).resolve().parents[2] / "support" / "old_schemas"
MONTHS = ("2024-01-31", "2024-02-29", "2024-03-31")
SOURCE = "synthetic users=30 seed=42"
START = datetime(2024, 4, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("STREAMFLOW_STATE_DIR", str(tmp_path / "var"))
    monkeypatch.chdir(tmp_path)


def versions_of(month):
    """Three versions of a month: as delivered, with another fee, and without a user; rows sorted by user."""
    first = {name: sorted_by_user(rows) for name, rows in generate_month(30, month, 42).items()}
    fees = first["subscriptions"]["monthly_fee"].to_pylist()
    dearer = first["subscriptions"].set_column(
        6, first["subscriptions"].schema.field("monthly_fee"), pa.array([fees[0] + 1, *fees[1:]])
    )
    second = {**first, "subscriptions": dearer}
    return [first, second, {name: rows.slice(0, 29) for name, rows in second.items()}]


def fill(url, schema):
    """An old database with three months of three versions each; returns moment to month and what was delivered then."""
    with transaction(url) as cursor:
        cursor.execute((OLD / schema).read_text())
        with_source = "source text" in (OLD / schema).read_text()
        moment, delivered = START, {}
        for month in MONTHS:
            before = {table.name: {} for table in TABLES}
            for extracts in versions_of(month):
                moment += timedelta(seconds=1)
                delivered[moment] = (month, extracts)
                for table in TABLES:
                    rows = {row["user_id"]: row for row in extracts[table.name].to_pylist()}
                    insert(cursor, table, month, moment, before[table.name], rows, with_source)
                    before[table.name] = rows
    return delivered


def insert(cursor, table, month, moment, before, rows, with_source):
    if rows == before:
        return
    first, given = ("source, ", [SOURCE]) if with_source else ("", [])
    marks = ", ".join(["%s"] * (len(table.header) + 3 + len(given)))
    changed = [row for user, row in rows.items() if before.get(user) != row]
    gone = [user for user in before if user not in rows]
    columns = f"{first}as_of, recorded_at, {', '.join(table.header)}, retracted"
    for row in changed:
        values = [*given, month, moment, *(row[name] for name in table.header), False]
        cursor.execute(f"INSERT INTO history.{table.name} ({columns}) VALUES ({marks})", values)
    for user in gone:
        cursor.execute(
            f"INSERT INTO history.{table.name} ({first}as_of, recorded_at, user_id, retracted)"
            f" VALUES ({', '.join(['%s'] * (4 + len(given)))})",
            [*given, month, moment, user, True],
        )
    digest = rows_sha256(sorted_by_user(pa.table({n: [r[n] for r in rows.values()] for n in table.header},
                                                 schema=arrow_schema(table))))  # fmt: skip
    ledger = [
        *given,
        month,
        table.name,
        moment,
        len(rows),
        digest,
        len(set(rows) - set(before)),
        len(changed),
        len(gone),
    ]
    cursor.execute(
        f"INSERT INTO history.extracts ({first}as_of, table_name, recorded_at, rows, content_sha256, added, changed,"
        f" retracted) VALUES ({', '.join(['%s'] * len(ledger))})",
        ledger,
    )


def rows_of(url, columns="*"):
    with transaction(url) as cursor:
        found = {}
        for table in ("extracts", *(table.name for table in TABLES)):
            cursor.execute(
                "SELECT array_agg(attname ORDER BY attnum) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
                " AND attname NOT IN ('source', 'columns')",
                (f"history.{table}",),
            )
            names = ", ".join(cursor.fetchone()[0])
            cursor.execute(f"SELECT ROW({names})::text FROM history.{table} ORDER BY 1")
            found[table] = cursor.fetchall()
    return found


@pytest.mark.parametrize("schema", ["without_sources.sql", "without_columns.sql"])
def test_a_database_of_an_earlier_version_is_brought_forward_with_nothing_lost(database_url, schema):
    delivered = fill(database_url, schema)
    before = rows_of(database_url)
    assert sum(len(rows) for rows in before.values()) > 3 * 6 * 30
    done = upgrade(database_url, source=SOURCE)
    assert (
        "revision 0002: Each recorded version keeps the columns that it had; those from before have the six"
        " tables as they were until then."
    ) in done
    assert "history.labels takes rows of mapped sources without the columns that these lack" in done
    assert rows_of(database_url) == before
    with warehouse(database_url, SOURCE) as store:
        for moment, (month, extracts) in delivered.items():
            for table in TABLES:
                known = store.history_rows(table, month, moment.isoformat())
                assert rows_sha256(known) == rows_sha256(extracts[table.name]), (moment, table.name)
        for month in MONTHS:
            for table in TABLES:
                assert ledger_versions(store, table, month) == row_versions(store, table, month)
        assert chain_drift(store, MONTHS) == []
        assert store.unprotected() == []
        again = store.record(MONTHS[0], versions_of(MONTHS[0])[2])
        assert sum(each.total for each in again) == 0
        corrected = store.record(MONTHS[0], versions_of(MONTHS[0])[0])
        assert [(each.table, each.added, each.changed) for each in corrected if each.changed] == [
            ("subscriptions", 1, 1)
        ]
    assert upgrade(database_url) == []
    (dumped,) = (state_dir() / "backups").glob("*.sql.gz")
    assert b"COPY history.subscriptions" in gzip.decompress(dumped.read_bytes())
    with transaction(database_url) as cursor:
        cursor.execute("SELECT DISTINCT columns FROM history.extracts WHERE table_name = 'labels'")
        assert cursor.fetchall() == [([["user_id", "text"], ["churn_label", "boolean"]],)]
        cursor.execute("SELECT DISTINCT source FROM history.users")
        assert cursor.fetchall() == [(SOURCE,)]


def constraints(url):
    with transaction(url) as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'c' AND connamespace IN ('live'::regnamespace, 'history'::regnamespace) ORDER BY 1, 2"
        )
        found = cursor.fetchall()
        cursor.execute(
            "SELECT attrelid::regclass::text, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
            " WHERE relnamespace IN ('live'::regnamespace, 'history'::regnamespace) AND attnotnull AND attnum > 0"
            " AND relkind = 'r' ORDER BY 1, 2"
        )
        return [*found, *cursor.fetchall()]


@pytest.mark.parametrize("schema", ["without_sources.sql", "without_columns.sql"])
def test_what_an_upgraded_database_demands_of_a_row_is_what_a_new_one_does(database_url, module_database_url, schema):
    fill(database_url, schema)
    upgrade(database_url, source=SOURCE)
    upgrade(module_database_url)
    demanded = constraints(database_url)
    assert demanded == constraints(module_database_url)
    assert len([each for each in demanded if each[1].endswith("_complete")]) == 2 * len(TABLES)
    row = f"INSERT INTO live.labels (source, as_of, user_id) VALUES (%s, '{MONTHS[0]}', 'somebody')"
    with transaction(database_url) as cursor:
        cursor.execute(row, ("mapped telephone",))
    with pytest.raises(EnvironmentFault, match="labels_complete"), transaction(database_url) as cursor:
        cursor.execute(row, ("mapped",))


def test_a_database_that_newer_code_has_changed_is_read_as_it_is(database_url):
    assert upgrade(database_url) == ["tables made"]
    with transaction(database_url) as cursor:
        cursor.execute("UPDATE history.alembic_version SET version_num = '0099'")
    assert upgrade(database_url) == []
    with warehouse(database_url, SOURCE) as store:
        assert store.is_current()
    with transaction(database_url) as cursor:
        cursor.execute("SELECT version_num FROM history.alembic_version")
        assert cursor.fetchall() == [("0099",)]


def test_months_of_an_unnamed_source_are_not_guessed(database_url):
    fill(database_url, "without_sources.sql")
    before = rows_of(database_url)
    with (
        pytest.raises(
            HistoryError, match=r"say which source they are of: `streamflow db upgrade --source csv`"
        ) as refused,
        warehouse(database_url, SOURCE),
    ):
        pass
    assert "\n" not in str(refused.value)
    assert rows_of(database_url) == before


def test_an_upgrade_that_fails_half_way_changes_nothing(database_url, monkeypatch):
    fill(database_url, "without_columns.sql")
    before = rows_of(database_url)
    required = with_columns(monkeypatch, Column("late_payments_90d", "integer", "late", minimum=0, maximum=9))
    assert required is not None
    with pytest.raises(HistoryError, match="make it nullable there, then `streamflow db upgrade`"):
        upgrade(database_url)
    assert rows_of(database_url) == before
    assert list((state_dir() / "backups").iterdir()) == []
    with transaction(database_url) as cursor:
        cursor.execute(
            "SELECT count(*) FROM information_schema.columns WHERE table_name = 'extracts' AND column_name = 'columns'"
        )
        assert cursor.fetchone() == (0,)


def test_the_newest_revision_is_the_one_that_the_start_looks_for(database_url):
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from streamflow.warehouse import upgrade as module

    settings = Config()
    settings.set_main_option("script_location", str(module._FOLDER))
    assert ScriptDirectory.from_config(settings).get_heads() == [HEAD]
    upgrade(database_url)
    with transaction(database_url) as cursor:
        assert is_current(cursor)


def with_columns(monkeypatch, *more, kinds=None):
    """The schema with more columns in the payments, or with other kinds of those it has."""
    columns = tuple(
        Column(
            each.name, (kinds or {}).get(each.name, each.kind), each.meaning, each.nullable, each.minimum, each.maximum
        )
        for each in PAYMENTS.columns
    )
    payments = Table(PAYMENTS.name, (*columns, *more))
    tables = tuple(payments if table is PAYMENTS else table for table in TABLES)
    for module in ("definitions", "history", "columns", "upgrade", "chain_drift", "source_drift"):
        monkeypatch.setattr(f"streamflow.warehouse.{module}.TABLES", tables)
    return payments


LATE = Column("late_payments_90d", "integer", "late payments", nullable=True, minimum=0, maximum=9)


def test_a_new_column_leaves_every_recorded_month_what_it_was_and_the_next_delivery_has_it(database_url, monkeypatch):
    first, second, third = versions_of(MONTHS[0])
    with warehouse(database_url, "test") as store:
        for extracts in (first, second, third):
            store.record(MONTHS[0], extracts)
        before = ledger_versions(store, PAYMENTS, MONTHS[0])
    payments = with_columns(monkeypatch, LATE)
    with warehouse(database_url, "test") as store:
        assert ledger_versions(store, payments, MONTHS[0]) == row_versions(store, payments, MONTHS[0]) == before
        assert chain_drift(store, MONTHS[:1]) == live_drift(store, MONTHS[:1]) == []
        assert store.history_rows(payments, MONTHS[0]).column_names == ["user_id", "failed_payments_90d"]
        again = store.record(MONTHS[0], third)
        assert sum(each.total for each in again) == 0
        late = third[PAYMENTS.name].append_column("late_payments_90d", pa.array([None, *[1] * 28], pa.int64()))
        (recorded,) = store.record(MONTHS[0], {PAYMENTS.name: late}, [payments])
        assert (recorded.table, recorded.changed) == (PAYMENTS.name, 29)
        assert store.history_rows(payments, MONTHS[0]).to_pydict() == late.to_pydict()
        versions = ledger_versions(store, payments, MONTHS[0])
        assert versions[:-1] == before
        assert row_versions(store, payments, MONTHS[0]) == versions
        old = store.history_rows(payments, MONTHS[0], before[0].recorded_at)
        assert rows_sha256(old) == rows_sha256(first[PAYMENTS.name])
        frozen = {
            table.name: pa.Table.from_batches(list(rows))
            for table, rows in store.freeze(MONTHS[0], before[-1].recorded_at)
        }
        assert rows_sha256(frozen[PAYMENTS.name]) == before[-1].content_sha256
        assert chain_drift(store, MONTHS[:1]) == live_drift(store, MONTHS[:1]) == []


def test_a_whole_number_that_becomes_real_keeps_the_digests_of_old_versions(database_url, monkeypatch):
    large = 10**12  # as a real number it would be written 1e+12
    whole = pa.table({"user_id": ["a", "b"], "failed_payments_90d": [large, 2]}, schema=arrow_schema(PAYMENTS))
    with warehouse(database_url, "test") as store:
        store.record(MONTHS[0], {PAYMENTS.name: whole}, [PAYMENTS])
        (before,) = ledger_versions(store, PAYMENTS, MONTHS[0])
    payments = with_columns(monkeypatch, kinds={"failed_payments_90d": "real"})
    with warehouse(database_url, "test") as store:
        assert row_versions(store, payments, MONTHS[0]) == [before]
        real = pa.table({"user_id": ["a", "b"], "failed_payments_90d": [1e12, 2.5]})
        store.record(MONTHS[0], {PAYMENTS.name: real}, [payments])
        assert store.history_rows(payments, MONTHS[0])["failed_payments_90d"].to_pylist() == [1e12, 2.5]
        assert store.history_rows(payments, MONTHS[0], before.recorded_at)["failed_payments_90d"].to_pylist() == [
            large,
            2,
        ]
        assert row_versions(store, payments, MONTHS[0]) == ledger_versions(store, payments, MONTHS[0])


def test_a_narrower_type_is_refused(database_url, monkeypatch):
    with warehouse(database_url, "test"):
        pass
    with_columns(monkeypatch, kinds={"failed_payments_90d": "boolean"})
    with pytest.raises(HistoryError, match="only integer can become real: give the new column another name"):
        upgrade(database_url)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=7), seed=st.integers(0, 2**16))
def test_deliveries_with_and_without_a_later_column_are_known_as_they_were(steps, seed, database_url, monkeypatch):
    chance = random.Random(seed)
    with monkeypatch.context() as patch:
        payments = with_columns(patch, LATE)
        with warehouse(database_url, f"test {seed} {len(steps)}") as store:
            delivered = []
            for with_late, users in steps:
                ids = sorted(chance.sample("abcdefgh", users + 1))
                rows = {"user_id": ids, "failed_payments_90d": [chance.randint(0, 1) for _ in ids]}
                if with_late:
                    rows["late_payments_90d"] = [chance.choice([None, 1]) for _ in ids]
                kinds = {"user_id": pa.string()}
                table = pa.table({name: pa.array(values, kinds.get(name, pa.int64())) for name, values in rows.items()})
                store.record(MONTHS[0], {PAYMENTS.name: table}, [payments])
                delivered.append((ledger_versions(store, payments, MONTHS[0])[-1].recorded_at, table))
            for at, (moment, table) in enumerate(delivered):
                later = [other for when, other in delivered[at:] if when == moment]
                assert rows_sha256(store.history_rows(payments, MONTHS[0], moment)) == rows_sha256(later[-1])
                assert later[-1].equals(table), "each delivery has a moment of its own, or is the one before"
            assert row_versions(store, payments, MONTHS[0]) == ledger_versions(store, payments, MONTHS[0])


def test_the_columns_of_a_version_are_in_the_ledger(database_url):
    with warehouse(database_url, "test") as store:
        store.record(MONTHS[0], versions_of(MONTHS[0])[0])
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name, columns FROM history.extracts")
        found = dict(cursor.fetchall())
    assert found == {t.name: [["user_id", "text"], *([c.name, c.kind] for c in t.columns)] for t in TABLES}
    assert json.dumps(found["labels"]) == '[["user_id", "text"], ["churn_label", "boolean"]]'


def test_a_table_whose_columns_are_all_nullable_is_made_beside_recorded_months(database_url, monkeypatch):
    with warehouse(database_url, "test") as store:
        store.record(MONTHS[0], versions_of(MONTHS[0])[0])
    ratings = Table("ratings_agg_90d", (Column("titles", "integer", "titles", nullable=True, minimum=0, maximum=9),))
    for module in ("definitions", "history", "columns", "upgrade"):
        monkeypatch.setattr(f"streamflow.warehouse.{module}.TABLES", (*TABLES, ratings))
    for module in ("definitions", "history", "upgrade"):
        monkeypatch.setattr(f"streamflow.warehouse.{module}.HISTORY_TABLES", (*HISTORY_TABLES, ratings.name))
    with warehouse(database_url, "test") as store:
        known = ledger_versions(store, TABLES[0], MONTHS[0])[0].recorded_at
        assert [table.name for table, rows in store.freeze(MONTHS[0], known) if list(rows)] == [t.name for t in TABLES]
        rows = pa.table({"user_id": ["a"], "titles": pa.array([None], pa.int64())})
        store.record(MONTHS[0], {ratings.name: rows}, [ratings])
        assert [table.name for table, _ in store.freeze(MONTHS[0], known)] == [t.name for t in TABLES]
        assert [table.name for table, _ in store.freeze(MONTHS[0], None)] == [*(t.name for t in TABLES), ratings.name]
