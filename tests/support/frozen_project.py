"""A project folder with frozen months and the dvc.lock that names them, made without a pipeline."""

import shutil
from pathlib import Path

import pyarrow as pa
import yaml
from project import ROOT

from streamflow.core.arrow import arrow_schema
from streamflow.core.calendar import instant
from streamflow.core.schema import TABLES
from streamflow.pipeline.dvc_hash import content_of
from streamflow.pipeline.parquet import frozen_schema, with_event_timestamp, write_parquet


def freeze(folder: Path, month: str, tables: dict[str, pa.Table]) -> None:
    """Write a month as stage `snapshot` does, and its entry of dvc.lock; params.yaml is this project's."""
    target = folder / "data" / "snapshots" / month
    for table in TABLES:
        batches = [
            with_event_timestamp(batch, instant(month))
            for batch in tables[table.name].cast(arrow_schema(table)).to_batches()
        ]
        write_parquet(target / f"{table.name}.parquet", frozen_schema(table), batches)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    (folder / "conf").mkdir(exist_ok=True)
    lock = folder / "dvc.lock"
    stages = yaml.safe_load(lock.read_text())["stages"] if lock.exists() else {}
    out = {"path": f"data/snapshots/{month}", "md5": content_of(target).md5, "size": 1, "nfiles": 6}
    stages[f"snapshot@{month}"] = {"cmd": "true", "outs": [out]}
    lock.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
