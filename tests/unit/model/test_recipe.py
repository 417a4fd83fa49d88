"""The recipe of a configuration."""

from omegaconf import OmegaConf
from project import ROOT

from streamflow.core.config import parse_config
from streamflow.core.schema import service_features
from streamflow.model.recipe import recipe_of
from streamflow.model.thresholds import ThresholdPolicy
from streamflow.model.training import Recipe


def test_a_recipe_is_what_four_sections_state():
    values = OmegaConf.load(ROOT / "params.yaml")
    model = {"_target_": "sklearn.linear_model.LogisticRegression", "C": 0.5, "more": {"a": [1]}}
    prices = {"policy": "cost", "missed_churner": 200.0, "wasted_offer": 20.0}
    changes = {"model": model, "features": {"service": "churn_v2"}, "calibration": {"method": "none"}}
    recipe = recipe_of(parse_config({**values, **changes, "threshold": prices}))
    policy = ThresholdPolicy("cost", 200.0, 20.0, None)
    assert recipe == Recipe(model, service_features("churn_v2"), "none", policy)
    assert type(recipe.settings["more"]) is dict
