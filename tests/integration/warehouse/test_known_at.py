"""A thousand pairs of a month and a moment under random corrections: known is what another query and the ledger say."""

import random
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from streamflow.core.arrow import arrow_schema, sorted_by_user
from streamflow.core.digest import rows_sha256
from streamflow.core.schema import PAYMENTS
from streamflow.warehouse.history import warehouse
from streamflow.warehouse.versions import ledger_versions, row_versions

SEED = 20241126
MONTHS = ("2024-01-31", "2024-02-29", "2024-03-31")
DELIVERIES, PAIRS = 90, 1000

# Written apart from the warehouse's own query: the rows that nothing known by then replaced.
ORACLE = """
    SELECT user_id, failed_payments_90d FROM history.payments_agg_90d one
    WHERE source = 'test' AND as_of = %(month)s AND recorded_at <= %(moment)s AND NOT retracted AND NOT EXISTS (
        SELECT FROM history.payments_agg_90d other
        WHERE other.source = one.source AND other.as_of = one.as_of AND other.user_id = one.user_id
        AND other.recorded_at > one.recorded_at AND other.recorded_at <= %(moment)s)
    ORDER BY user_id COLLATE "C"
"""


def delivery(chance):
    """Some of a dozen users, with a number of failed payments that is often the one before."""
    users = chance.sample([f"user-{number:02}" for number in range(12)], chance.randint(1, 12))
    rows = {"user_id": users, "failed_payments_90d": [chance.randint(0, 2) for _ in users]}
    return sorted_by_user(pa.table(rows, schema=arrow_schema(PAYMENTS)))


@pytest.fixture(scope="module")
def recorded(module_database_url):
    """The warehouse after random deliveries, and what was delivered: month to a list of moment and rows, oldest first."""
    chance = random.Random(SEED)
    with warehouse(module_database_url, "test") as store:
        delivered = {month: [] for month in MONTHS}
        for _ in range(DELIVERIES):
            month, rows = chance.choice(MONTHS), delivery(chance)
            store.record(month, {PAYMENTS.name: rows}, tables=[PAYMENTS])
            moment = ledger_versions(store, PAYMENTS, month)[-1].recorded_at
            delivered[month].append((datetime.fromisoformat(moment), rows))
        yield store, delivered


def moments(chance, delivered):
    """A recorded moment, or one next to it: a microsecond decides."""
    every = [moment for versions in delivered.values() for moment, _ in versions]
    return chance.choice(every) + timedelta(microseconds=chance.choice((-1, 0, 0, 1)))


def test_a_thousand_pairs_of_month_and_moment_are_what_another_query_finds(recorded):
    store, delivered = recorded
    chance = random.Random(SEED + 1)
    states, corrected = set(), 0
    for _ in range(PAIRS):
        month, moment = chance.choice(MONTHS), moments(chance, delivered)
        found = store.history_rows(PAYMENTS, month, moment.isoformat())
        with store.transaction() as cursor:
            cursor.execute(ORACLE, {"month": month, "moment": moment})
            assert list(zip(*found.to_pydict().values(), strict=True)) == cursor.fetchall(), (month, moment)
        known = [rows for at, rows in delivered[month] if at <= moment]
        listed = ledger_versions(store, PAYMENTS, month, moment.isoformat())
        if known:
            assert found.equals(known[-1]), (month, moment)
            assert rows_sha256(found) == listed[-1].content_sha256, (month, moment)
        else:
            assert (found.num_rows, listed) == (0, [])
        states.add((month, rows_sha256(found)))
        corrected += len(known) > 1
    assert len(states) > 60
    assert corrected > 800


def test_each_version_of_the_ledger_is_one_that_the_rows_make(recorded):
    store, _ = recorded
    for month in MONTHS:
        assert row_versions(store, PAYMENTS, month) == ledger_versions(store, PAYMENTS, month)
