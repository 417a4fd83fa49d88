"""`streamflow tag`: commit a result and make an annotated git tag of it."""

import click

from streamflow.core.errors import StreamFlowError
from streamflow.pipeline.reporting import say
from streamflow.postgres.server import database
from streamflow.provenance.result import Result


@click.command()
@click.argument("name")
@click.option("--experiment", metavar="EXP", help="A DVC experiment (`dvc exp show`) instead of the current result.")
def tag(name: str, experiment: str | None) -> None:
    """Commit the current result, or take the commit of a DVC experiment, and make the annotated git tag exp/NAME.

    \b
    streamflow tag spring                       the current result
    streamflow tag deep --experiment oaken-bits the result of `dvc exp run`

    The current result's own files (params.yaml, dvc.lock, receipts, metrics) are committed on the branch you are on; code
    must be committed before. The message has as_of, metrics and the digests of dataset, model and locks. The tags of a
    registered version of the same model then name that commit.
    """
    from streamflow.operations.lineage.tagging import tag_current, tag_experiment

    commit, result, files = tag_experiment(name, experiment) if experiment else tag_current(name)
    if files:
        say(f"committed {len(files)} files of the result: {', '.join(files[:4])}{', …' if len(files) > 4 else ''}")
    say(f"exp/{name} is {commit[:12]}: {result.params['model_name']} as of {result.params['as_of']},")
    say(f"  ROC AUC {result.metrics.get('roc_auc', 0):.4f}, model {result.model_sha256[:12]}")
    say(f"  {_anchor(commit, f'exp/{name}', result)}")
    say(f"  next        streamflow rerun exp/{name}; dvc push; git push origin exp/{name}")


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
