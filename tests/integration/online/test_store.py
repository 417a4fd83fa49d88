"""The online store behind Feast: the values of the stock one, whole months or none, and no connection lost."""

import asyncio
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import nan
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from online_months import FEBRUARY, JANUARY, USERS, frozen, inside, make_project, without_internet

from stages.materialize import run
from streamflow.core.calendar import instant
from streamflow.core.config import SourceConfig
from streamflow.core.errors import FeatureStoreError
from streamflow.core.schema import FEATURE_SERVICES, FEATURE_VIEWS
from streamflow.features.point_in_time import definitions, import_feast
from streamflow.online import publication as online_store
from streamflow.online.publication import is_published, materialize, online_feature_store, publish
from streamflow.online.rows import OnlineRows
from streamflow.postgres.connection import connection_fields, ensure_schema, transaction
from streamflow.postgres.server import EmbeddedPostgres

import_feast()

from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType  # noqa: E402
from feast.protos.feast.types.EntityKey_pb2 import EntityKey  # noqa: E402
from feast.protos.feast.types.Value_pb2 import Value  # noqa: E402
from feast.types import Array, Bool, Float64, Int64, String  # noqa: E402

from streamflow.online.wide_store import WideOnlineStore  # noqa: E402

PRESENT, NOT_FOUND = 1, 3
OURS = "streamflow.online.wide_store.WideOnlineStore"
KINDS = {"whole": Int64, "real": Float64, "flag": Bool, "text": String}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("online") / "project"
    folder.mkdir()
    make_project(folder)
    with inside(folder):
        yield folder


@pytest.fixture
def store(project, database_url):
    """The project's feature store, nothing applied yet."""
    opened = online_feature_store(database_url)
    yield opened
    opened._get_provider().online_store.close_connections()


def config(url, schema, online=OURS, **settings):
    """A Feast configuration over a schema of a database."""
    fields = {**connection_fields(url), "db_schema": schema}
    ensure_schema(url, schema)
    return RepoConfig(
        project="streamflow",
        provider="local",
        registry=f"{schema}.db",
        offline_store={"type": "duckdb"},
        online_store={"type": online, **fields, "port": int(fields["port"]), **settings},
        entity_key_serialization_version=3,
    )


@contextmanager
def opened(url, **settings):
    """A WideOnlineStore without a registry, and its configuration."""
    online = WideOnlineStore()
    try:
        yield online, config(url, "alone", **settings)
    finally:
        online.close_connections()


@pytest.fixture(scope="module")
def made_table(module_database_url):
    """A store, its configuration and a feature view with a feature of each kind."""
    with opened(module_database_url) as (online, settings):
        made = view()
        keep(online, settings, made)
        yield online, settings, made


def view(name="made_fv", keys=("user_id",), kind=ValueType.STRING, **features):
    """A feature view without data."""
    entity = Entity(name="user", join_keys=[keys[0]], value_type=kind)
    fields = [Field(name=feature, dtype=dtype) for feature, dtype in (features or KINDS).items()]
    made = FeatureView(name=name, entities=[entity], schema=fields, source=FileSource(path="x", timestamp_field="at"))
    made.entity_columns = [Field(name=key, dtype=String if kind is ValueType.STRING else Int64) for key in keys]
    return made


def key(user):
    return EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=user)])


def keep(online, settings, *views):
    online.update(settings, [], list(views), [], [], partial=False)


def moment(day, **hours):
    return datetime(2024, 1, day, tzinfo=UTC) + timedelta(**hours)


def sources(month):
    return dict.fromkeys(FEATURE_VIEWS, f"frozen {month}")


def users_of(month):
    path = f"data/snapshots/{month}/users.parquet"
    return pq.read_table(path, columns=["user_id"])["user_id"].to_pylist()


def put_online(store, month):
    publish(store, sources(month), month, users_of(month))


def answers(store, service, users):
    """Values, statuses and timestamps of `get_online_features`, by feature."""
    response = store.get_online_features(
        features=store.get_feature_service(service), entity_rows=[{"user_id": user} for user in users]
    )
    results = zip(response.proto.metadata.feature_names.val, response.proto.results, strict=True)
    return {
        name: (list(map(str, each.values)), list(each.statuses), [t.seconds for t in each.event_timestamps])
        for name, each in results
    }


