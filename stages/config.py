"""Stage `config`: reads params.yaml and conf/, writes artifacts/config.json.

Stops before any work if params.yaml was composed from another conf/, lacks a value or has an invalid one.
"""

from streamflow.core.config import Config, choices, main_overrides
from streamflow.core.config_checks import check
from streamflow.core.errors import ConfigError
from streamflow.core.schema import FEATURE_SERVICES, features_of, service_name
from streamflow.pipeline.file_digest import tree_sha256
from streamflow.pipeline.layout import CHOICES, CONF
from streamflow.pipeline.project import write_json
from streamflow.pipeline.reporting import say
from streamflow.pipeline.stage import stage


def run(config: Config) -> None:
    """Check `config` against conf/ and record the choices it was composed from."""
    conf_sha256 = tree_sha256(CONF)

    check(config)
    if config.conf_sha256 != conf_sha256:
        raise ConfigError(
            f"params.yaml was composed from another conf/ (digest {config.conf_sha256[:12]}, now {conf_sha256[:12]});"
            f" compose it again, with your other overrides: `streamflow repro {' '.join(main_overrides(config))}`"
        )

    write_json(CHOICES, {"conf_sha256": conf_sha256, "choices": choices(config)})
    if missing := left_out(config):
        service, source = service_name(config.features.service), config.source.name
        say(f"config: {source} has no {', '.join(config.source.absent)}; {service} is without {', '.join(missing)}")
    say(f"config: as of {config.as_of}, {config.features.service}, {config.model_name}, source {config.source.name}")


def left_out(config: Config) -> list[str]:
    """The features of the chosen service that the source does not deliver."""
    service = config.features.service
    kept = features_of(service)
    return [name for name in FEATURE_SERVICES[service_name(service)] if name not in kept]


def main() -> None:
    with stage("config") as config:
        run(config)


if __name__ == "__main__":
    main()
