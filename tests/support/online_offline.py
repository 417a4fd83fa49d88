"""Run in a project: compare the online features of every user with the frozen files, value for value; print JSON.

Without Feast, and for any feature service; `streamflow check-skew` is for that of Production.
"""

import asyncio
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

from streamflow.core.schema import FEATURE_SERVICES, FEATURE_VIEWS, feature_view_of
from streamflow.online.rows import OnlineRows
from streamflow.online.values import UserFeatures
from streamflow.postgres.server import database


def offline(month: str, service: str) -> dict[str, dict[str, object]]:
    """Features of every user from the frozen files, read without Feast."""
    users: dict[str, dict[str, object]] = {}
    for name in FEATURE_SERVICES[service]:
        table = FEATURE_VIEWS[feature_view_of(name)].name
        rows = pq.read_table(Path("data/snapshots") / month / f"{table}.parquet", columns=["user_id", name])
        for user, value in zip(rows["user_id"].to_pylist(), rows[name].to_pylist(), strict=True):
            users.setdefault(user, {})[name] = value
    return users


async def online(url: str, service: str, ids: list[str]) -> list[UserFeatures]:
    """The features of the users as serving reads them."""
    rows = OnlineRows(url, service)
    try:
        return [each for start in range(0, len(ids), 1000) for each in await rows.read(ids[start : start + 1000])]
    finally:
        await rows.close()


def main(month: str, service: str) -> None:
    expected = offline(month, service)
    with database() as url:
        found = asyncio.run(online(url, service, sorted(expected)))
    different = [each.user_id for each in found if each.values != expected[each.user_id]]
    moments = {moment.isoformat() for each in found for moment in each.timestamps.values()}
    null_plans = sum(each.values["plan_stream_tv"] is None for each in found)
    print(
        json.dumps(
            {"users": len(found), "different": different[:5], "null_plans": null_plans, "moments": sorted(moments)}
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
