"""Composing params.yaml from conf/ and running the DVC pipeline, in this process and as DVC itself does it."""

import fcntl
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from streamflow.core.calendar import month_later
from streamflow.core.config import Config, parse_config
from streamflow.core.config_checks import check
from streamflow.core.errors import ConfigError, StreamFlowError, cut, did_you_mean, first_line
from streamflow.core.yaml_text import parse_yaml
from streamflow.operations.repro.suggestions import unknown_key
from streamflow.pipeline.audit import wait_for_writers
from streamflow.pipeline.environment import STEERING
from streamflow.pipeline.layout import (
    CHOICES,
    CONF,
    CROSS_VALIDATION_METRICS,
    INGEST_RECEIPTS,
    LOCK,
    METRICS,
    PARAMS,
    RECEIPTS,
)
from streamflow.pipeline.lifeline import VARIABLE, lifeline
from streamflow.pipeline.params import read_all_params
from streamflow.pipeline.project import replacing, state_dir
from streamflow.warehouse.closed_months import witness_file

PLUGINS = CONF / "plugins"
# Tracked files that the first stages write; a failed run restores them.
_TRACKED_BY_INTAKE = (
    PARAMS,
    LOCK,
    CHOICES,
    CROSS_VALIDATION_METRICS,
    METRICS,
)
_INTAKE_STAGES = ("config", "ingest")


