"""Stage `config`: reads params.yaml and conf/, writes artifacts/config.json.

Stops before any work if params.yaml was composed from another conf/, lacks a value or has an invalid one.
"""

from streamflow.core.config import Config, choices, main_overrides
from streamflow.core.config_checks import check
from streamflow.core.errors import ConfigError
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
    say(f"config: as of {config.as_of}, {config.features.service}, {config.model_name}, source {config.source.name}")


def main() -> None:
    with stage("config") as config:
        run(config)


if __name__ == "__main__":
    main()
