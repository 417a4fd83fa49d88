"""The command line: the group of all commands, and errors as one line."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from streamflow.cli import (
    attest,
    batch,
    check_skew,
    db,
    doctor,
    drift,
    erase,
    evidence,
    keys,
    lineage,
    models,
    promote,
    repro,
    rerun,
    rollback,
    servers,
    source,
    tag,
    tune,
)
from streamflow.cli.endings import damage_in_one_line, run_in_one_line
from streamflow.cli.examples import examples
from streamflow.pipeline.environment import silence_telemetry
from streamflow.pipeline.project import project_root
from streamflow.pipeline.reporting import one_line_errors

_RUN_BY_OTHERS = ("serve", "ui", "db")
_ANYWHERE = ("verify",)
"""Runs outside of a project too."""
_COMMAND, _ASKS_FOR_HELP = "streamflow.command", "streamflow.help"
_HELP = ("-h", "--help")


def _terminated(number: int, frame: object) -> None:
    sys.exit(128 + number)


_EXAMPLES = examples(
    "streamflow repro experiment=best && streamflow tag best && streamflow rerun exp/best && streamflow promote v2",
    'eval "$(_STREAMFLOW_COMPLETE=bash_source streamflow)"   completes commands and options (zsh_source, fish_source)',
)


class _OneLineErrors(click.Group):
    """Runs commands in the project's root; a failure is one line and exit code 2."""

    def main(self, *arguments: Any, **settings: Any) -> Any:
        """Run the command line, and end the process."""
        settings["standalone_mode"] = False
        sys.exit(run_in_one_line(lambda: super(_OneLineErrors, self).main(*arguments, **settings)))

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        # click knows the name of the command only when it is about to run it.
        context.meta[_COMMAND] = args[0] if args else ""
        context.meta[_ASKS_FOR_HELP] = any(each in _HELP for each in args)
        return super().parse_args(context, args)

    def invoke(self, context: click.Context) -> object:
        name = f"streamflow {context.invoked_subcommand or ''}".strip()
        with one_line_errors(name), damage_in_one_line(name):
            if context.invoked_subcommand not in _RUN_BY_OTHERS:
                signal.signal(signal.SIGTERM, _terminated)  # so that cleanup runs
            silence_telemetry()
            context.obj = Path.cwd()  # paths that a user names are relative to it
            anywhere = context.meta[_COMMAND] in _ANYWHERE or context.meta[_ASKS_FOR_HELP]
            if anywhere and not evidence.inside_project():
                return super().invoke(context)
            root = project_root()
            os.chdir(root)
            # The project's own folders (stages, serve) are imported from the root, like `python -m stages.train` does.
            # At the end, so that a file there can't shadow an installed package.
            sys.path.append(str(root))
            return super().invoke(context)


@click.group(cls=_OneLineErrors, epilog=_EXAMPLES, context_settings={"help_option_names": list(_HELP)})
@click.version_option(package_name="streamflow-churn", prog_name="streamflow", message="%(prog)s %(version)s")
def cli() -> None:
    """StreamFlow churn: a pipeline whose every model can be derived again.

    `streamflow repro` composes the configuration and runs the pipeline, `streamflow serve` answers over HTTP.

    \b
    Exit codes of every command:
      0    done, or a verdict that says yes
      1    a verdict that says no: doctor, fsck, rerun, verify, check-skew, drift, history, promote,
           tune, erase, source
      2    a mistake or a fault: one line says what, where, the value and the command that fixes it
      130  ended by Ctrl-C

    --json prints one JSON document on stdout; all other lines then go to stderr.
    """


cli.add_command(repro.repro)
cli.add_command(doctor.doctor)
cli.add_command(doctor.fsck)
cli.add_command(tune.tune)
cli.add_command(tag.tag)
cli.add_command(lineage.lineage)
cli.add_command(lineage.diff)
cli.add_command(rerun.rerun)
cli.add_command(promote.promote)
cli.add_command(rollback.rollback)
cli.add_command(rollback.history)
cli.add_command(keys.keys)
cli.add_command(attest.attest)
cli.add_command(erase.erase)
cli.add_command(evidence.evidence)
cli.add_command(evidence.verify)
cli.add_command(check_skew.check_skew)
cli.add_command(drift.drift)
cli.add_command(batch.batch)
cli.add_command(db.db)
cli.add_command(source.source)
cli.add_command(models.models)
cli.add_command(servers.serve)
cli.add_command(servers.ui)


if __name__ == "__main__":
    cli()