def test_every_answer_of_feast_equals_that_of_its_stock_store(store, project, database_url):
    put_online(store, JANUARY)
    stock = FeatureStore(config=config(database_url, "stock", "postgres", conn_type="singleton"))
    parsed = definitions(project / "feature_repo")
    stock.apply([*parsed.entities, *parsed.data_sources, *parsed.feature_views, *parsed.feature_services])
    materialize(stock, JANUARY)
    users = [*users_of(JANUARY), "nobody", without_internet(), without_internet()]
    compared = 0
    for service, features in FEATURE_SERVICES.items():
        ours, theirs = (answers(each, service, users) for each in (store, stock))
        assert ours == theirs
        assert set(ours) == {"user_id", *features}
        compared += len(features)
    assert compared == 34
    values, statuses, _ = answers(store, "churn_v1", users)["plan_stream_tv"]
    # Feast calls a stored NULL present, and an unknown user not found.
    assert (values[-3:], statuses[-3:]) == (["", "", ""], [NOT_FOUND, PRESENT, PRESENT])
    stock._get_provider().online_store._conn.close()


@settings(max_examples=20)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="\0", codec="utf-8")),
        st.fixed_dictionaries(
            {
                "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
                "real": st.none() | st.floats(allow_nan=False) | st.just(nan),  # Postgres knows one NaN
                "flag": st.none() | st.booleans(),
                "text": st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8")),
            }
        ),
        max_size=6,
    )
)
def test_what_is_written_is_what_is_read(made_table, rows):
    names = {"whole": "int64_val", "real": "double_val", "flag": "bool_val", "text": "string_val"}

    def proto(name, value):
        return Value() if value is None else Value(**{names[name]: value})

    written = {user: {name: proto(name, value) for name, value in row.items()} for user, row in rows.items()}
    online, settings, made = made_table
    online.online_write_batch(settings, made, [(key(u), v, moment(1, hours=3), None) for u, v in written.items()], None)
    found = online.online_read(settings, made, [key(user) for user in (*rows, "never\nseen")])
    assert found[-1] == (None, None)
    assert [when for when, _ in found[:-1]] == [moment(1, hours=3)] * len(rows)
    as_bytes = [{name: value.SerializeToString() for name, value in row.items()} for _, row in found[:-1]]
    assert as_bytes == [{n: v.SerializeToString() for n, v in row.items()} for row in written.values()]


def test_the_newest_row_of_a_user_stays_whatever_the_order_of_writing(database_url):
    made = view(whole=Int64)

    def row(user, number, when, created=None):
        return key(user), {"whole": Value(int64_val=number)}, when, created

    def write(*rows):
        online.online_write_batch(settings, made, list(rows), None)

    with opened(database_url) as (online, settings):
        made = view(whole=Int64)
        keep(online, settings, made)
        online.online_write_batch(
            settings, made, [row("a", 2, moment(2)), row("a", 1, moment(1)), row("b", 5, moment(5))], None
        )
        online.online_write_batch(settings, made, [row("a", 3, moment(3)), row("b", 4, moment(4))], None)
        online.online_write_batch(
            settings, made, [row("c", 7, moment(1), moment(3)), row("c", 6, moment(1), moment(2))], None
        )
        found = online.online_read(settings, made, [key(user) for user in "abc"], ["whole"])
    assert found == [
        (moment(3), {"whole": Value(int64_val=3)}),
        (moment(5), {"whole": Value(int64_val=5)}),
        (moment(1), {"whole": Value(int64_val=7)}),
    ]


def test_features_come_and_go_without_touching_the_others(database_url):
    with opened(database_url) as (online, settings):
        before, after = view(whole=Int64, real=Float64), view(text=String, whole=Int64)
        keep(online, settings, before)
        values = {"whole": Value(int64_val=1), "real": Value(double_val=2)}
        online.online_write_batch(settings, before, [(key("a"), values, moment(1), None)], None)
        keep(online, settings, after)
        assert online.online_read(settings, after, [key("a")]) == [
            (moment(1), {"whole": Value(int64_val=1), "text": Value()})
        ]
        with pytest.raises(FeatureStoreError, match=r"column \"real\" does not exist; run `dvc repro -s materialize`"):
            online.online_read(settings, before, [key("a")])


