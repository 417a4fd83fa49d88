"""`streamflow lineage` and `streamflow diff`: where a model came from, and what differs between two models."""

import sys
from typing import Any

import click

from streamflow.cli.examples import examples
from streamflow.cli.json_output import json_option, say_json
from streamflow.pipeline.reporting import say
from streamflow.registry.registry import headline


@click.command(epilog=examples("streamflow lineage Production", "streamflow lineage exp/spring --json"))
@click.argument("ref")
@json_option
def lineage(ref: str, as_json: bool) -> None:
    """Show where REF (a tag, commit, v3 or Production) came from, down to the extracts."""
    from streamflow.operations.lineage.lineage import lineage as gather
    from streamflow.registry.references import find_target, registry_if_any

    with registry_if_any() as registry:
        found = gather(find_target(ref, registry), registry)
    if as_json:
        say_json(found)
        return
    from rich.console import Console

    # A pipe has no width; nothing may be cut there.
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(_tree(found))


@click.command(epilog=examples("streamflow diff v1 v2", "streamflow diff exp/spring Production"))
@click.argument("before")
@click.argument("after")
@json_option
def diff(before: str, after: str, as_json: bool) -> None:
    """Show what differs between two results: code, snapshots, packages, configuration, metrics."""
    from streamflow.operations.lineage.lineage import differences
    from streamflow.registry.references import find_target, registry_if_any

    with registry_if_any() as registry:
        found = differences(find_target(before, registry), find_target(after, registry))
    if as_json:
        say_json(found)
    else:
        say("\n".join(_in_words(found)))


def _tree(found: dict[str, Any]) -> Any:
    from rich.markup import escape
    from rich.tree import Tree

    version, commit, environment, data = (found[name] for name in ("version", "commit", "environment", "dataset"))
    name = (
        f"{found['model']['name']} version {version['version']}" if version else f"{found['ref']}, not registered here"
    )
    aliases = f" ({', '.join(version['aliases'])})" if version and version["aliases"] else ""
    root = Tree(escape(f"{name}{aliases}"))
    root.add(f"model SHA-256 {found['model']['sha256']}")
    if version:
        root.add(escape(f"run {version['run_id']}: {headline(version['description'])}; {version['decision']}"))
    tags = f" ({', '.join(commit['tags'])})" if commit["tags"] else ""
    uncommitted = ", with uncommitted changes" if commit["uncommitted_changes"] else ""
    root.add(
        escape(
            f"commit {commit['sha'][:12]}{tags}{uncommitted}: {commit['subject']}, {commit['author']} {commit['date']}"
        )
    )
    machine = ", ".join(str(environment[key]) for key in ("python", "cpu", "blas_kernel") if key in environment)
    root.add(
        escape(
            f"environment requirements.lock {environment['requirements_lock_sha256'][:12]}:"
            f" {environment['packages']} packages" + (f"; {machine}" if machine else "")
        )
    )
    chosen = found["configuration"]
    root.add(escape(f"configuration {chosen['estimator']} on {chosen['feature_service']}, seed {chosen['seed']}"))
    dataset = root.add(escape(f"dataset as of {chosen['as_of']}: MD5 {data['md5'][:12]}"))
    for snapshot in data["snapshots"]:
        branch = dataset.add(escape(f"snapshot {snapshot['as_of']}: MD5 {snapshot['md5'][:12]}"))
        extract = branch.add(escape(f"extract {snapshot['as_of']}, source {snapshot['extract']['source']}"))
        for table, facts in snapshot["extract"]["tables"].items():
            # Receipts of older commits count corrected rows, without their versions.
            count = len(facts["versions"]) - 1 if "versions" in facts else facts["corrections"]
            corrections = f", {count} correction{'s' if count > 1 else ''}" if count else ""
            extract.add(f"{table}: {facts['rows']:,} rows{corrections}, content {facts['content_sha256'][:12]}")
    attested = root.add(
        "attestations" if found["attestations"] else "attestations: none yet; `streamflow rerun` makes one"
    )
    for each in found["attestations"]:
        attested.add(
            f"{each['verdict']} on {each['finished_on']}, signed by {each['signed_by']}, {each['outputs']} outputs"
        )
    return root


def _in_words(found: dict[str, Any]) -> list[str]:
    before, after = found["before"], found["after"]
    same = before["model_sha256"] == after["model_sha256"]
    lines = [
        f"{before['ref']} ({before['commit'][:12]}) and {after['ref']} ({after['commit'][:12]}):"
        f" {'the same model ' + before['model_sha256'][:12] if same else 'another model'}",
        *_section("code", found["code"] + [f"{name} has uncommitted changes" for name in found["uncommitted"]]),
    ]
    snapshots = [
        f"{each['month']}: {each['before'] or 'none'} -> {each['after'] or 'none'}"
        + "".join(f"\n    {t['table']}: {t['rows_before']} -> {t['rows_after']} rows" for t in each["tables"])
        for each in found["snapshots"]
    ]
    packages = [
        f"{each['name']} {each['before'] or 'absent'} -> {each['after'] or 'absent'}" for each in found["packages"]
    ]
    keys = [f"{each['name']}: {each['before']} -> {each['after']}" for each in found["configuration"]]
    metrics = [_metric(each) for each in found["metrics"]]
    for name, section in (
        ("snapshots", snapshots),
        ("packages", packages),
        ("configuration", keys),
        ("metrics", metrics),
    ):
        lines += _section(name, section)
    return lines


def _metric(each: dict[str, Any]) -> str:
    before, after = each["before"], each["after"]
    if before is None or after is None:
        return f"{each['name']}: {before} -> {after}"
    return f"{each['name']}: {before:.4f} -> {after:.4f} ({after - before:+.4f})"


def _section(name: str, lines: list[str]) -> list[str]:
    return [f"{name}", *(f"  {line}" for line in lines)] if lines else [f"{name}: the same"]
