"""What differs between two results."""

from dataclasses import replace

from this_result import RESULT, committed

from streamflow.provenance.comparison import differing, flat, snapshot_differences
from streamflow.provenance.result import read_result


def test_differences_of_results():
    assert [each.to_json() for each in differing({"a": 1, "b": 2}, {"b": 3, "c": 4})] == [
        {"name": "a", "before": 1, "after": None},
        {"name": "b", "before": 2, "after": 3},
        {"name": "c", "before": None, "after": 4},
    ]
    assert flat({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}
    lock = RESULT.lock_text.replace(RESULT.snapshots["2024-01-31"], "0" * 32 + ".dir")
    receipts = {**RESULT.receipts, "data/snapshots/2024-01-31/labels.parquet": "0"}
    files = {"dvc.lock": lock.encode()}
    other = replace(read_result(lambda name: files.get(name, committed(name)), "other"), receipts=receipts)
    rows = {"2024-01-31": {"labels": 7043}}, {"2024-01-31": {"labels": 7042}}
    assert snapshot_differences(RESULT, other, *rows) == [
        {
            "month": "2024-01-31",
            "before": RESULT.snapshots["2024-01-31"],
            "after": "0" * 32 + ".dir",
            "tables": [{"table": "labels", "rows_before": 7043, "rows_after": 7042}],
        }
    ]
