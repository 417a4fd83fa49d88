"""What serving, `streamflow doctor` and `streamflow promote` say in a project, as one JSON document; of drills only.

    python -m drills.judge SERVED PROMOTED        a version or Production to serve, a version to promote (or -)

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

from drills import without
from serve.reloading import CurrentModel
from streamflow.cli.main import cli
from streamflow.core.errors import StreamFlowError
from streamflow.postgres.server import database
from streamflow.registry.moves import signed_moves
from streamflow.registry.registry import open_registry
from streamflow.registry.served import RegistrySource


def served(name: str) -> dict[str, Any]:
    """The model that a replica takes at its start, and why it is not the wanted one."""
    with database() as url, tempfile.TemporaryDirectory() as scratch:
        source = RegistrySource(lambda: open_registry(url), name, "churn_v1", moves=lambda: signed_moves(url))
        current = CurrentModel(source, counters(Path(scratch)))
        current.refresh()
        try:
            model = current.get()
        except StreamFlowError as error:
            return {"version": None, "said": str(error)}
        return {
            "version": model.version,
            "facts": [model.model_sha256, model.threshold, model.feature_service, model.git_commit, model.as_of],
            "said": current.refused.reason if current.refused else "",
        }


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


def main() -> None:
    """Ask all three, promote last: it may change something."""
    if name := os.environ.get(without.VARIABLE):
        without.take_out(name)
    what, version = sys.argv[1:]
    found: dict[str, Any] = {}
    with redirect_stdout(sys.stderr):
        if what != "-":
            found["serve"] = served(what)
        found["doctor"] = doctor()
        if version != "-":
            found["promote"] = said("promote", version)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