def test_a_table_of_the_stock_store_under_the_same_name_is_replaced(store, project, database_url):
    stock = FeatureStore(config=config(database_url, "feast", "postgres", conn_type="singleton"))
    parsed = definitions(project / "feature_repo")
    stock.apply([*parsed.entities, *parsed.data_sources, *parsed.feature_views, *parsed.feature_services])
    materialize(stock, JANUARY)
    stock._get_provider().online_store._conn.close()
    put_online(store, JANUARY)
    assert read_all(database_url, "churn_v2", users_of(JANUARY)) == frozen(JANUARY, "churn_v2")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (view(keys=("user_id", "day")), "takes one join key of type String, not user_id (STRING), day (STRING)"),
        (view(kind=ValueType.INT64), "takes one join key of type String, not user_id (INT64)"),
        (
            view(vector=Array(Float64)),
            "feature made_fv:vector has type DOUBLE_LIST; the online store holds STRING, BOOL",
        ),
        (view(event_timestamp=Int64), "event_timestamp can't be a feature; rename it"),
    ],
)
def test_a_view_that_a_wide_table_can_not_hold_is_refused(database_url, made, message):
    with opened(database_url) as (online, settings), pytest.raises(FeatureStoreError) as refused:
        keep(online, settings, made)
    assert message in str(refused.value)


def test_bad_queries_and_lost_backends_leave_the_pool_whole(database_url):
    with opened(database_url, max_connections=2, timeout_seconds=2) as (online, settings):
        made, unknown = view(whole=Int64), view("unknown_fv", whole=Int64)
        keep(online, settings, made)
        online.online_write_batch(settings, made, [(key("a"), {"whole": Value(int64_val=1)}, moment(1), None)], None)
        for _ in range(3):
            with pytest.raises(FeatureStoreError, match=r"unknown_fv\" does not exist; run `dvc repro -s materialize`"):
                online.online_read(settings, unknown, [key("a")])
        with transaction(database_url) as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda _: online.online_read(settings, made, [key("a")]), range(40)))
    assert found == [[(moment(1), {"whole": Value(int64_val=1)})]] * 40


def test_a_restarted_server_is_used_again_without_intervention(tmp_path, monkeypatch):
    monkeypatch.delenv("STREAMFLOW_DATABASE_URL", raising=False)
    server = EmbeddedPostgres(tmp_path)
    try:
        with opened(server.acquire(), timeout_seconds=1) as (online, settings):
            made = view(whole=Int64)
            keep(online, settings, made)
            rows = [(key("a"), {"whole": Value(int64_val=1)}, moment(1), None)]
            online.online_write_batch(settings, made, rows, None)
            server.release()
            for _ in range(2):
                with pytest.raises(FeatureStoreError, match="the online store does not answer: "):
                    online.online_read(settings, made, [key("a")])
            server.acquire()
            start = time.monotonic()
            assert online.online_read(settings, made, [key("a")]) == [(moment(1), {"whole": Value(int64_val=1)})]
            assert time.monotonic() - start < 2
            online.online_write_batch(settings, made, rows, None)
    finally:
        server.release()


def read_all(url, service, users):
    """Features of all users by serving's reader, one statement."""

    async def read():
        rows = OnlineRows(url, service)
        try:
            return {each.user_id: each.values for each in await rows.read(users) if each.values}
        finally:
            await rows.close()

    return asyncio.run(read())


def test_readers_see_a_whole_month_or_the_other_while_months_are_published(store, database_url):
    put_online(store, JANUARY)
    users = users_of(JANUARY)
    months = {month: {s: frozen(month, s) for s in FEATURE_SERVICES} for month in (JANUARY, FEBRUARY)}
    assert set(months[JANUARY]["churn_v1"]) - set(months[FEBRUARY]["churn_v1"]) == {users_gone()}
    done = threading.Event()
    seen = {service: [] for service in FEATURE_SERVICES}

    def watch(service):
        async def read():
            rows = OnlineRows(database_url, service, timeout=10)
            while not done.is_set():
                found = {each.user_id: each.values for each in await rows.read(users) if each.values}
                seen[service].append(next((m for m, values in months.items() if values[service] == found), "mixed"))
            await rows.close()

        asyncio.run(read())

    watchers = [threading.Thread(target=watch, args=(service,)) for service in FEATURE_SERVICES]
    for watcher in watchers:
        watcher.start()
    try:
        for month in (FEBRUARY, JANUARY):
            put_online(store, month)
            feast = answers(store, "churn_v2", users)
            assert {t for name in FEATURE_SERVICES["churn_v2"] for t in feast[name][2]} - {0} == {
                instant(month).timestamp()
            }
    finally:
        done.set()
        for watcher in watchers:
            watcher.join()
    for service in FEATURE_SERVICES:
        assert set(seen[service]) == {JANUARY, FEBRUARY}, service
        assert len(seen[service]) > 10


