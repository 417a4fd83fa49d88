"""The frame of every stage: its declared parameters, the audit, and a failure as one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from streamflow.core.config import Config
from streamflow.pipeline.audit import audit
from streamflow.pipeline.params import read_params
from streamflow.pipeline.reporting import one_line_errors


@contextmanager
def stage(name: str, item: str | None = None) -> Iterator[Config]:
    """Run the block as the work of a stage (`item` is its month), on the parameters that dvc.yaml declares for it.

    A StreamFlowError, also one that the audit raises, becomes one line on stderr and exit code 2.
    """
    with one_line_errors(f"{name} {item}" if item else name), audit(name, item):
        yield read_params(name)
