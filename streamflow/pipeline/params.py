"""params.yaml, as a typed configuration: the whole, or the part that a stage declares."""

from collections.abc import Mapping
from typing import Any

import yaml

from streamflow.core.config import Config, parse_config
from streamflow.core.errors import ConfigError
from streamflow.core.yaml_text import parse_yaml
from streamflow.pipeline.layout import PARAMS, PIPELINE


def read_params(stage: str) -> Config:
    """The part of params.yaml that dvc.yaml declares for a stage; reading any other section raises.

    A stage that depends on the file itself sees all of it.
    """
    definition = parse_yaml(PIPELINE.read_text(encoding="utf-8"))["stages"][stage]
    body = definition.get("do") or definition
    return read_all_params() if str(PARAMS) in body["deps"] else parse_config(_load_params(), body.get("params", ()))


def read_all_params() -> Config:
    """The whole of params.yaml."""
    return parse_config(_load_params())


def promotion_section() -> dict[str, Any]:
    """The section `promotion` of params.yaml: the rule by which Production moves."""
    return dict(_load_params().get("promotion") or {})


def _load_params() -> Mapping[str, Any]:
    # The base loader would leave numbers as text; the safe loader would make dates of quoted text only.
    try:
        values = parse_yaml(PARAMS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("params.yaml is missing; compose it with `streamflow repro model=random_forest`") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"params.yaml is not YAML: {error}; `git checkout params.yaml`") from error
    if not isinstance(values, dict):
        raise ConfigError("params.yaml is not a mapping of names to values; `git checkout params.yaml`")
    return values
