"""Serving's reader: values, order and NULLs; and it comes back by itself whatever happens to Postgres."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from online_months import JANUARY, fill
from postgres_server import password_server

from streamflow.core.calendar import instant
from streamflow.core.errors import FeatureStoreError
from streamflow.core.schema import FEATURE_SERVICES
from streamflow.online.rows import OnlineRows, connect_arguments
from streamflow.postgres.connection import connection_fields, transaction
from streamflow.postgres.server import EmbeddedPostgres

KNOWN = "7590-VHVEG"


@pytest.fixture
def filled(database_url):
    """URL of a database with the online tables, and the features that they hold."""
    with transaction(database_url) as cursor:
        values = fill(cursor)
    return database_url, values


def reading(url, scenario, service="churn_v1", **named):
    """What `scenario(rows)` answers, the reader closed afterwards."""

    async def run():
        rows = OnlineRows(url, service, **named)
        try:
            return await scenario(rows)
        finally:
            await rows.close()

    return asyncio.run(run())


def execute(url, *statements):
    with transaction(url) as cursor:
        for statement in statements:
            cursor.execute(statement)


def wanted(values, user, service):
    return {name: values[user][name] for name in FEATURE_SERVICES[service]}


@pytest.mark.parametrize("service", ["churn_v1", "churn_v2"])
def test_every_user_has_the_stored_features_and_their_timestamps(filled, service):
    url, values = filled
    users = sorted(values)
    found = reading(url, lambda rows: rows.read(users), service)
    assert [each.user_id for each in found] == users
    assert [each.values for each in found] == [wanted(values, user, service) for user in users]
    assert all(each.timestamps == dict.fromkeys(FEATURE_SERVICES[service], instant(JANUARY)) for each in found)
    assert sum(each.values["plan_stream_tv"] is None for each in found) > 0


def test_answers_keep_the_order_asked_with_duplicates_and_unknown_users(filled):
    url, values = filled
    other = max(values)
    asked = [other, "nobody", KNOWN, other, "", "a\0b", "\ud800"]
    found = reading(url, lambda rows: rows.read(asked))
    assert [each.user_id for each in found] == asked
    assert [each.values for each in found] == [
        wanted(values, other, "churn_v1"),
        {},
        wanted(values, KNOWN, "churn_v1"),
        wanted(values, other, "churn_v1"),
        {},
        {},
        {},
    ]
    assert found[1].timestamps == {}


@pytest.mark.parametrize("user", ["nobody", "", "a\0b", "\ud800"])
def test_one_unknown_user_has_no_features(filled, user):
    (found,) = reading(filled[0], lambda rows: rows.read([user]))
    assert (found.user_id, found.values, found.timestamps) == (user, {}, {})


@pytest.mark.parametrize("many", [False, True])
def test_a_view_without_a_row_is_told_from_a_stored_null(filled, many):
    url, values = filled
    execute(
        url,
        f"DELETE FROM feast.streamflow_payments_agg_90d_fv WHERE user_id = '{KNOWN}'",
        f"UPDATE feast.streamflow_usage_agg_30d_fv SET skips_7d = NULL WHERE user_id = '{KNOWN}'",
        "UPDATE feast.streamflow_support_agg_90d_fv SET event_timestamp = '2023-12-31 00:00+00'",
    )
    found = reading(url, lambda rows: rows.read([KNOWN, "nobody"] if many else [KNOWN]))[0]
    expected = wanted(values, KNOWN, "churn_v1") | {"skips_7d": None}
    del expected["failed_payments_90d"]
    assert found.values == expected
    assert found.timestamps["skips_7d"] == instant(JANUARY)
    assert found.timestamps["support_tickets_90d"] == instant("2023-12-31")
    assert "failed_payments_90d" not in found.timestamps


def test_missing_columns_are_named_with_the_command_that_mends_them(filled):
    url, _ = filled
    execute(
        url,
        "ALTER TABLE feast.streamflow_usage_agg_30d_fv DROP COLUMN skips_7d, DROP COLUMN unique_devices_30d",
        "DROP TABLE feast.streamflow_payments_agg_90d_fv",
    )
    with pytest.raises(FeatureStoreError) as failed:
        reading(url, lambda rows: rows.read([KNOWN]))
    assert str(failed.value) == (
        "the online store lacks usage_agg_30d_fv.unique_devices_30d, usage_agg_30d_fv.skips_7d,"
        " payments_agg_90d_fv.user_id, payments_agg_90d_fv.failed_payments_90d, payments_agg_90d_fv.event_timestamp"
        " for churn_v1; run `dvc repro -s materialize`"
    )


def test_an_empty_database_is_told_in_one_line(database_url):
    with pytest.raises(FeatureStoreError, match=r"^the online store lacks subs_profile_fv\.user_id, .* materialize`$"):
        reading(database_url, lambda rows: rows.open())


def test_a_replaced_table_is_read_without_an_error(filled):
    url, values = filled

    async def scenario(rows):
        await rows.read([KNOWN])
        execute(
            url,
            "CREATE TABLE feast.other (LIKE feast.streamflow_payments_agg_90d_fv INCLUDING ALL)",
            "INSERT INTO feast.other SELECT * FROM feast.streamflow_payments_agg_90d_fv",
            "DROP TABLE feast.streamflow_payments_agg_90d_fv",
            "ALTER TABLE feast.other RENAME TO streamflow_payments_agg_90d_fv",
        )
        return await rows.read([KNOWN])

    assert reading(url, scenario)[0].values == wanted(values, KNOWN, "churn_v1")


def test_bad_queries_leave_the_connections_whole(filled):
    url, values = filled
    table = "feast.streamflow_support_agg_90d_fv"

    async def scenario(rows):
        await asyncio.gather(*(rows.read([KNOWN]) for _ in range(20)))
        execute(url, f"ALTER TABLE {table} RENAME COLUMN support_tickets_90d TO gone")
        for _ in range(3):
            with pytest.raises(FeatureStoreError, match=r"lacks support_agg_90d_fv\.support_tickets_90d for"):
                await rows.read([KNOWN])
        execute(url, f"ALTER TABLE {table} RENAME COLUMN gone TO support_tickets_90d")
        answers = await asyncio.gather(*(rows.read([KNOWN, KNOWN]) for _ in range(40)))
        return answers, readers(url, 4)

    answers, connections = reading(url, scenario)
    assert [each.values for answer in answers for each in answer] == [wanted(values, KNOWN, "churn_v1")] * 80
    assert len(connections) == 4
    assert readers(url, 0) == []


class Farewell:
    """A statement of a connection whose end the server has announced but not yet made, as asyncpg tells it."""

    async def fetch(self, argument):
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")


def test_a_connection_that_the_server_ends_just_now_is_replaced(filled):
    url, values = filled

    async def scenario(rows):
        await rows.read([KNOWN])
        rows._idle[0].one = Farewell()
        return await rows.read([KNOWN])

    (answer,) = reading(url, scenario)
    assert answer.values == wanted(values, KNOWN, "churn_v1")


def test_a_cancelled_read_gives_its_connection_up(filled):
    url, values = filled

    async def scenario(rows):
        await rows.open()
        for _ in range(10):
            task = asyncio.create_task(rows.read([KNOWN]))
            await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        return await asyncio.gather(*(rows.read([KNOWN]) for _ in range(8)))

    answers = reading(url, scenario, connections=2)
    assert [answer[0].values for answer in answers] == [wanted(values, KNOWN, "churn_v1")] * 8


def test_a_hung_backend_is_an_error_in_time_and_the_next_read_works(filled):
    url, values = filled

    async def scenario(rows):
        await rows.open()
        (backend,) = readers(url, 1)
        os.kill(backend, signal.SIGSTOP)
        start = time.monotonic()
        try:
            with pytest.raises(FeatureStoreError, match=r"does not answer: nothing within 0\.5 s$"):
                await rows.read([KNOWN])
            return time.monotonic() - start, await rows.read([KNOWN])
        finally:
            os.kill(backend, signal.SIGCONT)

    waited, found = reading(url, scenario, timeout=0.5)
    assert waited < 1.5
    assert found[0].values == wanted(values, KNOWN, "churn_v1")


def test_a_server_that_accepts_but_does_not_answer_is_an_error_in_time(filled):
    url, values = filled
    postmaster = int((Path(connection_fields(url)["host"]) / "postmaster.pid").read_text().split()[0])

    async def scenario(rows):
        os.kill(postmaster, signal.SIGSTOP)
        start = time.monotonic()
        try:
            with pytest.raises(FeatureStoreError, match=r"does not answer: nothing within 0\.5 s$"):
                await rows.read([KNOWN])
        finally:
            os.kill(postmaster, signal.SIGCONT)
        return time.monotonic() - start, await rows.read([KNOWN])

    waited, found = reading(url, scenario, timeout=0.5)
    assert waited < 1.5
    assert found[0].values == wanted(values, KNOWN, "churn_v1")


def test_a_stopped_server_is_an_error_and_a_started_one_is_read_again(tmp_path, monkeypatch):
    monkeypatch.delenv("STREAMFLOW_DATABASE_URL", raising=False)
    server = EmbeddedPostgres(tmp_path)
    url = server.acquire()
    with transaction(url) as cursor:
        values = fill(cursor)

    async def scenario(rows):
        await asyncio.gather(*(rows.read([KNOWN]) for _ in range(8)))
        await asyncio.to_thread(server.release)
        for _ in range(3):
            start = time.monotonic()
            with pytest.raises(FeatureStoreError, match=r"^the online store at postgresql://.* does not answer: "):
                await rows.read([KNOWN])
            assert time.monotonic() - start < 2.5
        assert server.acquire() == url
        start = time.monotonic()
        found = await rows.read([KNOWN])
        return found, time.monotonic() - start

    try:
        found, waited = reading(url, scenario)
    finally:
        server.release()
    assert found[0].values == wanted(values, KNOWN, "churn_v1")
    assert waited < 1


def test_a_server_over_tcp_with_a_password_of_odd_characters_is_read():
    with password_server() as url:
        with transaction(url) as cursor:
            values = fill(cursor)
        found = reading(url + "?sslmode=prefer&connect_timeout=10", lambda rows: rows.read([KNOWN]))
        assert found[0].values == wanted(values, KNOWN, "churn_v1")
        wrong = url.replace(connection_fields(url)["user"] + ":", "streamflow:not-")
        with pytest.raises(FeatureStoreError) as failed:
            reading(wrong, lambda rows: rows.read([KNOWN]))
    assert "postgresql://streamflow:***@127.0.0.1" in str(failed.value)
    assert "password authentication failed" in str(failed.value)


def test_a_url_becomes_the_arguments_of_asyncpg():
    assert connect_arguments(
        "postgresql://me:p%40ss%2F@/my%20db?host=/tmp/a%2Cb%20c&sslmode=verify-ca&sslrootcert=/c.pem"
    ) == {
        "dsn": "postgresql:///?sslmode=verify-ca&sslrootcert=%2Fc.pem",
        "host": "/tmp/a,b c",
        "port": 5432,
        "user": "me",
        "password": "p@ss/",
        "database": "my db",
    }


def readers(url, expected):
    """Process ids of the backends that read for serving; waits until the server has seen closed connections."""
    deadline = time.monotonic() + 2
    while True:
        with transaction(url) as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'streamflow serving'"
                " AND datname = current_database()"
            )
            found = [pid for (pid,) in cursor.fetchall()]
        if len(found) == expected or time.monotonic() > deadline:
            return found
        time.sleep(0.02)
