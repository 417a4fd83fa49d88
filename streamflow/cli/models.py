"""`streamflow models`: the registered versions."""

import sys

import click

from streamflow.adapters.postgres import database


@click.command()
def models() -> None:
    """List the registered model versions, newest first."""
    from rich.console import Console
    from rich.table import Table

    from streamflow.adapters.registry import open_registry

    table = Table("version", "alias", "as of", "model", "metrics", "SHA-256", "commit", "derived again", box=None)
    with database() as url:
        registry = open_registry(url)
        for version in registry.versions():
            metrics = registry.run_metrics(version)
            table.add_row(
                str(version.version),
                ", ".join(version.aliases),
                version.tags.get("streamflow.as_of", ""),
                version.description or "",
                f"AUC {metrics['roc_auc']:.4f}, F1 {metrics['f1']:.4f}",
                version.tags.get("streamflow.model_sha256", "")[:12],
                version.tags.get("streamflow.git_commit", "")[:12]
                + (" (dirty)" if version.tags.get("streamflow.git_dirty") == "true" else ""),
                version.tags.get("streamflow.rerun_verdict", ""),
            )
    # A pipe has no width; nothing may be cut there.
    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(table if table.row_count else "no version is registered; run `make repro`")
