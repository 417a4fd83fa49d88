"""How long reading one user takes: OnlineRows for churn_v1 against asyncpg's prepared read of one table that has it all.

    python -m benchmarks.serving.lookup [--users 100000]

Both in this process over one connection each, turn by turn, three rounds; schemas `feast` and `bench` of an embedded
server of its own.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import asyncpg

from benchmarks.serving.online_tables_filled import fill
from streamflow.core.schema import ENTITY_KEY, FEATURE_SERVICES, views_of
from streamflow.extracts.synthetic import user_ids
from streamflow.online.rows import OnlineRows, connect_arguments
from streamflow.online.tables import SCHEMA, online_table
from streamflow.postgres.connection import transaction
from streamflow.postgres.server import database

SERVICE = "churn_v1"
ROUNDS, READS, WARM_UP = 3, 3000, 300


async def measure(url: str, users: list[str]) -> None:
    """Print the rounds."""
    ours = OnlineRows(url, SERVICE)
    connection = await asyncpg.connect(**connect_arguments(url))
    columns = ", ".join(FEATURE_SERVICES[SERVICE])
    statement = await connection.prepare(f"SELECT {columns}, event_timestamp FROM bench.wide WHERE {ENTITY_KEY} = $1")
    found = (await ours.read([users[0]]))[0].values
    assert [found[name] for name in FEATURE_SERVICES[SERVICE]] == list(await statement.fetchrow(users[0]))[:-1]

    ratios = []
    for number in range(ROUNDS):
        readers = (lambda user: ours.read([user]), statement.fetchrow)
        own, plain = await timed(readers, random.Random(number).choices(users, k=READS))
        ratios.append(own / plain)
        print(
            f"round {number + 1}: OnlineRows {own * 1e6:.0f} µs, one wide row {plain * 1e6:.0f} µs, {ratios[-1]:.2f} times"
        )
    print(f"median ratio {statistics.median(ratios):.2f}")
    for size in (100, 1000):
        asked = random.Random(size).sample(users, size)
        (batch,) = await timed((partial(_all, ours, asked),), [""] * 20)
        print(f"OnlineRows, {size} users in one read: {batch * 1e3:.1f} ms")
    await ours.close()
    await connection.close()


async def _all(reader: OnlineRows, users: list[str], _: str) -> object:
    return await reader.read(users)


async def timed(readers: tuple[Callable[[str], Awaitable[object]], ...], users: list[str]) -> list[float]:
    """Median seconds of each reader, called in turn for each user."""
    seconds: list[list[float]] = [[] for _ in readers]
    for user in users:
        for read, taken in zip(readers, seconds, strict=True):
            start = time.perf_counter()
            await read(user)
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken[min(WARM_UP, len(taken) // 2) :]) for taken in seconds]


def one_wide_table(url: str) -> None:
    """bench.wide: the features of the service in one table."""
    first, *others = [online_table(view) for view in views_of(SERVICE)]
    columns = ", ".join(FEATURE_SERVICES[SERVICE])
    joins = " ".join(f"JOIN {table.qualified} USING ({ENTITY_KEY})" for table in others)
    with transaction(url) as cursor:
        cursor.execute(
            "CREATE SCHEMA bench;"
            f" CREATE TABLE bench.wide AS SELECT {ENTITY_KEY}, {columns}, {first.qualified}.event_timestamp"
            f" FROM {first.qualified} {joins}; ALTER TABLE bench.wide ADD PRIMARY KEY ({ENTITY_KEY})"
        )
        cursor.execute("ANALYZE")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    users = parser.parse_args().users
    print(f"{' '.join(sys.argv)}: {users} users, {os.cpu_count()} cores, {ROUNDS} rounds of {READS} reads each, p50")
    with tempfile.TemporaryDirectory() as folder, database(Path(folder)) as url:
        fill(url, SCHEMA, users)
        one_wide_table(url)
        asyncio.run(measure(url, user_ids(users).tolist()))
