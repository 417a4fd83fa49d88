"""`streamflow promote`: a version becomes Production, if every gate is open or a person gives a reason."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from streamflow.core.errors import ConfigError, RegistryError, StreamFlowError
from streamflow.pipeline.params import read_all_params
from streamflow.pipeline.reporting import say
from streamflow.postgres.server import database
from streamflow.registry.decision import Gate

if TYPE_CHECKING:
    from streamflow.registry.registry import Registry


@click.command()
@click.argument("version")
@click.option("--force", is_flag=True, help="Pass the gates that are shut; needs --reason.")
@click.option("--reason", help="Why, for the record.")
def promote(version: str, force: bool, reason: str | None) -> None:
    """Make VERSION (v3 or 3) Production.

    Everything that `streamflow doctor` looks at must hold, the version must be of a commit, whole, and derived again by
    another process. Else it is refused with every gate that is shut, exit code 2. --force --reason TEXT passes the gates;
    the reason and their names are kept with the version.
    """
    if force and not reason:
        raise ConfigError("--force needs --reason TEXT: it is kept with the version")
    from streamflow.operations.promote.gates import gate_record, health_gates, version_gates
    from streamflow.promotion.ledger import move, person
    from streamflow.registry.registry import open_registry

    with database() as url:
        registry = open_registry(url)
        shut = [gate for gate in health_gates() if not gate.passed]
        try:
            found = registry.version(version)
        except RegistryError as error:
            raise RegistryError(_refusal(version, [*shut, Gate("version", str(error))])) from error
        shut += [gate for gate in version_gates(registry, found) if not gate.passed]
        if shut and not force:
            raise RegistryError(_refusal(version, shut) + " | --force --reason TEXT promotes it all the same")
        why = f"forced by {person()}: {reason}" if shut else reason or "every gate is open"
        move(url, registry, "promote", str(found.version), why, shut)
        registry.record_decision(str(found.version), f"promoted: {why}")
        registry.set_tags(str(found.version), {"promotion_gates_passed_by_force": gate_record(shut)} if shut else {})
        _publish(registry, str(found.version), why)
    say(f"version {found.version} is Production: {why}")


def _publish(registry: "Registry", version: str, why: str) -> None:
    """Renew the report of the version's run; one that can't be made is said, because the promotion stands without it."""
    from streamflow.promotion.published_report import publish_promotion

    published_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    try:
        publish_promotion(registry, version, why, list(read_all_params().months), published_at)
    except StreamFlowError as error:
        say(f"the report of version {version} is not published again: {error}")


def _refusal(version: str, shut: list[Gate]) -> str:
    return f"{version} is not promoted: " + " | ".join(f"{gate.name}: {gate.detail}" for gate in shut)
