"""The checks of a configuration that types can't make: what is allowed, and how the values fit together."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from streamflow.core.calendar import FIRST_SYNTHETIC_MONTH, month_later, parse_date
from streamflow.core.config import Config, DriftConfig, LimitConfig, PromotionConfig, SourceConfig, SplitConfig, plain
from streamflow.core.errors import ConfigError, shown
from streamflow.core.schema import FEATURE_SERVICES, features_of, service_features, service_name, service_without
from streamflow.core.source_mapping import KINDS, mapped_tables

LIMITS = (
    "row_growth",
    "turnover",
    "share_new",
    "same_month",
    "constant",
    "scale",
    "label_change",
    "label_rate_min",
    "label_rate_max",
)
"""The limits on a month as a whole, in the order in which they are checked."""
SOURCES = ("csv", "postgres", "synthetic")
POLICIES = ("auto", "manual", "never")
THRESHOLD_POLICIES = ("f1", "cost", "top_fraction")
CALIBRATIONS = ("none", "sigmoid")
PROMOTION_METRICS = ("roc_auc", "average_precision")
_RESAMPLES_BEYOND = 5


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
    _check_service(config.features.service, config.source)
    _check_promotion(config.promotion)
    _check_source(config.source, months)
    _check_limits(config.limits)
    _check_shares(config.split)
    _check_training(config)
    _check_drift(config.drift)
    _one_of("erasure.serving", config.erasure.serving, ("continue", "stop"), "choose one of them")
    if config.compute.threads < 1 or config.compute.jobs == 0:
        raise ConfigError(
            f"compute.threads={config.compute.threads} must be 1 or more, compute.jobs={config.compute.jobs} not 0"
        )
    if not 0 <= config.seed < 2**32:
        raise ConfigError(f"seed={config.seed} must be 0 or more and below 2^32")
    if "_target_" not in config.model:
        raise ConfigError("model has no _target_; choose a file of conf/model: `streamflow repro model=random_forest`")


def _check_limits(limits: Mapping[str, LimitConfig]) -> None:
    for name, each in limits.items():
        _one_of(f"limits.{name}", name, LIMITS, "choose one of them")
        _one_of(f"limits.{name}.action", each.action, ("refuse", "warn"), "choose one of them")
        if not each.limit > 0:
            raise ConfigError(f"limits.{name}.limit={each.limit} must be above 0")


def _check_source(source: SourceConfig, months: list[str]) -> None:
    kind = source.kind or source.name
    if source.tables:
        _check_mapping(source, kind)
    else:
        _one_of("source.name", source.name, SOURCES, "choose one of them, or map your own: docs/mapping.md")
    if not 0 < source.max_row_drop <= 1:
        raise ConfigError(f"source.max_row_drop={source.max_row_drop} must be above 0 and at most 1")
    if kind == "csv" and not source.dir:
        raise ConfigError(
            f"source={source.name} needs a folder: `streamflow repro source={source.name} source.dir=PATH`"
        )
    if source.name == "synthetic" and (source.users is None or source.users < 100):
        raise ConfigError(f"source.users={source.users} is too few to train on; use 100 or more")
    if source.name == "synthetic" and min(months) < FIRST_SYNTHETIC_MONTH:
        raise ConfigError(
            f"months={min(months)}: synthetic users begin with {FIRST_SYNTHETIC_MONTH}; choose later months"
        )
    if source.seed is not None and source.seed < 0:
        raise ConfigError(f"source.seed={source.seed} is negative; use 0 or more")


def _check_mapping(source: SourceConfig, kind: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", source.name) or source.name in SOURCES:
        raise ConfigError(
            f"source.name={shown(source.name)}: a mapped source has the name of its file in conf/source, lower case letters,"
            f" digits and _, none of {', '.join(SOURCES)}"
        )
    _one_of("source.kind", kind, KINDS, "choose one of them")
    mapped_tables(kind, plain(source.reading), plain(source.tables), source.absent)


def _check_service(service: str, source: SourceConfig) -> None:
    name = service_name(service)
    _one_of("features.service", name, FEATURE_SERVICES, "choose one of them")
    expected = service_without(name, list(source.absent))
    if service != expected:
        raise ConfigError(
            f"features.service={shown(service)} must be {shown(expected)}, by source.absent; it is derived"
        )
    if not features_of(service):
        raise ConfigError(f"features.service={name}: source {source.name} has none of its features; map some of them")


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
    if not 1 <= promotion.rebuilders <= 100:
        raise ConfigError(f"promotion.rebuilders={promotion.rebuilders} must be 1 to 100")
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
