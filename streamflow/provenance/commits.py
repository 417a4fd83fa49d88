"""Results as they are in commits, and whether a commit has the code that a run read."""

from streamflow.provenance.git import differing_files, file_at, md5_at, tree
from streamflow.provenance.result import Result, read_result


def result_of(commit: str, name: str = "") -> Result:
    """The result that is in a commit."""
    return read_result(lambda path: file_at(commit, path), name or f"commit {commit[:12]}")


def code_differences(commit: str, result: Result) -> list[str]:
    """Files that differ between the commit and what the stages read: code that was never committed."""
    files, made = tree(commit), {path: md5 for path, (_, md5) in result.outs.items()}
    read = {path: md5 for stage in result.stages.values() if stage.outs for path, md5 in stage.deps.items()}
    return sorted(
        path for path, md5 in read.items() if path not in made and md5_at(commit, files, path, made) != md5
    )  # fmt: skip


def path_with_files(path: str, commit: str = "HEAD") -> str:
    """A path for a message: of a folder, also the first files that differ between the working tree and a commit."""
    files = differing_files(commit, path)
    if not files or files == [path]:
        return path
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"{path} ({', '.join(files[:3])}{more})"
