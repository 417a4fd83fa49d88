"""Stage `materialize`: reads data/snapshots of `as_of`, writes the Feast registry and online store; no DVC output.

The online store follows Production: only users of its source and date come online, so a run that explores leaves those who
are served. Idempotent: an online store with exactly the rows of the same frozen files is not changed. Otherwise all of the
month is published in one transaction, or nothing.
"""

from streamflow.core.config import Config, source_identity
from streamflow.core.schema import FEATURE_VIEWS
from streamflow.online.months import bring_online
from streamflow.pipeline.layout import SNAPSHOTS
from streamflow.pipeline.reporting import say
from streamflow.pipeline.stage import stage
from streamflow.postgres.server import database
from streamflow.registry.production import ProductionUsers, production_users


def run(config: Config, url: str) -> None:
    """Bring the online store to the state of `config.as_of`, unless Production is of other users."""
    source, production = source_identity(config.source), production_users(url)
    if production and not is_of_production(production, source, config.as_of):
        say(
            f"materialize: {production.source or 'an unknown source'} as of {production.as_of} stays online, as version"
            f" {production.version} is Production; the users of this run ({source} as of {config.as_of}) are not put online"
        )
        return
    users = bring_online(url, SNAPSHOTS / config.as_of, config.as_of, source)
    if users:
        say(f"materialize: {users} users as of {config.as_of} are online in {len(FEATURE_VIEWS)} feature views")
    else:
        say(f"materialize: the users as of {config.as_of} are online already")


def is_of_production(production: ProductionUsers, source: str, as_of: str) -> bool:
    """Whether users are of the source and date of Production; a version from before it had a source has any."""
    return production.source in ("", source) and production.as_of == as_of


def main() -> None:
    with stage("materialize") as config, database() as url:
        run(config, url)


if __name__ == "__main__":
    main()
