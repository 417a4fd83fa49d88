"""Server B: the best that one careful person would write by hand, with no platform under it. The bar for the graph.

FastAPI over uvloop and httptools, one prepared asyncpg read of one wide row, ONNX Runtime with one thread and input arrays
that are made once, orjson. It answers as /predict of the project does, refusals included. It does without what the project's
graph gives: other endpoints, a model that changes while it serves, a database that comes back, a second process.

It makes its own table, schema `bench`, from the frozen snapshot of the model's AS_OF, and drops it at the end.

    python -m benchmarks.serving.by_hand --port 8000
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import numpy as np
import orjson
import pyarrow.parquet as pq
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.serving.listening import listen
from streamflow.core.schema import ENTITY_KEY, EVENT_TIMESTAMP, FEATURE_VIEWS, MODEL_NAME, Column, Kind, views_of
from streamflow.model.scoring import ChurnModel
from streamflow.pipeline.project import snapshot_pattern
from streamflow.postgres.server import database
from streamflow.registry.loading import LoadedModel
from streamflow.registry.registry import PRODUCTION, open_registry

CONNECTIONS = 4
MAX_AGE = timedelta(days=62)
LONGEST_USER_ID = 64
SQL_TYPES: dict[Kind, str] = {"text": "text", "boolean": "boolean", "integer": "bigint", "real": "double precision"}
TABLE = "bench.online"
STAMP = "event_timestamp"


def production(url: str) -> LoadedModel:
    """The verified Production model."""
    registry = open_registry(url)
    return registry.load(registry.version(PRODUCTION))


class WideRows:
    """One row for each user, all features typed, read by a prepared statement on a few connections."""

    def __init__(self, url: str, service: str, as_of: str) -> None:
        self._url, self._service, self._as_of = url, service, as_of
        self._connections: list[asyncpg.Connection] = []
        self._free: asyncio.LifoQueue[Any] = asyncio.LifoQueue()

    async def open(self, features: tuple[Column, ...]) -> None:
        """Fill the table and prepare the statement."""
        names = [column.name for column in features]
        columns = ", ".join(f"{column.name} {SQL_TYPES[column.kind]}" for column in features)
        self._connections = [await asyncpg.connect(self._url) for _ in range(CONNECTIONS)]
        first = self._connections[0]
        await self._drop(first)
        await first.execute("CREATE SCHEMA bench")
        await first.execute(f"CREATE TABLE {TABLE} ({ENTITY_KEY} text PRIMARY KEY, {columns}, {STAMP} timestamptz)")
        schema, table = TABLE.split(".")
        await first.copy_records_to_table(
            table, schema_name=schema, columns=[ENTITY_KEY, *names, STAMP], records=self._records(names)
        )
        await first.execute(f"VACUUM ANALYZE {TABLE}")
        query = f"SELECT {', '.join(names)}, {STAMP} FROM {TABLE} WHERE {ENTITY_KEY} = $1"
        for connection in self._connections:
            statement = await connection.prepare(query)
            # asyncpg prepares without a Sync: until the first execution a transaction stays open and holds the table.
            await statement.fetchrow("")
            self._free.put_nowait(statement)

    async def read(self, user_id: str) -> asyncpg.Record | None:
        """The features of a user in model order, then their event timestamp; None for an unknown user."""
        statement = await self._free.get()
        try:
            return await statement.fetchrow(user_id)
        finally:
            self._free.put_nowait(statement)

    async def close(self) -> None:
        """Drop the table."""
        await self._drop(self._connections[0])
        for connection in self._connections:
            await connection.close()

    async def _drop(self, connection: asyncpg.Connection) -> None:
        await connection.execute("SET client_min_messages = warning")
        await connection.execute("DROP SCHEMA IF EXISTS bench CASCADE")

    def _records(self, names: list[str]) -> list[tuple[Any, ...]]:
        found: dict[str, dict[str, Any]] = {}
        for view, features in views_of(self._service).items():
            path = snapshot_pattern(FEATURE_VIEWS[view].name).replace("*", self._as_of)
            for row in pq.read_table(path, columns=[ENTITY_KEY, EVENT_TIMESTAMP, *features]).to_pylist():
                found.setdefault(row[ENTITY_KEY], {}).update(row)
        return [(user_id, *(row[name] for name in names), row[EVENT_TIMESTAMP]) for user_id, row in found.items()]


class OneRow:
    """Scores one row at a time with input arrays that are made once; for one event loop, not for threads."""

    def __init__(self, model: ChurnModel) -> None:
        self._score = model.score_inputs
        self._inputs = {
            column.name: np.empty(1, dtype=object if column.kind == "text" else np.float32) for column in model.features
        }
        self._arrays = list(self._inputs.values())

    def score(self, values: tuple[Any, ...]) -> tuple[float, int]:
        """Churn probability and prediction for the features in model order."""
        for array, value in zip(self._arrays, values, strict=True):
            array[0] = value  # numpy writes None into a float array as NaN, which is the model's NULL
        (probability,), (prediction,) = self._score(self._inputs)
        return probability, prediction


class ByHand:
    """The handler of POST /predict."""

    def __init__(self, rows: WideRows, loaded: LoadedModel) -> None:
        self._rows, self._row = rows, OneRow(loaded.model)
        self._names = [column.name for column in loaded.model.features]
        self._not_null = [(at, column.name) for at, column in enumerate(loaded.model.features) if not column.nullable]
        self._nullable = [at for at, column in enumerate(loaded.model.features) if column.nullable]
        self._model = orjson.Fragment(
            orjson.dumps(
                {
                    "name": MODEL_NAME,
                    "version": loaded.version,
                    "model_sha256": loaded.model_sha256,
                    "git_commit": loaded.tags["streamflow.git_commit"],
                    "as_of": loaded.tags["streamflow.as_of"],
                }
            )
        )

    async def predict(self, request: Request) -> Response:
        """Predict one user's churn."""
        user_id = asked_user(await request.body())
        if user_id is None:
            return answer(422, {"error": f"body.user_id: a text of 1 to {LONGEST_USER_ID} characters is needed"})
        try:
            record = await self._rows.read(user_id)
        except asyncpg.DataError:  # a text that Postgres can't hold is nobody's id
            record = None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return answer(503, {"error": f"the online store does not answer: {type(error).__name__}"})
        if record is None:
            return self._missing(404, user_id, self._names)
        *values, stamp = record
        nulls = [name for at, name in self._not_null if values[at] is None]
        if nulls:
            return self._missing(422, user_id, nulls)
        probability, prediction = self._row.score(values)
        stale = datetime.now(UTC) - stamp > MAX_AGE
        return answer(
            200,
            {
                "user_id": user_id,
                "prediction": prediction,
                "probability": probability,
                "features_used": dict(zip(self._names, values, strict=True)),
                "null_by_design": [self._names[at] for at in self._nullable if values[at] is None],
                "feature_timestamp": stamp,
                "stale": stale,
                "stale_features": self._names if stale else [],
                "model": self._model,
            },
        )

    def _missing(self, status: int, user_id: str, names: list[str]) -> Response:
        return answer(status, {"error": f"Missing features for user_id={user_id}", "missing_features": names})


def asked_user(body: bytes) -> str | None:
    """The user id of a request's body; None if it holds none."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    user_id = asked.get("user_id") if isinstance(asked, dict) else None
    return user_id if isinstance(user_id, str) and 1 <= len(user_id) <= LONGEST_USER_ID else None


def answer(status: int, content: dict[str, Any]) -> Response:
    """A JSON response."""
    return Response(orjson.dumps(content, option=orjson.OPT_UTC_Z), status, media_type="application/json")


def by_hand_app(url: str) -> FastAPI:
    """POST /predict over a table of its own and the Production model."""
    loaded = production(url)
    rows = WideRows(url, loaded.tags["streamflow.feature_service"], loaded.tags["streamflow.as_of"])

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await rows.open(loaded.model.features)
        yield
        await rows.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    # Not `@app.post`: dependencies, validation and serialisation cost 50 us in place of 17 for an empty answer.
    app.add_route("/predict", ByHand(rows, loaded).predict, methods=["POST"])
    return app


def main() -> None:
    """Serve until SIGINT."""
    with database() as url:
        listen(by_hand_app(url), __doc__)


if __name__ == "__main__":
    main()
