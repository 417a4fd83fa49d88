"""What `serve run serve.app:build key=value` takes: the defaults that the documentation names, and the limits."""

import pytest
from project import ROOT
from pydantic import ValidationError

from serve.arguments import PRODUCTION, Arguments


def test_the_defaults():
    assert PRODUCTION == "Production"
    assert Arguments().model_dump() == {
        "graph": "split",
        "model": "Production",
        "feature_service": None,
        "max_age_days": 62,
        "stale_policy": "flag",
        "any_source": False,
        "replicas": 1,
        "gateways": 1,
        "token": None,
        "root": str(ROOT),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("graph", "fused"), ("model", "3"), ("model", "v3"), ("model", "champion-2_x.y")),
        *(("feature_service", "churn_v1"), ("feature_service", "churn_v2"), ("max_age_days", "0.5")),
        *(("stale_policy", "refuse"), ("replicas", "64"), ("gateways", "64"), ("token", "12345678")),
    ],
)
def test_text_from_a_command_line_is_taken(name, value):
    found = getattr(Arguments.model_validate({name: value}), name)
    assert str(found) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("graph", "both"), ("model", ""), ("model", "a b"), ("model", "a/b"), ("feature_service", "churn_v9")),
        *(("feature_service", "churn_v1x"), ("feature_service", "xchurn_v2"), ("max_age_days", 0), ("replicas", 0)),
        *(("max_age_days", "long"), ("stale_policy", "hide"), ("replicas", 65), ("gateways", 0), ("gateways", 65)),
        *(("token", "1234567"), ("surprise", 1)),
    ],
)
def test_what_is_unknown_or_out_of_bounds_is_refused_by_name(name, value):
    with pytest.raises(ValidationError) as refused:
        Arguments.model_validate({name: value})
    assert refused.value.errors()[0]["loc"] == (name,)


def test_arguments_do_not_change_and_the_service_is_filled_in_before_it_is_asked_for():
    arguments = Arguments()
    with pytest.raises(ValidationError, match="frozen"):
        arguments.replicas = 2
    with pytest.raises(AssertionError):
        _ = arguments.service
    assert Arguments(feature_service="churn_v2").service == "churn_v2"
