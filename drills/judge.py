"""What serving, `streamflow doctor` and `streamflow promote` say in a project, as one JSON document; of drills only.

    python -m drills.judge registry NUMBER      after the forgery of that number
    python -m drills.judge tree v2              after a run

STREAMFLOW_DRILL_WITHOUT names a check that is taken out of this process before it asks.
"""

import json
import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from counters import counters
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from drills import without
from drills.forged import Owner
from drills.forgeries_of_registry import OF_REGISTRY
from serve.reloading import CurrentModel
from streamflow.cli.main import cli
from streamflow.core.errors import StreamFlowError
from streamflow.postgres.server import database
from streamflow.registry.loading import LoadedModel
from streamflow.registry.moves import signed_moves
from streamflow.registry.registry import PRODUCTION, open_registry
from streamflow.registry.served import RegistrySource

_NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"


def served(name: str, at: str | None = None) -> dict[str, Any]:
    """The model that a replica takes at its start, and why it is not the wanted one; `at` is another database."""
    with database() as own, tempfile.TemporaryDirectory() as scratch:
        url = at or own
        source = RegistrySource(lambda: open_registry(url), name, "churn_v1")
        current = CurrentModel(source, counters(Path(scratch)))
        current.refresh()
        try:
            model = current.get()
        except StreamFlowError as error:
            return {"version": None, "said": str(error)}
        return {
            "version": model.version,
            "facts": facts(model),
            "said": current.refused.reason if current.refused else "",
        }


def facts(model: LoadedModel) -> list[Any]:
    """What every answer of serving depends on or names."""
    return [model.model_sha256, model.threshold, model.feature_service, model.git_commit, model.as_of]


def said(*arguments: str) -> dict[str, Any]:
    """Exit code and words of a command."""
    done = CliRunner().invoke(cli, arguments)
    return {"code": done.exit_code, "said": done.output}


def doctor() -> dict[str, Any]:
    """What doctor names."""
    answer = said("doctor", "--json")
    document = json.loads(answer["said"][answer["said"].index("{") :])
    problems = [f"{check['name']}: {each['what']}" for check in document["checks"] for each in check["problems"]]
    return {"code": answer["code"], "said": " | ".join(problems)}


def registry(number: int) -> dict[str, Any]:
    """Apply a forgery of the registry, and ask."""
    forgery = OF_REGISTRY[number]
    stolen = CryptoSigner(load_pem_private_key(Path(os.environ["DRILL_REVOKED_KEY"]).read_bytes(), None))
    with database() as url:
        opened = open_registry(url)
        honest = {version: facts(opened.load(opened.version(version))) for version in ("1", "2", "3")}
        if forgery.registry_down:
            served(PRODUCTION)  # this machine keeps a copy
        forgery.apply(Owner(opened, url, stolen))
    take_out()
    found: dict[str, Any] = {"honest": honest}
    if forgery.serve is not None:
        found["serve"] = served(forgery.served, _NO_DATABASE if forgery.registry_down else None)
    if forgery.doctor is not None:
        found["doctor"] = doctor()
    if forgery.promote is not None:
        found["promote"] = said(*forgery.command or ("promote", f"v{forgery.promoted}"))
    return found


def tree(version: str) -> dict[str, Any]:
    """Ask after a run on a tainted work tree."""
    take_out()
    with database() as url:
        moves = len(signed_moves(url).moves)
    return {"moves": moves, "doctor": doctor(), "promote": said("promote", version)}


def take_out() -> None:
    """Take the check out that the drill names."""
    if name := os.environ.get(without.VARIABLE):
        without.take_out(name)


def main() -> None:
    """Ask, promote last: it may change something."""
    what, which = sys.argv[1:]
    # One server for all questions instead of one start and stop for each.
    with redirect_stdout(sys.stderr), database():
        found = registry(int(which)) if what == "registry" else tree(which)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