def users_gone():
    """The user who is in January only."""
    (gone,) = set(users_of(JANUARY)) - set(users_of(FEBRUARY))
    return gone


def test_feast_reads_all_views_of_one_moment(store, database_url, monkeypatch):
    put_online(store, JANUARY)
    read, published_between = WideOnlineStore.online_read, []

    def read_and_publish(self, *arguments, **named):
        answer = read(self, *arguments, **named)
        if not published_between:
            published_between.append(True)
            with ThreadPoolExecutor(1) as thread:
                thread.submit(put_online, store, FEBRUARY).result()
        return answer

    monkeypatch.setattr(WideOnlineStore, "online_read", read_and_publish)
    features = FEATURE_SERVICES["churn_v2"]
    first, second = (answers(store, "churn_v2", users_of(FEBRUARY)[:3]) for _ in range(2))
    assert {t for name in features for t in first[name][2]} == {instant(JANUARY).timestamp()}
    assert {t for name in features for t in second[name][2]} == {instant(FEBRUARY).timestamp()}


def test_a_failure_half_way_leaves_the_old_month_and_its_ledger(store, database_url, monkeypatch):
    put_online(store, JANUARY)
    write, written = WideOnlineStore.write_arrow, []

    def write_two(self, config, table, rows):
        if len(written) == 2:
            raise OSError("disk full")
        written.append(table.name)
        write(self, config, table, rows)

    with monkeypatch.context() as patched:
        patched.setattr(WideOnlineStore, "write_arrow", write_two)
        with pytest.raises(FeatureStoreError, match=f"^{FEBRUARY} is not online|disk full"):
            put_online(store, FEBRUARY)
    assert len(written) == 2
    with pytest.raises(
        FeatureStoreError, match=rf"would hold {USERS - 1} users, {USERS - 1} of them among the {USERS} "
    ):
        publish(store, sources(FEBRUARY), FEBRUARY, users_of(JANUARY))
    assert is_published(database_url, sources(JANUARY))
    assert read_all(database_url, "churn_v2", users_of(JANUARY)) == frozen(JANUARY, "churn_v2")


def test_the_stage_converges_and_puts_changed_tables_right(project, database_url, capsys):
    def stage(month):
        run(SimpleNamespace(as_of=month, source=SourceConfig(name="csv", max_row_drop=0.5)), database_url)
        return capsys.readouterr().out.strip()

    done = f"materialize: {USERS} users as of {JANUARY} are online in 5 feature views"
    nothing = f"materialize: the users as of {JANUARY} are online already"
    assert stage(JANUARY) == done
    assert stage(JANUARY) == nothing
    for damage in (
        "UPDATE feast.streamflow_usage_agg_30d_fv SET skips_7d = skips_7d + 1 WHERE user_id = '7590-VHVEG'",
        "DELETE FROM feast.streamflow_payments_agg_90d_fv",
        "DROP TABLE feast.streamflow_support_agg_90d_fv",
        "ALTER TABLE feast.streamflow_user_profile_fv DROP COLUMN has_family",
        "DROP SCHEMA feast CASCADE",
    ):
        with transaction(database_url) as cursor:
            cursor.execute(damage)
        assert stage(JANUARY) == done, damage
        assert stage(JANUARY) == nothing, damage
        assert read_all(database_url, "churn_v2", users_of(JANUARY)) == frozen(JANUARY, "churn_v2"), damage
    assert stage(FEBRUARY).startswith(f"materialize: {USERS - 1} users as of {FEBRUARY}")
    assert read_all(database_url, "churn_v1", users_of(JANUARY)) == frozen(FEBRUARY, "churn_v1")


def test_another_store_in_the_yaml_is_refused(project, database_url, tmp_path):
    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    path = copy / "feature_repo" / "feature_store.yaml"
    path.write_text(path.read_text().replace(OURS, "postgres"))
    with inside(copy):
        store = online_store.online_feature_store(database_url)
        with pytest.raises(FeatureStoreError, match="names another online store or batch engine"):
            put_online(store, JANUARY)
