"""The lookup hands on what it read, and times it, failed reads included."""

import asyncio

import pytest
from counters import counters

from serve.feature_lookup import FeatureLookup
from streamflow.core.errors import FeatureStoreError
from streamflow.online.values import UserFeatures


class Rows:
    """Users without features; down if asked for nobody."""

    async def read(self, user_ids):
        if not user_ids:
            raise FeatureStoreError("the online store does not answer")
        return [UserFeatures(user, {}, {}) for user in user_ids]


def test_users_are_read_in_order_and_each_read_is_timed(tmp_path):
    metrics = counters(tmp_path)
    lookup = FeatureLookup(Rows(), metrics)
    assert [each.user_id for each in asyncio.run(lookup.lookup(["b", "a"]))] == ["b", "a"]
    with pytest.raises(FeatureStoreError):
        asyncio.run(lookup.lookup([]))
    lines = metrics.scrape().decode().splitlines()
    assert 'streamflow_part_seconds_count{part="lookup"} 2.0' in lines
    assert 'streamflow_part_seconds_count{part="score"} 0.0' in lines
