"""The result that the tracked files of this working tree describe."""

from project import ROOT

from streamflow.provenance.result import read_result


def committed(path: str) -> bytes | None:
    """A tracked file of this working tree; None if there is none."""
    return (ROOT / path).read_bytes() if (ROOT / path).is_file() else None


RESULT = read_result(committed, "this commit")

ALL = {path: md5 for path, (_, md5) in RESULT.outs.items()}
"""Every output and its MD5."""
