"""How a command ends: exit codes, and every failure as one line."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Any

import click
import yaml
from click.exceptions import NoArgsIsHelpError

from streamflow.core.errors import LONGEST_VALUE, first_line, printable
from streamflow.pipeline.reporting import USER_ERROR

SAYS_NO = 1
"""The command did its work, and its verdict is no."""
INTERRUPTED = 130
"""As shells count: 128 and the number of SIGINT."""


@contextmanager
def damage_in_one_line(where: str) -> Iterator[None]:
    """Turn the exceptions of damaged files and packages into one line."""
    try:
        yield
    except ImportError as error:
        sys.exit(
            print_error(f"{where}: the environment is incomplete: {error}; `make install` installs requirements.lock")
        )
    except (yaml.YAMLError, UnicodeError, JSONDecodeError) as error:
        reason = first_line(error)
        sys.exit(
            print_error(f"{where}: a file can't be read ({reason}); `git status` shows which tracked file was edited")
        )
    except KeyboardInterrupt:
        sys.exit(print_error(f"{where}: interrupted", INTERRUPTED))


def run_in_one_line(run: Callable[[], Any]) -> int:
    """Run a click command that leaves its exceptions to us; returns the exit code. What was mistyped is one line."""
    try:
        done = run()
    except NoArgsIsHelpError as error:
        error.show()
        return USER_ERROR
    except click.ClickException as error:
        return print_error(usage_line(error))
    except click.Abort:
        return print_error("streamflow: not confirmed, so nothing was done", SAYS_NO)
    return done if isinstance(done, int) else 0


def usage_line(error: click.ClickException) -> str:
    """What click refuses, in one line with the command that explains it; what was typed is escaped and cut."""
    context = getattr(error, "ctx", None)
    command = " ".join(["streamflow", *_path_of(context)])
    text = printable(" ".join(error.format_message().split())).removesuffix(".")
    text = re.sub(rf"\S{{{LONGEST_VALUE + 1},}}", lambda long: f"{long[0][:LONGEST_VALUE]}…", text)
    return f"{command}: {text}; `{command} --help`"


def print_error(line: str, code: int = USER_ERROR) -> int:
    """Print a line on stderr; returns the exit code."""
    print(line, file=sys.stderr)
    return code


def _path_of(context: click.Context | None) -> list[str]:
    """The names of the commands, without the program's."""
    names: list[str] = []
    while context is not None and context.parent is not None:
        names.insert(0, context.info_name or "")
        context = context.parent
    return names
