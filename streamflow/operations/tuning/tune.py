"""`streamflow tune` from request to file of conf/experiment: configuration, users, search, comparison, file."""

import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from threadpoolctl import threadpool_limits

from streamflow.core.config import Config, main_overrides
from streamflow.core.errors import ConfigError
from streamflow.core.yaml_text import parse_yaml
from streamflow.model.recipe import recipe_of
from streamflow.operations.repro.compose import compose_config
from streamflow.operations.tuning.experiment import (
    check_experiment_name,
    experiment_text,
    group_overrides,
    provenance_lines,
)
from streamflow.operations.tuning.optimiser import search
from streamflow.operations.tuning.search import (
    Found,
    Objective,
    Space,
    Spread,
    Trial,
    check_space,
    compare_scores,
    development_users,
    space_of,
)
from streamflow.operations.tuning.training_set import frozen_dataset
from streamflow.pipeline.file_digest import tree_sha256
from streamflow.pipeline.layout import CONF, PARAMS
from streamflow.pipeline.params import read_all_params
from streamflow.pipeline.project import replacing

EXPERIMENTS = CONF / "experiment"
SPACES = CONF / "search"
# The groups of an experiment; an experiment that is tuned again states them itself.
_OF_EXPERIMENT = ("model", "features", "calibration", "threshold")


@dataclass(frozen=True)
class Request:
    """What to tune, for which score, within which budget; `seconds` None has no limit of time."""

    overrides: Sequence[str]
    metric: str
    trials: int
    seconds: float | None
    seed: int | None
    name: str | None
    force: bool


@dataclass(frozen=True)
class Tuned:
    """The outcome; `path` is None if nothing was better than the untuned model, and nothing was written."""

    config: Config
    found: Found
    spread: Spread
    path: Path | None


Watch = Callable[[Config, int, Sequence[float]], AbstractContextManager[Callable[[int, Trial | None], None]]]


def tune(request: Request, watch: Watch) -> Tuned:
    """Search, compare the best with the untuned model on other folds, and write the experiment if it is better.

    `watch` shows the progress: it gets the configuration, the budget and the untuned model's scores.
    Raises ConfigError or ModelError before the search if something is missing or invalid.
    """
    config, _ = compose_config(_from_params(request.overrides))
    path = _free_path(request.name or f"tuned_{config.model_name}", request.force)
    space = _space(config)
    objective = _objective(config, request.metric)
    seed = config.seed if request.seed is None else request.seed

    with threadpool_limits(limits=config.compute.threads):
        untuned = list(objective.scores({}))
        with watch(config, request.trials, untuned) as after_trial:
            found = search(
                space,
                objective.scores,
                untuned,
                trials=request.trials,
                seconds=request.seconds,
                seed=seed,
                after_trial=after_trial,
            )
        if found.best is None:
            raise ConfigError(f"--timeout={request.seconds}: no trial ended in that time; use a longer --timeout")
        elsewhere = objective.on_other_folds()
        spread = compare_scores(
            list(elsewhere.scores(found.best.values)), list(elsewhere.scores({})), request.metric
        )  # fmt: skip
    if spread.gain <= 0:
        return Tuned(config, found, spread, None)

    users = len(objective.users.user_ids)
    comments = provenance_lines(
        _command(request, config, seed, path.stem),
        config,
        request.metric,
        spread,
        found,
        seed,
        users,
        elsewhere.repeats,
    )
    default = compose_config([])[0]
    same_groups = compose_config(group_overrides(config, default))[0]
    text = experiment_text(path.stem, config, default, same_groups, found.best.values, comments)
    _write(path, text)
    return Tuned(config, found, spread, path)


def _from_params(overrides: Sequence[str]) -> list[str]:
    """The choices of params.yaml as overrides, then the given overrides; these replace them."""
    given = {override.lstrip("+").split("=")[0] for override in overrides}
    if "experiment" in given:
        given |= set(_OF_EXPERIMENT)
    kept = [override for each in main_overrides(read_all_params()) for override in shlex.split(each)]
    return [*(override for override in kept if override.split("=")[0] not in given), *overrides]


def _free_path(name: str, force: bool) -> Path:
    check_experiment_name(name)
    path = EXPERIMENTS / f"{name}.yaml"
    if path.exists() and not force:
        raise ConfigError(f"{path} exists; choose another --name, or overwrite it with --force")
    return path


def _space(config: Config) -> Space:
    path = SPACES / f"{config.model_name}.yaml"
    try:
        content: Any = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(each.stem for each in SPACES.glob("*.yaml")))
        raise ConfigError(f"{path} is missing, so there is no search space; write the file, or tune {known}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    space = space_of(content, str(path))
    check_space(space, recipe_of(config).settings, str(path))
    return space


def _objective(config: Config, metric: str) -> Objective:
    recipe, how = recipe_of(config), config.cross_validation
    users = development_users(frozen_dataset(config), recipe, config.sample_weight)
    share = config.split.validation / (1 - config.split.test)
    return Objective(recipe, users, metric, f"{config.split.salt}:tune", how.repeats, how.folds, share)


def _command(request: Request, config: Config, seed: int, name: str) -> str:
    words = [
        "streamflow", "tune", "--name", name, "--trials", str(request.trials), "--seed", str(seed),
        "--metric", request.metric, f"features={config.features.service}", f"model={config.model_name}",
    ]  # fmt: skip
    others = [each for each in request.overrides if each.split("=")[0] not in ("features", "model")]
    return shlex.join([*words, *others])


def _write(path: Path, text: str) -> None:
    """Write the experiment. Renew the digest of conf/ in params.yaml if it was up to date."""
    params = PARAMS.read_text(encoding="utf-8")
    before, is_new = tree_sha256(CONF), not path.exists()
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    line = f"conf_sha256: {before}\n"
    if is_new and line in params:
        with replacing(PARAMS) as partial:
            partial.write_text(params.replace(line, f"conf_sha256: {tree_sha256(CONF)}\n"), encoding="utf-8")
