"""`--json`: one JSON object on stdout, and every other line, those of the pipeline's stages too, on stderr."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import click

from streamflow.pipeline.reporting import say

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")


@contextmanager
def lines_on_stderr(wanted: bool) -> Iterator[None]:
    """Keep stdout for the one JSON object while the block runs: what it and its processes print goes to stderr."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def say_json(content: Any) -> None:
    """Print the JSON object."""
    say(json.dumps(content, indent=2, ensure_ascii=False))
