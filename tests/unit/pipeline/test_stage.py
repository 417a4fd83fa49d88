"""What stands around a stage: pandas stays out of it as long as nobody asks for it."""

import subprocess
import sys

from project import ROOT

SCRIPT = """
import sys
import pyarrow as pa
from streamflow.pipeline.stage import _keep_pandas_out_of_arrow
_keep_pandas_out_of_arrow()
table = pa.table({"a": pa.array([1, 2]), "b": pa.array(["x", None])})
print("pandas" in sys.modules)
frame = table.to_pandas()
print("pandas" in sys.modules, frame["b"].tolist(), pa.Table.from_pandas(frame).num_rows, pa.array(frame["a"]).to_pylist())
"""


def test_arrow_takes_python_values_without_pandas_and_frames_once_somebody_uses_them():
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False", "True ['x', None] 2 [1, 2]"]


def test_an_idle_ingest_imports_no_pandas():
    script = "import sys, stages.ingest, streamflow.extracts.synthetic as s\n" + SCRIPT.split("table =")[0]
    script += "s.generate_month(50, '2024-01-31', 1)\nprint('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
