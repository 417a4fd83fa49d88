"""`streamflow promote`: make a version Production if every gate passes, or with a reason if not."""

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
@click.option("--force", is_flag=True, help="Promote although gates failed; needs --reason.")
@click.option("--reason", help="Why, for the ledger.")
def promote(version: str, force: bool, reason: str | None) -> None:
    """Make VERSION (v3 or 3) Production.

    Every check of `streamflow doctor` must pass, and the version must be committed, intact, and derived again by another
    process. Otherwise nothing changes, all failed gates are listed, and the exit code is 2. --force --reason TEXT promotes
    it all the same; the version keeps the reason and the names of the failed gates.
    """
    if force and not reason:
        raise ConfigError("--force needs --reason TEXT: it is kept with the version")
    from streamflow.operations.promote.gates import gate_record, health_gates, version_gates
    from streamflow.promotion.ledger import move, person
    from streamflow.registry.registry import open_registry

    with database() as url:
        registry = open_registry(url)
        failed = [gate for gate in health_gates() if not gate.passed]
        try:
            found = registry.version(version)
        except RegistryError as error:
            raise RegistryError(_refusal(version, [*failed, Gate("version", str(error))])) from error
        failed += [gate for gate in version_gates(registry, found) if not gate.passed]
        if failed and not force:
            raise RegistryError(_refusal(version, failed) + " | to promote it all the same: --force --reason TEXT")
        if is_production(url, registry, str(found.version)):
            say(f"version {found.version} is Production already; nothing to do")
            return
        why = f"forced by {person()}: {reason}" if failed else reason or "every gate passed"
        move(url, registry, "promote", str(found.version), why, failed)
        registry.record_decision(str(found.version), f"promoted: {why}")
        registry.set_tags(
            str(found.version), {"promotion_gates_passed_by_force": gate_record(failed)} if failed else {}
        )
        _publish(registry, str(found.version), why)
    say(f"version {found.version} is Production: {why}")


def is_production(url: str, registry: "Registry", version: str) -> bool:
    """Whether a version is Production by the last move in the ledger, so that promoting it would change nothing."""
    from streamflow.promotion.ledger import last_move

    champion = registry.production()
    return champion is not None and str(champion.version) == version.removeprefix("v") == last_move(url)


def _publish(registry: "Registry", version: str, why: str) -> None:
    """Publish the report of the version again; print why if that fails, because the promotion is valid without it."""
    from streamflow.promotion.published_report import publish_promotion

    published_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    try:
        publish_promotion(registry, version, why, list(read_all_params().months), published_at)
    except StreamFlowError as error:
        say(f"the report of version {version} is not published again: {error}")


def _refusal(version: str, failed: list[Gate]) -> str:
    return f"{version} is not promoted: " + " | ".join(f"{gate.name}: {gate.detail}" for gate in failed)
