"""Resolvers that conf/config.yaml uses; DVC and Streamflow load them through `hydra.plugins_path`."""

from pathlib import Path

from omegaconf import OmegaConf

from streamflow.core.calendar import month_later
from streamflow.core.schema import service_without
from streamflow.pipeline.file_digest import tree_sha256

CONF = Path(__file__).parents[2]

OmegaConf.register_new_resolver("month_later", month_later, replace=True)
OmegaConf.register_new_resolver("conf_sha256", lambda: tree_sha256(CONF), replace=True)
OmegaConf.register_new_resolver(
    "service_without", lambda service, absent: service_without(service, list(absent or ())), replace=True
)
