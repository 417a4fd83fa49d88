"""The command line: one function for each command, arguments in, adapters called, lines out."""

import os
import sys

import click

from streamflow.adapters.environment import silence_telemetry
from streamflow.adapters.files import project_root
from streamflow.cli import db, doctor, lineage, models, promote, repro, rerun, servers, tag
from streamflow.cli.reporting import one_line_errors


class _OneLineErrors(click.Group):
    """Runs every command in the project's root, with failures as one line and exit code 2."""

    def invoke(self, context: click.Context) -> object:
        name = f"streamflow {context.invoked_subcommand or ''}".strip()
        with one_line_errors(name):
            silence_telemetry()
            root = project_root()
            os.chdir(root)
            # The project's own folders (stages, serve) are imported from the root, like `python -m stages.train` does.
            sys.path.insert(0, str(root))
            return super().invoke(context)


@click.group(cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """StreamFlow churn: a pipeline whose every model can be derived again.

    `streamflow repro` composes the configuration and runs the pipeline, `streamflow serve` answers over HTTP.
    """


cli.add_command(repro.repro)
cli.add_command(doctor.doctor)
cli.add_command(doctor.fsck)
cli.add_command(tag.tag)
cli.add_command(lineage.lineage)
cli.add_command(lineage.diff)
cli.add_command(rerun.rerun)
cli.add_command(promote.promote)
cli.add_command(db.db)
cli.add_command(models.models)
cli.add_command(servers.serve)
cli.add_command(servers.ui)


if __name__ == "__main__":
    cli()
