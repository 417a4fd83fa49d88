"""A synthetic month frozen as stage `snapshot` freezes it, without Postgres, and the dvc.lock and receipt that say so."""

import json
from pathlib import Path

import pyarrow as pa
import yaml

from streamflow.core.arrow import arrow_schema, sorted_by_user
from streamflow.core.calendar import instant
from streamflow.core.schema import TABLES
from streamflow.extracts.synthetic import generate_month
from streamflow.pipeline.dvc_hash import content_of
from streamflow.pipeline.parquet import frozen_schema, with_event_timestamp, write_parquet


def freeze(folder: Path, users: int, month: str = "2024-01-31", seed: int = 3) -> Path:
    """Write the six tables of a month to `folder`."""
    rows = generate_month(users, month, seed)
    for table in TABLES:
        ordered = sorted_by_user(rows[table.name]).cast(arrow_schema(table))
        write_table(folder / f"{table.name}.parquet", ordered, month)
    return folder


def write_table(path: Path, rows: pa.Table, month: str = "2024-01-31") -> None:
    """Write the rows of one table as they are, stamped with the month."""
    table = next(each for each in TABLES if each.name == path.stem)
    batches = (with_event_timestamp(batch, instant(month)) for batch in rows.to_batches())
    write_parquet(path, frozen_schema(table), batches)


def lock(project: Path, month: str = "2024-01-31") -> None:
    """Write the dvc.lock and the receipt of a month that lies frozen below `project`."""
    stage, folder = f"snapshot@{month}", f"data/snapshots/{month}"
    content = content_of(project / folder)
    size = sum(file.stat().st_size for file in (project / folder).iterdir())
    out = {"path": folder, "md5": content.md5, "size": size, "nfiles": len(content.files_md5)}
    entry = {"cmd": f"python -m stages.snapshot {month}", "outs": [out]}
    (project / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {stage: entry}}))
    receipt = project / "artifacts" / "sha256" / f"{stage}.json"
    receipt.parent.mkdir(parents=True, exist_ok=True)
    files = {f"{folder}/{name}": digest for name, digest in content.files_sha256.items()}
    receipt.write_text(json.dumps({"stage": stage, "files": files}))
