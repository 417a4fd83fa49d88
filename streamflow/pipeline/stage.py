"""The frame of every stage: its declared parameters, the audit, and a failure as one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder

import pyarrow as pa

from streamflow.core.config import Config
from streamflow.pipeline.audit import audit
from streamflow.pipeline.params import read_params
from streamflow.pipeline.reporting import one_line_errors


@contextmanager
def stage(name: str, item: str | None = None) -> Iterator[Config]:
    """Run the block as the work of a stage (`item` is its month), on the parameters that dvc.yaml declares for it.

    A StreamFlowError, also one that the audit raises, becomes one line on stderr and exit code 2.
    """
    _keep_pandas_out_of_arrow()
    with one_line_errors(f"{name} {item}" if item else name), audit(name, item):
        yield read_params(name)


def _keep_pandas_out_of_arrow() -> None:
    """Spare stages that don't use pandas its import.

    pyarrow imports pandas (0.4 s) with the first Python value that it takes, to recognise values of pandas. A failed import
    is remembered there as "no pandas yet": `to_pandas` tries again, and an import by anybody else is not affected.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(finder)


class _NoPandas(MetaPathFinder):
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)
