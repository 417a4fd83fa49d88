"""From the configuration to the recipe of a model."""

from typing import Any

from omegaconf import OmegaConf

from streamflow.core.config import Config
from streamflow.core.schema import service_features
from streamflow.model.thresholds import ThresholdPolicy
from streamflow.model.training import Recipe


def recipe_of(config: Config) -> Recipe:
    """The recipe that the sections model, features, calibration and threshold state."""
    settings: Any = OmegaConf.to_container(config.model)
    how: Any = OmegaConf.to_container(config.threshold)
    return Recipe(
        settings, service_features(config.features.service), config.calibration.method, ThresholdPolicy(**how)
    )
