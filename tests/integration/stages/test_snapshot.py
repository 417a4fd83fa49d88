"""Stage `snapshot` over a real Postgres: what is frozen is what was ingested, or what was known at an earlier time."""

from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import ingest, snapshot
from streamflow.core.arrow import sorted_by_user
from streamflow.core.config import Config, SourceConfig
from streamflow.core.errors import HistoryError
from streamflow.core.schema import TABLES
from streamflow.extracts.synthetic import generate_month
from streamflow.pipeline.file_digest import file_sha256
from streamflow.postgres.connection import connect
from streamflow.warehouse.history import warehouse

JANUARY = "2024-01-31"


@pytest.fixture
def store(database_url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warehouse(database_url, "synthetic") as opened:
        yield opened


def config(known_at=None):
    return Config(known_at=known_at, source=SourceConfig(name="synthetic", users=150, seed=1, max_row_drop=0.5))


def digests():
    return {table.name: file_sha256(snapshot.SNAPSHOTS / JANUARY / f"{table.name}.parquet") for table in TABLES}


def now(url):
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0].isoformat()


def correct(store):
    rows = {name: sorted_by_user(table) for name, table in generate_month(150, JANUARY, 1).items()}
    fees = rows["subscriptions"]["monthly_fee"].to_pylist()
    position = rows["subscriptions"].schema.get_field_index("monthly_fee")
    rows["subscriptions"] = rows["subscriptions"].set_column(position, "monthly_fee", pa.array([99.5, *fees[1:]]))
    store.record(JANUARY, rows)


def test_a_month_is_frozen_sorted_with_its_event_timestamp_and_the_same_bytes_each_time(store):
    ingest.run(config(), JANUARY, store)
    snapshot.run(config(), JANUARY, store)
    first = digests()
    rows = pq.read_table(snapshot.SNAPSHOTS / JANUARY / "subscriptions.parquet")
    assert rows["user_id"].to_pylist() == sorted(rows["user_id"].to_pylist())
    assert {moment.isoformat() for moment in rows["as_of"].to_pylist()} == {"2024-01-31T00:00:00+00:00"}
    assert str(rows.schema.field("as_of").type) == "timestamp[us, tz=UTC]"
    snapshot.run(config(), JANUARY, store)
    assert digests() == first


def test_an_earlier_state_comes_out_as_it_was_known(store, database_url):
    ingest.run(config(), JANUARY, store)
    snapshot.run(config(), JANUARY, store)
    first, known_at = digests(), now(database_url)
    correct(store)
    snapshot.run(config(known_at), JANUARY, store)
    assert digests() == first
    with pytest.raises(HistoryError, match=r"history.subscriptions differs from what was ingested"):
        snapshot.run(config(), JANUARY, store)
    assert digests() == first
    assert not list(snapshot.SNAPSHOTS.glob(".*"))
