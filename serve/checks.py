"""What must hold before `streamflow serve` starts Ray: arguments that exist, a database, a version to serve."""

import os
import sys
from collections.abc import Mapping

from pydantic import ValidationError

from serve.arguments import Arguments
from streamflow.core.errors import ConfigError, RegistryError, did_you_mean, shown
from streamflow.postgres.server import hold_database


def parse_arguments(texts: tuple[str, ...]) -> Arguments:
    """The arguments of KEY=VALUE texts. Raises ConfigError for the first that is wrong, with what is allowed."""
    values: Mapping[str, str] = dict(each.partition("=")[::2] for each in texts)
    try:
        return Arguments.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
    if name not in Arguments.model_fields:
        known = list(Arguments.model_fields)
        raise ConfigError(
            f"{shown(name)} is no argument{did_you_mean(name, known)}; KEY=VALUE takes {', '.join(known)}"
        )
    raise ConfigError(f"{name}={shown(values[name])}: {first['msg']}; `streamflow serve --help`")


def require_version(chosen: Arguments) -> None:
    """Check that there is a version to serve: in the registry, or on this machine from an earlier start.

    Raises EnvironmentFault without a database, RegistryError without a version.
    """
    from streamflow.registry.registry import open_registry
    from streamflow.registry.served import has_verified_copy

    os.chdir(chosen.root)
    url = hold_database()
    try:
        open_registry(url).version(chosen.model)
    except RegistryError as error:
        if not has_verified_copy(chosen.model):
            raise
        print(f"warning: starting with the version verified on this machine before: {error}", file=sys.stderr)
