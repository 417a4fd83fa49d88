"""`streamflow promote`: make a version Production if every gate passes, or with a reason if not."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from streamflow.cli.endings import SAYS_NO, print_error
from streamflow.cli.examples import examples
from streamflow.cli.json_output import json_option, lines_on_stderr, say_json
from streamflow.core.errors import ConfigError, RegistryError, StreamFlowError
from streamflow.pipeline.params import read_all_params
from streamflow.pipeline.reporting import say
from streamflow.postgres.server import database
from streamflow.registry.decision import Gate

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from streamflow.promotion.entries import Ledger
    from streamflow.registry.registry import Registry


@dataclass(frozen=True)
class Outcome:
    """What became of a wish: `moved` if Production is another version now, `why`, and the gates that failed."""

    version: str
    promoted: bool
    moved: bool
    why: str
    failed: list[Gate]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "version": self.version,
            "promoted": self.promoted,
            "moved": self.moved,
            "why": self.why,
            "failed_gates": {gate.name: gate.detail for gate in self.failed},
        }


@click.command(
    epilog=examples(
        "streamflow promote v2",
        'streamflow promote v2 --force --reason "the champion saw the test users"',
        "streamflow promote --adopt",
    )
)
@click.argument("version", required=False)
@click.option("--force", is_flag=True, help="Promote although gates failed; needs --reason.")
@click.option("--reason", help="Why, for the ledger.")
@click.option(
    "--adopt", is_flag=True, help="The version that the alias Production names: derive it again, sign, promote."
)
@json_option
def promote(version: str | None, force: bool, reason: str | None, adopt: bool, as_json: bool) -> None:
    """Make VERSION (v3 or 3) Production.

    Every check of `streamflow doctor` must pass, and the version must be committed, signed for by a trusted key, intact, and
    derived again by as many rebuilders as promotion.rebuilders says. Otherwise nothing changes, all failed gates are listed,
    and the exit code is 1. --force --reason TEXT promotes it all the same; the move keeps the reason and the names of the
    failed gates. The move is signed, written to the ledger, and tagged in git as production/N.

    --adopt takes no VERSION: it is for a registry from before signatures, and for an alias that was moved on MLflow's pages.
    It derives that version again, signs what comes out identical, and makes the move a signed one, if its gates pass;
    doctor's checks of the working tree are not asked. What is Production already is not moved, and nothing is written.
    """
    if force and not reason:
        raise ConfigError("--force needs --reason TEXT: it is kept with the version")
    if adopt == (version is not None):
        raise ConfigError("name a version (`streamflow promote v3`), or --adopt for the one that the alias names")
    with lines_on_stderr(as_json):
        outcome = _promote(version, force, reason)
    if as_json:
        say_json(outcome.to_json())
    elif outcome.promoted:
        say(outcome.why)
    if not outcome.promoted:
        sys.exit(print_error(f"streamflow: {outcome.why}", SAYS_NO))


def _promote(version: str | None, force: bool, reason: str | None) -> Outcome:
    """Move Production to a version (None: adopt the alias's) if its gates pass, or by force."""
    from streamflow.operations.promote.gates import NEVER_FORCED, health_gates, version_gates
    from streamflow.promotion.ledger import champion_of, person, read_ledger
    from streamflow.promotion.users_online import publish_users
    from streamflow.registry.registry import open_registry

    with database() as url:
        registry, ledger = open_registry(url), read_ledger(url)
        failed = [gate for gate in health_gates() if not gate.passed] if version else []
        try:
            found = _adoptable(registry) if version is None else registry.version(version)
        except RegistryError as error:
            raise RegistryError(_refusal(version or "Production", [*failed, Gate("version", str(error))])) from error
        number = str(found.version)
        shut = version_gates(registry, found, champion_of(registry, ledger), ledger.chain)
        failed += [gate for gate in shut if not gate.passed]
        never = any(gate.name in NEVER_FORCED for gate in failed)
        stays = is_production(ledger, registry, number)
        if never or (failed and not force):
            hint = "" if never or stays else " | to promote it all the same: --force --reason TEXT"
            why = _refusal(version or f"v{number}", failed, stays) + hint
            return Outcome(number, promoted=False, moved=False, why=str(RegistryError(why)), failed=failed)
        if stays:
            publish_users(url, registry.load(found), say)
            why = f"version {number} is Production already; nothing was moved or written"
            return Outcome(number, promoted=True, moved=False, why=why, failed=failed)
        why = f"forced by {person()}: {reason}" if failed else reason or ("every gate passed" if version else "adopted")
        _move(url, registry, found, why, failed)
    return Outcome(number, promoted=True, moved=True, why=f"version {number} is Production: {why}", failed=failed)


def _move(url: str, registry: "Registry", version: "ModelVersion", why: str, forced: list[Gate]) -> None:
    from streamflow.operations.promote.gates import gate_record
    from streamflow.promotion.ledger import move
    from streamflow.promotion.users_online import publish_users

    number, model = str(version.version), registry.load(version, warn=False)
    move(url, registry, "promote", model, why, forced)
    publish_users(url, model, say)
    registry.record_decision(number, f"promoted: {why}")
    registry.set_tags(number, {"promotion_gates_passed_by_force": gate_record(forced)} if forced else {})
    _publish(registry, number, why)


def is_production(ledger: "Ledger", registry: "Registry", version: str) -> bool:
    """Whether a version is Production by alias and by the last signed move, so that promoting it would change nothing."""
    champion, head = registry.production(), ledger.chain.head
    return champion is not None and head is not None and str(champion.version) == version == head.move.to_version


def _adoptable(registry: "Registry") -> "ModelVersion":
    """The version that the alias names, signed: it is derived again if no trusted key signed for it yet."""
    from streamflow.operations.promote.adoption import adopt

    found = registry.production()
    if found is None:
        raise RegistryError("no version has the alias Production; `streamflow models`, then `streamflow promote vN`")
    adopt(registry, found, say)
    return registry.version(str(found.version))


def _publish(registry: "Registry", version: str, why: str) -> None:
    """Publish the report of the version again; print why if that fails, because the promotion is valid without it."""
    from streamflow.promotion.published_report import publish_promotion

    published_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    try:
        publish_promotion(registry, version, why, list(read_all_params().months), published_at)
    except StreamFlowError as error:
        say(f"the report of version {version} is not published again: {error}")


def _refusal(version: str, failed: list[Gate], stays: bool = False) -> str:
    what = "is Production already and stays it, but would not be promoted now" if stays else "is not promoted"
    return f"{version} {what}: " + " | ".join(f"{gate.name}: {gate.detail}" for gate in failed)
