"""Checks that the drill of forgeries can take out of a process, to see that it then reports what gets through.

No product code knows of this: the functions are exchanged from outside.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Iterable
from typing import Any

from streamflow.core.errors import ModelError
from streamflow.operations.health import doctor
from streamflow.operations.promote import gates as person_gates
from streamflow.promotion import gates, rebuilders
from streamflow.provenance import gather
from streamflow.provenance.git import Changes
from streamflow.registry import moves, registry, served
from streamflow.trust import acceptance, chain, check, envelope, installed
from streamflow.trust.chain import Chain
from streamflow.trust.envelope import Signed

VARIABLE = "STREAMFLOW_DRILL_WITHOUT"


def take_out(name: str) -> None:
    """Take a check out of this process."""
    CHECKS[name]()


def _everywhere(value: object, name: str, modules: Iterable[Any]) -> None:
    for module in modules:
        setattr(module, name, value)


def _signature() -> None:
    def believed(line: str, trusted: object, payload_type: str = envelope.STATEMENT) -> Signed:
        try:
            found = json.loads(line)
            return Signed(b64decode(found["payload"]), found["signatures"][0]["keyid"], "whoever", line)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ModelError(str(error)) from error

    _everywhere(believed, "open_envelope", (envelope, acceptance, chain, installed))


def _receipt() -> None:
    _everywhere(lambda commit: None, "receipts_at", (check,))
    before = acceptance._claim_problem

    def only_signed(claim: Any, files: Any, receipts: Any) -> str:
        reason = before(claim, files, lambda commit: None)
        return "" if "is not in this repository" in reason else reason

    acceptance._claim_problem = only_signed


def _chain() -> None:
    def as_the_alias_says(self: Any) -> Any:
        self._chain = Chain()
        found = self._connect().version_behind(self._name) or self._connect().version(self._name)
        return served.WantedVersion(str(found.version), dict(found.tags))

    served.RegistrySource.wanted = as_the_alias_says  # type: ignore[method-assign]
    _everywhere(lambda production, last: "", "unrecorded_move", (registry, served))
    before = chain.chain_of
    _everywhere(lambda *known: Chain(before(*known).moves), "chain_of", (chain, moves))


def _environment() -> None:
    _everywhere(list, "installed_differences", (installed, gates, doctor))


def _clean_tree() -> None:
    nothing = Changes((), ())
    _everywhere(lambda: nothing, "changes", (gather, doctor))


def _derived_again() -> None:
    _everywhere(lambda *known: "", "rebuilders_problem", (rebuilders, gates, person_gates))


CHECKS: dict[str, Callable[[], None]] = {
    "signature": _signature,
    "receipt": _receipt,
    "chain": _chain,
    "environment": _environment,
    "clean-tree": _clean_tree,
    "derived-again": _derived_again,
}
