"""The typed configuration: what params.yaml may hold. What types can't say is in streamflow/core/config_checks.py.

The dataclasses are OmegaConf structured configs (which can't be frozen); treat them as values.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from streamflow.core.errors import ConfigError, did_you_mean, first_line
from streamflow.core.schema import service_name

MAPPED = "mapped"
"""What the identity of a mapped source begins with: its rows may lack columns."""
_GROUPS = {"source", "features", "split", "model", "calibration", "threshold", "cross_validation", "promotion", "drift",
            "compute"}  # fmt: skip
_ELSEWHERE = {"model_name": "conf/model", "limits": "conf/source/limits"}


@dataclass
class LimitConfig:
    """A figure from which on a month as a whole is not plausible, and what is done then: refuse or warn."""

    limit: float = MISSING
    action: str = MISSING


@dataclass
class SourceConfig:
    """Where the monthly extracts come from; a field that a source does not use stays None.

    A source with `tables` is mapped: streamflow/core/source_mapping.py says what they, and `reading` for all of them, may
    hold, and `absent` names the tables and columns (TABLE or TABLE.COLUMN) that it does not deliver. `name` is then the
    team's own, the one of its file in conf/source, and `kind` says what is read: csv or postgres.
    """

    name: str = MISSING
    kind: str | None = None
    max_row_drop: float = MISSING
    users: int | None = None
    seed: int | None = None
    dir: str | None = None
    first_month: str | None = None
    folders: dict[str, str] = field(default_factory=dict)
    reading: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)


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
    rebuilders: int = 1


@dataclass
class DriftConfig:
    """When two months differ (`alpha`, `psi`), and when that calls for a new model (the others)."""

    alpha: float = MISSING
    psi: float = MISSING
    psi_major: float = MISSING
    share: float = MISSING
    label_rate: float = MISSING


@dataclass
class ErasureConfig:
    """What serving does with a version that was trained with users who were erased since: continue, or stop."""

    serving: str = "continue"


@dataclass
class ComputeConfig:
    """Threads of the numeric kernels, and joblib workers."""

    threads: int = MISSING
    jobs: int = MISSING


@dataclass
class Config:
    """params.yaml. Dates are ISO text; `known_at` is an ISO timestamp in UTC or None.

    `limits` maps the names of streamflow/extracts/plausibility.py to what a month may look like beside the one before.
    """

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
    limits: dict[str, LimitConfig] = field(default_factory=dict)
    erasure: ErasureConfig = field(default_factory=ErasureConfig)
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
        raise ConfigError(f"{_named_line(error)}; {_file_of(error)} shows what is allowed") from error
    missing = sorted(key for key in OmegaConf.missing_keys(merged) if key.split(".")[0] in wanted)
    if missing:
        raise ConfigError(f"{missing[0]} has no value; give it one: `streamflow repro … {missing[0]}=VALUE`")
    return merged  # type: ignore[return-value]


def choices(config: Config) -> dict[str, str]:
    """Config group to the option that was chosen, for the groups that name themselves."""
    return {
        "calibration": config.calibration.method,
        "features": service_name(config.features.service),
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


def plain(section: Any) -> dict[str, Any]:
    """A section of the configuration as plain dictionaries and lists."""
    if not OmegaConf.is_config(section):
        section = OmegaConf.structured(section) if is_dataclass(section) else OmegaConf.create(dict(section))
    return OmegaConf.to_container(section)  # type: ignore[return-value]


def source_identity(source: SourceConfig) -> str:
    """The name under which the warehouse keeps a source's history. CSV folders are deliveries of one source."""
    return identity_in(
        {"name": source.name, "users": source.users, "seed": source.seed, "tables": dict(source.tables or {})}
    )


def identity_in(source: Mapping[str, Any]) -> str:
    """`source_identity` of the section `source` of params.yaml; empty if it names none."""
    name = source.get("name", "")
    if source.get("tables"):
        return f"{MAPPED} {name}"
    return f"synthetic users={source.get('users')} seed={source.get('seed')}" if name == "synthetic" else str(name)


def _named_line(error: OmegaConfBaseException) -> str:
    full_key = getattr(error, "full_key", None) or ""
    known = getattr(error.object_type, "__dataclass_fields__", {}) if isinstance(error, ConfigKeyError) else {}
    section = full_key.rpartition(".")[0]
    meant = did_you_mean(full_key, [f"{section}.{name}".removeprefix(".") for name in known])
    return (f"{full_key}: " if full_key else "") + first_line(error.msg or error) + meant


def _file_of(error: OmegaConfBaseException) -> str:
    """Where the section of a wrong key is written in conf/."""
    section = (getattr(error, "full_key", None) or "").partition(".")[0]
    return f"conf/{section}" if section in _GROUPS else _ELSEWHERE.get(section, "conf/config.yaml")
