"""The typed configuration: what params.yaml may hold, and the checks that types can't express.

The dataclasses are OmegaConf structured configs (which can't be frozen); treat them as values.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from streamflow.core.calendar import FIRST_SYNTHETIC_MONTH, month_later, parse_date
from streamflow.core.errors import ConfigError, first_line
from streamflow.core.schema import FEATURE_SERVICES, service_features

SOURCES = ("csv", "postgres", "synthetic")
POLICIES = ("auto", "manual", "never")
THRESHOLD_POLICIES = ("f1", "cost", "top_fraction")
CALIBRATIONS = ("none", "sigmoid")
PROMOTION_METRICS = ("roc_auc", "average_precision")
_RESAMPLES_BEYOND = 5


@dataclass
class SourceConfig:
    """Where the monthly extracts come from; a field that a source does not use stays None."""

    name: str = MISSING
    max_row_drop: float = MISSING
    users: int | None = None
    seed: int | None = None
    dir: str | None = None
    first_month: str | None = None
    folders: dict[str, str] = field(default_factory=dict)


@dataclass
class FeaturesConfig:
    """The Feast feature service that a model is trained on and served with."""

    service: str = MISSING


@dataclass
class SplitConfig:
    """Shares of users in validation and test; the rest is for training."""

    salt: str = MISSING
    validation: float = MISSING
    test: float = MISSING


@dataclass
class ThresholdConfig:
    """How the decision threshold is chosen; prices in one currency, a field that a policy does not use stays None."""

    policy: str = MISSING
    missed_churner: float | None = None
    wasted_offer: float | None = None
    fraction: float | None = None


@dataclass
class CalibrationConfig:
    """How the estimator's probabilities are calibrated to churn rates."""

    method: str = MISSING


@dataclass
class CrossValidationConfig:
    """How often all users are cut into folds, and into how many."""

    repeats: int = MISSING
    folds: int = MISSING


@dataclass
class PromotionConfig:
    """When a new version becomes Production: streamflow/promotion/decisions.py says what each value means."""

    policy: str = MISSING
    metric: str = MISSING
    delta: float = MISSING
    confidence: float = MISSING
    resamples: int = MISSING
    leak_auc: float = MISSING


@dataclass
class DriftConfig:
    """When two months differ (`alpha`, `psi`), and when that calls for a new model (the others); `drift.verdict.Policy`."""

    alpha: float = MISSING
    psi: float = MISSING
    psi_major: float = MISSING
    share: float = MISSING
    label_rate: float = MISSING


@dataclass
class ComputeConfig:
    """Threads of the numeric kernels, and joblib workers."""

    threads: int = MISSING
    jobs: int = MISSING


@dataclass
class Config:
    """params.yaml. Dates are ISO text; `known_at` is an ISO timestamp in UTC or None."""

    as_of: str = MISSING
    months: list[str] = MISSING
    known_at: str | None = MISSING
    label_horizon_months: int = MISSING
    label_as_of: str = MISSING
    seed: int = MISSING
    conf_sha256: str = MISSING
    model_name: str = MISSING
    model: dict[str, Any] = MISSING
    source: SourceConfig = MISSING
    features: FeaturesConfig = MISSING
    split: SplitConfig = MISSING
    sample_weight: str | None = MISSING
    calibration: CalibrationConfig = MISSING
    threshold: ThresholdConfig = MISSING
    cross_validation: CrossValidationConfig = MISSING
    promotion: PromotionConfig = MISSING
    drift: DriftConfig = MISSING
    compute: ComputeConfig = MISSING


def parse_config(values: Mapping[str, Any] | DictConfig, sections: Iterable[str] | None = None) -> Config:
    """The configuration that `values` states; reading a section that is not in `sections` raises.

    `sections` None: all. Raises ConfigError naming the first key that is missing, unknown or of another type.
    """
    wanted = set(Config.__dataclass_fields__) if sections is None else {name.split(".")[0] for name in sections}
    try:
        given = OmegaConf.create(dict(values)) if not isinstance(values, DictConfig) else values
        chosen = {key: given[key] for key in given if sections is None or key in wanted}
        merged = OmegaConf.merge(OmegaConf.structured(Config), chosen)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{_named_line(error)}; see conf/config.yaml for allowed values") from error
    missing = sorted(key for key in OmegaConf.missing_keys(merged) if key.split(".")[0] in wanted)
    if missing:
        raise ConfigError(f"{missing[0]} has no value; give it one: `streamflow repro … {missing[0]}=VALUE`")
    return merged  # type: ignore[return-value]