class StageFailed(Exception):
    """A stage failed; it has printed the reason itself."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


def compose(overrides: Sequence[str]) -> Config:
    """Compose params.yaml from conf/ and `overrides` (Hydra's grammar) and check it; write it only if it is valid.

    Raises ConfigError naming the override, the value and what is allowed.
    """
    config, text = compose_config(overrides)
    with replacing(PARAMS) as partial:
        partial.write_text(text, encoding="utf-8")
    return config


def compose_config(overrides: Sequence[str]) -> tuple[Config, str]:
    """The valid configuration of conf/ and `overrides`, and the text of its params.yaml; writes nothing.

    Raises ConfigError as `compose` does.
    """
    from dvc.utils.hydra import compose_and_dump
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    with TemporaryDirectory() as scratch:
        dumped = Path(scratch) / "params.yaml"
        try:
            compose_and_dump(str(dumped), str(CONF.resolve()), None, "config", str(PLUGINS.resolve()), list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            raise _override_error(error, overrides) from error
        except OSError as error:  # a name that no file can have
            raise ConfigError(f"{cut(' '.join(overrides))}: {error.strerror}; see conf/config.yaml") from error
        text = dumped.read_text(encoding="utf-8")
    config = parse_config(parse_yaml(text))
    check(config)
    return config, text


def redate(as_of: str) -> Config:
    """Change `as_of` in params.yaml, and the label's date with it; keep every other value.

    Composing would start from conf/ and lose those values. Raises ConfigError if that date can't be trained on.
    """
    from omegaconf import OmegaConf

    horizon = read_all_params().label_horizon_months
    values = parse_yaml(PARAMS.read_text(encoding="utf-8"))
    values |= {"as_of": as_of, "label_as_of": month_later(as_of, horizon)}
    config = parse_config(values)
    check(config)
    with replacing(PARAMS) as partial:
        partial.write_text(OmegaConf.to_yaml(OmegaConf.create(values)), encoding="utf-8")  # as `compose` writes it
    return config


def reproduce(force: bool = False) -> None:
    """Run `dvc repro` for what params.yaml says. Raises StageFailed, or another StreamFlowError if DVC can't start."""
    from dvc.exceptions import DvcException, ReproductionError
    from dvc.lock import LockError
    from dvc.repo import Repo

    for name in STEERING:
        os.environ.pop(name, None)
    # Stages call `python`; it must be the one of this environment.
    if force:
        witness_file().unlink(missing_ok=True)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    _announce_stages()
    try:
        with Repo() as repo:
            repo.reproduce(force=force, on_error="fail")
    except LockError as error:
        raise ConfigError(
            "another run of the pipeline has DVC's lock; wait for it to end, then run this again"
        ) from error
    except ReproductionError as error:
        if isinstance(error.__cause__, LockError):
            raise ConfigError(
                "another run of the pipeline has DVC's lock; wait for it to end, then run this again"
            ) from error
        stage = re.search(r"'([^']+)'", str(error))
        raise StageFailed(stage[1] if stage else str(error)) from error
    except DvcException as error:
        raise ConfigError(f"DVC: {first_line(error)}; `dvc status` shows more") from error


def _announce_stages() -> None:
    """On a terminal, print which stage starts, from DVC's own log; the stages print their results."""
    logger = logging.getLogger("dvc")
    logger.setLevel(logging.INFO if sys.stderr.isatty() else logging.WARNING)
    logger.propagate = False
    started = logging.StreamHandler(sys.stderr)
    started.addFilter(lambda record: record.getMessage().startswith("Running stage"))
    started.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers = [started] if sys.stderr.isatty() else [logging.NullHandler()]


@contextmanager
def single_run() -> Iterator[None]:
    """Allow one `streamflow repro` in this clone at a time. Raises ConfigError if another one is running.

    The stages that the block starts end with this process, even if it is killed; stages of a killed `dvc` end first.
    """
    with (state_dir() / "pipeline.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                "another `streamflow repro` is running in this clone; wait for it to end, then run this again"
            ) from None
        with wait_for_writers(), lifeline(state_dir()) as line:
            os.environ[VARIABLE] = str(line)
            try:
                yield
            finally:
                del os.environ[VARIABLE]


@contextmanager
def restore_on_failure(overrides: Sequence[str]) -> Iterator[None]:
    """Restore the tracked files if the block fails: with overrides always, else if the extracts were rejected.

    Without overrides, if a later stage fails, the outputs of the stages before it stay, as with `dvc repro`.
    """
    before = {path: path.read_bytes() if path.exists() else None for path in _intake_files()}
    try:
        yield
    except StageFailed as failure:
        if overrides or failure.stage.split("@")[0] in _INTAKE_STAGES:
            _restore(before)
            _check_out()
        raise
    except StreamFlowError:
        _restore(before)
        raise


def _check_out() -> None:
    """Restore the outputs that DVC removed for the failed run from its cache, as far as it has them."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with suppress(DvcException), Repo() as repo:
        repo.checkout(force=True)


def _intake_files() -> list[Path]:
    return [
        *_TRACKED_BY_INTAKE,
        *sorted(path for folder in (INGEST_RECEIPTS, RECEIPTS) for path in folder.glob("*.json")),
    ]


def _restore(before: dict[Path, bytes | None]) -> None:
    for path in {*before, *_intake_files()}:
        content = before.get(path)
        if content is None:
            path.unlink(missing_ok=True)
        elif not path.exists() or path.read_bytes() != content:
            with replacing(path) as partial:
                partial.write_bytes(content)


def _override_error(error: Exception, overrides: Sequence[str]) -> ConfigError:
    from hydra.errors import OverrideParseException

    text = str(error)
    reason = error.__cause__ or error.__context__
    if isinstance(reason, ConfigError):  # from one of our own resolvers
        return reason
    missing = re.search(
        r"Could not find '([^'/]+)/([^']+)'.*?Available options in '[^']*':\n((?:\t\S+\n)+)", text, re.DOTALL
    )
    if missing:
        group, choice, options = missing.groups()
        meant = did_you_mean(choice, options.split())
        choice = cut(choice)
        return ConfigError(f"{group}={choice}: no such option{meant}; one of {', '.join(options.split())}")
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        return ConfigError(unknown_key(unknown[1]))
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"{cut(error.override)} is no override ({cut(first_line(text))}); write KEY=VALUE,"
            " a list as 'months=[2024-01-31,2024-02-29]'"
        )
    return ConfigError(f"{' '.join(overrides) or 'conf/'}: {first_line(text)}; see conf/config.yaml")
