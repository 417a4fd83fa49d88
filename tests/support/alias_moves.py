"""Run in a project: move Production to versions of the same model made for that.

alias_moves.py copy        a second version of the same bytes becomes Production; prints its number
alias_moves.py damaged     a version whose tag names another digest becomes Production; prints its number
alias_moves.py outside     a second version of the same bytes gets the alias as MLflow's pages set it, past the ledger
alias_moves.py back        version 1 becomes Production again, the others are deleted
"""

import sys
from dataclasses import replace

from streamflow.core.schema import MODEL_NAME
from streamflow.postgres.server import database
from streamflow.promotion.ledger import move
from streamflow.registry.registry import PRODUCTION, open_registry


def main(what: str) -> None:
    with database() as url:
        registry = open_registry(url)
        client, first = registry._client, registry.version("1")
        number = "1"
        signed = registry.load(first)
        if what == "back":
            move(url, registry, "rollback", signed, "back")
            for each in registry.versions():
                if str(each.version) != "1":
                    client.delete_model_version(MODEL_NAME, str(each.version))
        else:
            tags = dict(first.tags) | ({"streamflow.model_sha256": "0" * 64} if what == "damaged" else {})
            made = client.create_model_version(MODEL_NAME, source=first.source, run_id=first.run_id, tags=tags)
            number = str(made.version)
            if what == "outside":
                client.set_registered_model_alias(MODEL_NAME, PRODUCTION, number)
            else:
                move(url, registry, "promote", replace(signed, version=number), what)
    print(number)


if __name__ == "__main__":
    main(sys.argv[1])
