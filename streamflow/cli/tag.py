"""`streamflow tag`: commit a result and make an annotated git tag of it."""

from typing import Any

import click

from streamflow.cli.json_output import json_option, say_json
from streamflow.core.errors import StreamFlowError
from streamflow.pipeline.reporting import say
from streamflow.postgres.server import database
from streamflow.provenance.result import Result


@click.command()
@click.argument("name")
@click.option("--experiment", metavar="EXP", help="A DVC experiment (`dvc exp show`) instead of the current result.")
@json_option
def tag(name: str, experiment: str | None, as_json: bool) -> None:
    """Commit the current result, or take the commit of a DVC experiment, and make the annotated git tag exp/NAME.

    \b
    streamflow tag spring                        the current result
    streamflow tag deep --experiment oaken-bits  the result of `dvc exp run`

    The current result's own files (params.yaml, dvc.lock, receipts, metrics) are committed on the branch you are on; code
    must be committed before. The message has as_of, metrics and the digests of dataset, model and locks. The tags of a
    registered version of the same model then name that commit.
    """
    from streamflow.operations.lineage.tagging import tag_current, tag_experiment

    commit, result, files = tag_experiment(name, experiment) if experiment else tag_current(name)
    anchored = _anchor(commit, f"exp/{name}", result)
    if as_json:
        say_json(_to_json(f"exp/{name}", commit, files, result, anchored))
        return
    if files:
        say(f"committed {len(files)} files of the result: {', '.join(files[:4])}{', …' if len(files) > 4 else ''}")
    say(f"exp/{name} is {commit[:12]}: {result.params['model_name']} as of {result.params['as_of']},")
    say(f"  ROC AUC {result.metrics.get('roc_auc', 0):.4f}, model {result.model_sha256[:12]}")
    say(f"  {anchored}")
    say(f"  next        streamflow rerun exp/{name}; dvc push; git push origin exp/{name}")


def _to_json(name: str, commit: str, files: list[str], result: Result, anchored: str) -> dict[str, Any]:
    return {
        "tag": name,
        "commit": commit,
        "committed_files": files,
        "as_of": result.params["as_of"],
        "model": result.params["model_name"],
        "model_sha256": result.model_sha256,
        "metrics": dict(sorted(result.metrics.items())),
        "registered": anchored,
    }


def _anchor(commit: str, name: str, result: Result) -> str:
    from streamflow.registry.registry import open_registry
    from streamflow.registry.signing import sign_version

    try:
        with database() as url:
            registry = open_registry(url)
            version = registry.version_with_fingerprint(result.input_fingerprint)
            if version is None:
                return "no registered version has these inputs"
            if version.tags.get("streamflow.dvc_lock_sha256") != result.dvc_lock_sha256:
                return (
                    f"version {version.version} has the same model, another run; `streamflow repro` registers this one"
                )
            registry.anchor(str(version.version), commit, name)
            problem = sign_version(registry, registry.version(str(version.version)), commit)
            return f"version {version.version} of the registry names it" + (f"; {problem}" if problem else "")
    except StreamFlowError as error:
        return f"the registered version was not updated: {error}"
