"""The outputs in the working tree against dvc.lock and the receipts of the stages."""

from pathlib import Path

from streamflow.pipeline.dvc_hash import content_of
from streamflow.provenance.problems import Problem


def output_problems(path: str, md5: str, receipt: dict[str, str], stage: str) -> list[Problem]:
    """What is wrong with one output in the working tree, with the names of the files that the receipt names."""
    content = content_of(Path(path))
    fix = f"`streamflow repro` restores it, or `dvc repro --force --single-item {stage}`"
    if content is None:
        return [Problem(f"{path} is missing", f"`dvc checkout {path}`, or `streamflow repro`")]
    named = {f"{path}/{name}" if name else path: digest for name, digest in content.files_sha256.items()}
    inside = {name: digest for name, digest in receipt.items() if name == path or name.startswith(f"{path}/")}
    wrong = sorted(name for name in named.keys() | inside.keys() if inside and named.get(name) != inside.get(name))
    if wrong:
        return [Problem(f"SHA-256 of {name} differs from the receipt of stage {stage}", fix) for name in wrong]
    if content.md5 != md5:
        return [Problem(f"MD5 of {path} is {content.md5[:12]}, stage {stage} wrote {md5[:12]} (dvc.lock)", fix)]
    return []
