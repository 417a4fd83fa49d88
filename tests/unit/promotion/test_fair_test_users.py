"""Features that know the label, and users whom a model is judged by although they trained one."""

from datetime import UTC, datetime

import numpy as np
import pytest
from small_month import joined_month

from streamflow.core.schema import feature_column, service_features
from streamflow.features.splits import split_by_user
from streamflow.promotion.leakage import category_rates, rows_after, strongest_feature
from streamflow.promotion.overlap import Split, misplaced_users

TRAIN = [True, False] * 50
TEST = [True, False, False] * 20


def strongest(name, train, test):
    """The ROC AUC of one feature alone."""
    return strongest_feature((feature_column(name),), {name: train}, TRAIN, {name: test}, TEST).roc_auc


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_is_judged_in_the_better_of_both_directions(sign):
    assert strongest("skips_7d", [0] * 100, [sign * churned for churned in TEST]) == 1.0


def test_a_number_that_is_null_for_one_class_only_gives_it_away():
    assert (
        strongest("ticket_avg_resolution_hrs_90d", [0.0] * 100, [None if churned else 0.0 for churned in TEST]) == 1.0
    )


def test_a_category_is_judged_by_its_churn_rate_in_the_train_part_and_null_is_one():
    name = {True: None, False: True}
    train, test = ([name[churned] for churned in labels] for labels in (TRAIN, TEST))
    assert category_rates(train, TRAIN) == {None: 1.0, True: 0.0}
    assert strongest("plan_stream_tv", train, test) == 1.0
    assert strongest("plan_stream_tv", [True] * 100, test) == 0.5  # NULL was never seen in training: no news
    assert strongest("net_service", ["DSL"] * 100, ["No"] * 60) == 0.5


def test_a_feature_that_is_one_constant_ranks_nobody():
    assert strongest("avg_session_mins_7d", [29.1] * 100, [29.1] * 60) == 0.5


def test_no_feature_of_an_honest_month_ranks_nearly_as_well_as_the_limit():
    rows = joined_month(2000)
    parts = np.array(split_by_user(rows["user_id"].to_pylist(), "s", 0.2, 0.25))
    train, test = (rows.filter(parts == part).to_pydict() for part in ("train", "test"))
    found = strongest_feature(service_features("churn_v2"), train, train["churn_label"], test, test["churn_label"])
    assert 0.6 < found.roc_auc < 0.85


def test_rows_of_the_day_are_in_time_and_rows_of_the_next_are_late():
    moments = [
        datetime(2024, 1, 31, 23, 59, tzinfo=UTC),
        datetime(2024, 2, 1, tzinfo=UTC),
        datetime(2023, 1, 1, tzinfo=UTC),
    ]
    assert rows_after(moments, "2024-01-31") == 1


USERS = [f"user-{number}" for number in range(1000)]


def test_the_hash_puts_every_user_where_a_dataset_has_him_and_one_who_moved_is_named():
    split = Split("s", 0.2, 0.25)
    parts = split_by_user(USERS, "s", 0.2, 0.25)
    assert misplaced_users(USERS, parts, split) == []
    moved = ["test" if user == "user-7" and part != "test" else part for user, part in zip(USERS, parts, strict=True)]
    assert parts[7] != "test"
    assert misplaced_users(USERS, moved, split) == ["user-7"]


def test_a_smaller_test_part_holds_only_users_of_the_larger_one_and_another_salt_does_not():
    large, small, other = Split("s", 0.2, 0.4), Split("s", 0.2, 0.25), Split("t", 0.2, 0.25)
    kept = [user for user, held in zip(USERS, small.held_out(USERS), strict=True) if held]
    assert all(large.held_out(kept))
    assert 0 < sum(other.held_out(kept)) < len(kept) / 2


def test_two_splits_differ_by_name_and_value():
    was, now = Split("s", 0.2, 0.25), Split("t", 0.2, 0.3)
    assert was.differences(now) == "split.salt was s, is t, split.test was 0.25, is 0.3"
    assert was.overrides(now) == "split.salt=s split.test=0.25"
    assert was.differences(was) == was.overrides(was) == ""
