"""An experiment file of conf/experiment: only what it changes, and the origin of its values."""

import re
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import yaml

from streamflow.core.config import Config, choices
from streamflow.core.errors import ConfigError
from streamflow.operations.tuning.search import Found, Spread, with_values
from streamflow.provenance.comparison import flat

# Groups that make a model, in the order in which a file states them; features and model are always stated.
_GROUPS = ("features", "model", "calibration", "threshold")
_STATED = ("features", "model")
# Sections and keys of the configuration that make a model; dates, sources and machines are not the experiment's.
_RECIPE = ("label_horizon_months", "sample_weight", "model", "calibration", "threshold")
_WIDTH = 120
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def check_experiment_name(name: str) -> None:
    """Check that a name can be a Hydra choice and a file name. Raises ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--name={name} can't name an experiment; use letters, digits, - and _")


def group_overrides(config: Config, default: Config) -> list[str]:
    """`group=choice` for what the experiment chooses: features and model, and other groups if the default differs."""
    chosen, usual = choices(config), choices(default)
    return [f"{group}={chosen[group]}" for group in _GROUPS if group in _STATED or chosen[group] != usual[group]]


def experiment_text(
    name: str, config: Config, default: Config, same_groups: Config, values: Mapping[str, Any], comments: list[str]
) -> str:
    """The file: comments, groups, and what the recipe with the tuned `values` changes in what the groups compose.

    `same_groups` is the configuration that conf/ composes for the groups alone.
    """
    content: dict[str, Any] = {}
    wanted = {key: _plain(config)[key] for key in _RECIPE}
    wanted["model"] = with_values(wanted["model"], values)
    usual = flat({key: _plain(same_groups)[key] for key in _RECIPE})
    for key, value in flat(wanted).items():
        if key not in usual or usual[key] != value or key.removeprefix("model.") in values:
            _put(content, key, value)
    lines = ["# @package _global_", f"# streamflow repro experiment={name}"]
    lines += [f"# {line}" for comment in comments for line in wrap(comment, _WIDTH - 2, break_on_hyphens=False)]
    lines += ["defaults:", *(f"  - override /{pair.replace('=', ': ')}" for pair in group_overrides(config, default))]
    return "\n".join(lines) + "\n" + yaml.safe_dump(content, sort_keys=False, default_flow_style=False, width=_WIDTH)


def provenance_lines(
    command: str, config: Config, metric: str, spread: Spread, found: Found, seed: int, users: int, repeats: int
) -> list[str]:
    """The comments of the file, a paragraph each: how it was found, how good it is and how sure that is."""
    folds = spread.folds // repeats
    gave_up = f", {found.given_up} of them pruned between folds" if found.given_up else ""
    ended = f"; ended before the rest: {found.ended}" if found.ended else ""
    return [
        f"Found by `{command}`",
        f"As of {config.as_of}, labels as of {config.label_as_of}: {found.trials} trials with seed {seed}{gave_up}{ended}.",
        f"{metric} {spread.score:.4f} ± {spread.sd:.4f}, untuned {spread.untuned:.4f} ± {spread.untuned_sd:.4f}:"
        f" better by {spread.gain:.4f} ± {spread.gain_sd:.4f}{', which is within the noise,' if spread.is_noise else ''}"
        f" over {repeats} x {folds} folds of {users} users, other folds than those of the search; no test user was used.",
    ]


def _put(content: dict[str, Any], key: str, value: Any) -> None:
    *folders, name = key.split(".")
    part = content
    for folder in folders:
        part = part.setdefault(folder, {})
    part[name] = value


def _plain(config: Config) -> dict[str, Any]:
    from omegaconf import OmegaConf

    content: Any = OmegaConf.to_container(OmegaConf.create(config))  # type: ignore[call-overload]
    return dict(content)