def check(config: Config) -> None:
    """Check values that have the right type but may be invalid. Raises ConfigError with the value and the fix."""
    for month in config.months:
        parse_date(month, "months")
    parse_date(config.as_of, "as_of")
    months = list(config.months)
    if len(set(months)) != len(months):
        raise ConfigError(f"months={months} names a month twice; name each once")
    if len({month[:7] for month in months}) != len(months):
        raise ConfigError(f"months={months} names a calendar month twice; one extract describes one month")
    _one_of("as_of", config.as_of, months, "add it: 'months=[…]'")
    if config.label_horizon_months < 0:
        raise ConfigError(f"label_horizon_months={config.label_horizon_months} is negative; use 0 or more")
    expected = month_later(config.as_of, config.label_horizon_months)
    if config.label_as_of != expected:
        raise ConfigError(f"label_as_of={config.label_as_of} must be {expected}; it is derived, do not set it")
    _one_of("label_as_of", config.label_as_of, months, "add it: 'months=[…]'")
    _check_known_at(config.known_at)
    _one_of("features.service", config.features.service, FEATURE_SERVICES, "choose one of them")
    _check_promotion(config.promotion)
    _check_source(config.source, months)
    _check_shares(config.split)
    _check_training(config)
    _check_drift(config.drift)
    if config.compute.threads < 1 or config.compute.jobs == 0:
        raise ConfigError(
            f"compute.threads={config.compute.threads} must be 1 or more, compute.jobs={config.compute.jobs} not 0"
        )
    if not 0 <= config.seed < 2**32:
        raise ConfigError(f"seed={config.seed} must be 0 or more and below 2^32")
    if "_target_" not in config.model:
        raise ConfigError("model has no _target_; choose a file of conf/model: `streamflow repro model=random_forest`")


def choices(config: Config) -> dict[str, str]:
    """Config group to the option that was chosen, for the groups that name themselves."""
    return {
        "calibration": config.calibration.method,
        "features": config.features.service,
        "model": config.model_name,
        "promotion": config.promotion.policy,
        "source": config.source.name,
        "threshold": config.threshold.policy,
    }


def main_overrides(config: Config) -> list[str]:
    """The overrides that compose the same groups, dates and source again; single values are not among them."""
    overrides = [f"{group}={choice}" for group, choice in sorted(choices(config).items())]
    if config.source.dir:
        overrides.append(f"source.dir={config.source.dir}")
    months = ",".join(config.months)
    return [
        *overrides,
        f"'months=[{months}]'",
        f"as_of={config.as_of}",
        f"label_horizon_months={config.label_horizon_months}",
    ]


def source_identity(source: SourceConfig) -> str:
    """The name under which the warehouse keeps a source's history. CSV folders are deliveries of one source."""
    return f"synthetic users={source.users} seed={source.seed}" if source.name == "synthetic" else source.name


def _check_source(source: SourceConfig, months: list[str]) -> None:
    _one_of("source.name", source.name, SOURCES, "choose one of them")
    if not 0 < source.max_row_drop <= 1:
        raise ConfigError(f"source.max_row_drop={source.max_row_drop} must be above 0 and at most 1")
    if source.name == "csv" and not source.dir:
        raise ConfigError("source=csv needs a folder: `streamflow repro source=csv source.dir=PATH`")
    if source.name == "synthetic" and (source.users is None or source.users < 100):
        raise ConfigError(f"source.users={source.users} is too few to train on; use 100 or more")
    if source.name == "synthetic" and min(months) < FIRST_SYNTHETIC_MONTH:
        raise ConfigError(
            f"months={min(months)}: synthetic users begin with {FIRST_SYNTHETIC_MONTH}; choose later months"
        )
    if source.seed is not None and source.seed < 0:
        raise ConfigError(f"source.seed={source.seed} is negative; use 0 or more")


