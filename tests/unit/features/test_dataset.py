"""One row for each user, or the reason why there is none: the guards of the training set."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from small_month import joined_month

from streamflow.core.errors import FeatureStoreError, HistoryError
from streamflow.core.schema import FEATURE_SERVICES
from streamflow.features.dataset import assemble, dataset_schema, entity_rows, summary
from streamflow.features.splits import split_by_user

AS_OF = datetime(2024, 1, 31, tzinfo=UTC)
HOW = {"salt": "s", "validation": 0.2, "test": 0.25}


@pytest.fixture(scope="module")
def month():
    """Users, their features as a point-in-time join gives them (in another order), and their labels."""
    rows = joined_month(200)
    moments = pa.array([AS_OF] * rows.num_rows, pa.timestamp("us", tz="UTC"))
    users = pa.table({"user_id": rows["user_id"], "as_of": moments})
    names = ["user_id", *FEATURE_SERVICES["churn_v1"]]
    features = rows.select(names).append_column("as_of", moments).sort_by([("user_id", "descending")])
    return users, features, rows.select(["churn_label", "user_id"])


def joined(month, **changed):
    users, features, labels = month
    parts = {"service": "churn_v1", "users": users, "features": features, "labels": labels, **HOW, **changed}
    return assemble(**parts)


def test_a_training_set_has_features_label_and_part_of_each_user_sorted_by_user(month):
    users, features, labels = month
    rows = joined(month)
    ids = users["user_id"].to_pylist()
    assert rows["user_id"].to_pylist() == ids == sorted(ids)
    assert set(rows["as_of"].to_pylist()) == {AS_OF}
    assert rows["monthly_fee"].to_pylist() == features["monthly_fee"].to_pylist()[::-1]
    assert rows["churn_label"].to_pylist() == labels["churn_label"].to_pylist()
    assert rows["split"].to_pylist() == split_by_user(ids, "s", 0.2, 0.25)
    assert rows.schema.equals(dataset_schema("churn_v1"))
    assert rows["user_id"].num_chunks == 1


def test_the_columns_of_a_training_set_are_in_model_order_and_only_two_may_be_null():
    schema = dataset_schema("churn_v2")
    assert schema.names == ["user_id", "as_of", *FEATURE_SERVICES["churn_v2"], "churn_label", "split"]
    assert [field.name for field in schema if field.nullable] == ["plan_stream_tv", "plan_stream_movies"]
    types = {name: str(schema.field(name).type) for name in ("user_id", "as_of", "skips_7d", "churn_label", "split")}
    assert types == {
        "user_id": "string",
        "as_of": "timestamp[us, tz=UTC]",
        "skips_7d": "int64",
        "churn_label": "bool",
        "split": "string",
    }


def test_features_are_asked_for_by_user_and_date_sorted_by_user():
    users = pa.table({"user_id": ["b", "a"], "as_of": [AS_OF, AS_OF], "monthly_fee": [1.0, 2.0]})
    assert entity_rows(users).to_pydict() == {"user_id": ["a", "b"], "as_of": [AS_OF, AS_OF]}


def test_a_user_whom_the_later_month_no_longer_has_is_left_out(month):
    users, _, labels = month
    rows = joined(month, labels=labels.slice(3))
    assert rows["user_id"].to_pylist() == users["user_id"].to_pylist()[3:]
    assert rows["churn_label"].to_pylist() == labels["churn_label"].to_pylist()[3:]


@pytest.mark.parametrize("change", ["lost", "repeated", "another"])
def test_a_join_that_does_not_give_one_row_for_each_user_is_refused(month, change):
    _, features, _ = month
    other = {
        "lost": features.slice(1),
        "repeated": pa.concat_tables([features, features.slice(0, 1)]),
        "another": pa.concat_tables([features.slice(1), features.slice(1, 1)]),
    }[change]
    with pytest.raises(FeatureStoreError, match=f"gave {other.num_rows} rows for 200 users, not one for each"):
        joined(month, features=other)


def test_no_user_with_features_and_a_label_is_refused(month):
    labels = pa.table({"user_id": ["somebody else"], "churn_label": [True]})
    with pytest.raises(HistoryError, match="no user has both features and a label"):
        joined(month, labels=labels)


def test_a_null_that_must_not_be_is_refused_with_the_first_user_and_one_by_design_is_not(month):
    users, features, _ = month

    def holed(name, *rows):
        values = features[name].to_pylist()
        for row in rows:
            values[row] = None
        position = features.schema.get_field_index(name)
        return features.set_column(position, name, pa.array(values, features.schema.field(name).type))

    with pytest.raises(FeatureStoreError, match="left monthly_fee NULL for 2 users") as refused:
        joined(month, features=holed("monthly_fee", 3, 9))
    assert f"(first {users['user_id'][190].as_py()})" in str(refused.value)
    assert joined(month, features=holed("plan_stream_tv", 3))["plan_stream_tv"].null_count > 0


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize("label", [True, False])
def test_a_part_without_churners_or_without_others_is_refused(month, part, label):
    users, _, labels = month
    ids = users["user_id"].to_pylist()
    parts = split_by_user(ids, "s", 0.2, 0.25)
    same = [
        label if each == part else given for each, given in zip(parts, labels["churn_label"].to_pylist(), strict=True)
    ]
    with pytest.raises(HistoryError, match=f"the {part} part lacks churners or others"):
        joined(month, labels=pa.table({"user_id": ids, "churn_label": same}))


def test_a_summary_counts_users_and_churners_in_all_and_in_each_part(month):
    rows = joined(month)
    parts, labels = rows["split"].to_pylist(), rows["churn_label"].to_pylist()

    def counted(part):
        inside = [churned for each, churned in zip(parts, labels, strict=True) if each == part]
        return {"rows": len(inside), "churners": sum(inside)}

    assert summary(rows, "2024-01-31", "2024-02-29", "churn_v1") == {
        "as_of": "2024-01-31",
        "label_as_of": "2024-02-29",
        "feature_service": "churn_v1",
        "rows": 200,
        "churners": sum(labels),
        "parts": {part: counted(part) for part in ("train", "validation", "test")},
    }
    assert summary(rows.slice(0, 0), "", "", "")["churners"] == 0
