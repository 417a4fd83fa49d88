"""What a frozen month holds is counted from its files as they are written."""

import pyarrow.compute as pc
import pytest

from streamflow.core.errors import HistoryError
from streamflow.core.schema import TABLES
from streamflow.extracts.synthetic import generate_month
from streamflow.pipeline import parquet
from streamflow.snapshots.profile import MonthProfile, month_profile


def test_users_churners_and_nulls_are_those_of_the_tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 64)  # several footers to add up
    tables = generate_month(150, "2024-01-31", 3)
    for name, rows in tables.items():
        parquet.write_parquet(tmp_path / f"data/snapshots/2024-01-31/{name}.parquet", rows.schema, rows.to_batches())
    profile = month_profile("2024-01-31")
    without_internet = pc.sum(pc.equal(tables["subscriptions"]["net_service"], "No")).as_py()
    assert (profile.as_of, profile.users) == ("2024-01-31", 150)
    assert profile.churners == pc.sum(tables["labels"]["churn_label"]).as_py() > 0
    assert profile.churn_rate == profile.churners / 150
    assert profile.columns_with_null == {"plan_stream_tv": without_internet, "plan_stream_movies": without_internet}
    assert list(profile.nulls) == [column.name for table in TABLES for column in table.columns]


def test_a_month_that_can_not_be_read_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HistoryError, match=r"data/snapshots/2024-01-31 can't be read: .*; `streamflow fsck`"):
        month_profile("2024-01-31")
    folder = tmp_path / "data/snapshots/2024-01-31"
    folder.mkdir(parents=True)
    for table in TABLES:
        (folder / f"{table.name}.parquet").write_bytes(b"PAR1")
    with pytest.raises(HistoryError, match="can't be read"):
        month_profile("2024-01-31")


def test_a_month_without_users_has_no_churn_rate_to_speak_of():
    assert MonthProfile("2024-01-31", 0, 0, {}).churn_rate == 0.0