def _check_shares(split: SplitConfig) -> None:
    if not (0 < split.validation < 1 and 0 < split.test < 1 and split.validation + split.test < 1):
        raise ConfigError(
            f"split.validation={split.validation} and split.test={split.test} must be above 0 and leave users to train on"
        )


def _check_training(config: Config) -> None:
    _one_of("calibration.method", config.calibration.method, CALIBRATIONS, "choose one of them")
    folds = config.cross_validation
    if folds.repeats < 1 or folds.folds < 2:
        raise ConfigError(
            f"cross_validation.repeats={folds.repeats} must be 1 or more, cross_validation.folds={folds.folds} 2 or more"
        )
    if config.sample_weight is not None:
        numbers = [
            column.name
            for column in service_features(config.features.service)
            if column.kind in ("integer", "real") and not column.nullable
        ]
        _one_of("sample_weight", config.sample_weight, numbers, "choose a number of the feature service, or null")
    how = config.threshold
    _one_of("threshold.policy", how.policy, THRESHOLD_POLICIES, "choose one of them")
    if how.policy == "cost" and not ((how.missed_churner or 0) > 0 and (how.wasted_offer or 0) > 0):
        raise ConfigError(
            f"threshold.missed_churner={how.missed_churner} and threshold.wasted_offer={how.wasted_offer} must be above 0"
        )
    if how.policy == "top_fraction" and not 0 < (how.fraction or 0) < 1:
        raise ConfigError(f"threshold.fraction={how.fraction} must be above 0 and below 1")


def _check_drift(drift: DriftConfig) -> None:
    for name in ("alpha", "share", "label_rate"):
        if not 0 < (value := getattr(drift, name)) <= 1:
            raise ConfigError(f"drift.{name}={value} must be above 0 and at most 1")
    if not 0 <= drift.psi <= drift.psi_major < math.inf:
        raise ConfigError(
            f"drift.psi={drift.psi} must be 0 or more and not above drift.psi_major={drift.psi_major}, a finite number"
        )


def _check_promotion(promotion: PromotionConfig) -> None:
    _one_of("promotion.policy", promotion.policy, POLICIES, "choose one of them")
    _one_of("promotion.metric", promotion.metric, PROMOTION_METRICS, "choose one of them")
    if not 0 <= promotion.delta < 1:
        raise ConfigError(f"promotion.delta={promotion.delta} must be 0 or more and below 1")
    if not 0.5 <= promotion.confidence < 1:
        raise ConfigError(f"promotion.confidence={promotion.confidence} must be 0.5 or more and below 1")
    if not 0.5 < promotion.leak_auc <= 1:
        raise ConfigError(f"promotion.leak_auc={promotion.leak_auc} must be above 0.5 and at most 1 (1: no limit)")
    if not 100 <= promotion.resamples <= 100_000:
        raise ConfigError(f"promotion.resamples={promotion.resamples} must be 100 to 100000")
    # A bound that fewer resamples lie beyond is the noise of single draws.
    if promotion.resamples * (1 - promotion.confidence) < _RESAMPLES_BEYOND - 1e-6:
        raise ConfigError(
            f"promotion.resamples={promotion.resamples} are too few for promotion.confidence={promotion.confidence};"
            f" use {math.ceil(_RESAMPLES_BEYOND / (1 - promotion.confidence))} or more"
        )


def _check_known_at(known_at: str | None) -> None:
    if known_at is None:
        return
    try:
        moment = datetime.fromisoformat(known_at)
    except ValueError:
        raise ConfigError(f"known_at={known_at} is not a timestamp; write it as 2024-02-15T00:00:00+00:00") from None
    if moment.tzinfo is None:
        raise ConfigError(f"known_at={known_at} has no time zone; write it as {known_at}+00:00")


def _one_of(name: str, value: str, allowed: Iterable[str], fix: str) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}={value} is not one of {', '.join(allowed)}; {fix}")


def _named_line(error: OmegaConfBaseException) -> str:
    key = f"{error.full_key}: " if getattr(error, "full_key", None) else ""
    return key + first_line(error.msg or error)
