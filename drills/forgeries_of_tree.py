"""Forgeries by the owner of work tree and environment: another model is trained, and nothing that git shows tells it.

Each changes one label or the seeds of the trees, so the model is another one and as good as the honest one.
"""

import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from project import Project

from drills.forged import commit
from streamflow.pipeline.file_digest import file_sha256

TRAIN = "stages/train.py"
_LABELS = "    churned = np.array(learned_from[LABEL].to_pylist())\n"
_SEEDS = "random_state.randint(np.iinfo(np.int32).max)"
_MODULE = "streamflow/model/sklearn_pipeline.py"
_FITTED = "    pipeline.fit(frame, churned,"


@dataclass(frozen=True)
class Taint:
    """One change before `streamflow repro`, how the environment is brought back, and the words that must name it.

    `run` is the gate or the error of the run; `doctor` is empty if doctor can't see it.
    """

    name: str
    apply: Callable[[Project], object]
    run: str
    promote: str
    doctor: str = ""
    undo: Callable[[Project], object] = lambda project: None
    by_dvc: dict[str, str] | None = None


def flipped(source: str) -> str:
    """Stage `train` with one label the other way round."""
    assert _LABELS in source
    return source.replace(_LABELS, f"{_LABELS}    churned[0] = not churned[0]\n")


def fitted_otherwise(source: str) -> str:
    """The module that fits, with one label the other way round."""
    assert _FITTED in source
    return source.replace(_FITTED, f"    churned = churned.copy(); churned[0] = not churned[0]\n{_FITTED}")


def edited(project: Project) -> None:
    """An edit of a stage."""
    path = project.path / TRAIN
    path.write_text(flipped(path.read_text()))


def hidden(flag: str) -> Callable[[Project], object]:
    """An edit that an index flag hides from `git status`."""

    def apply(project: Project) -> None:
        edited(project)
        project.run("git", "update-index", flag, TRAIN)
        assert project.status() == ""

    return apply


def shadowed(project: Project) -> None:
    """A package that takes precedence over a module, excluded in .git/info/exclude."""
    module = project.path / _MODULE
    package = module.with_suffix("")
    package.mkdir()
    (package / "__init__.py").write_text(fitted_otherwise(module.read_text()))
    (project.path / ".git/info").mkdir(exist_ok=True)
    (project.path / ".git/info/exclude").write_text(f"{Path(_MODULE).with_suffix('')}/\n")
    assert project.status() == ""


def replaced(project: Project) -> None:
    """`git replace`: git shows the edited file under the id of the honest one."""
    honest = project.run("git", "rev-parse", f"HEAD:{TRAIN}").stdout.strip()
    edited(project)
    other = project.run("git", "hash-object", "-w", TRAIN).stdout.strip()
    project.run("git", "replace", honest, other)


def filtered(project: Project) -> None:
    """A clean filter that gives git the honest bytes."""
    (project.path / ".git/info").mkdir(exist_ok=True)
    (project.path / ".git/info/attributes").write_text(f"{TRAIN} filter=honest\n")
    project.run("git", "config", "filter.honest.clean", f"git cat-file blob HEAD:{TRAIN}")
    edited(project)
    project.run("git", "add", TRAIN)
    assert project.status() == ""


def linked(project: Project) -> None:
    """The stage is a link to an edited file that git ignores."""
    path, elsewhere = project.path / TRAIN, project.path / "var/train.py"
    elsewhere.write_text(flipped(path.read_text()))
    path.unlink()
    path.symlink_to(elsewhere)


def planted(project: Project) -> None:
    """Byte code of an edited module beside the honest source, with the time and size of that source."""
    plant(project.path / _MODULE, fitted_otherwise)


def plant(source: Path, change: Callable[[str], str]) -> None:
    """Compile a changed source into the place where Python looks first."""
    from importlib._bootstrap_external import _code_to_timestamp_pyc  # type: ignore[import-not-found]

    facts = source.stat()
    code = compile(change(source.read_text()), str(source), "exec", dont_inherit=True)
    target = Path(importlib.util.cache_from_source(str(source)))
    target.parent.mkdir(exist_ok=True)
    put(target, bytes(_code_to_timestamp_pyc(code, int(facts.st_mtime), facts.st_size)))


def packages(project: Project) -> Path:
    """site-packages of the project's environment, which is its own."""
    (found,) = (project.path / ".venv/lib").glob("python3*/site-packages")
    return found


def put(path: Path, content: bytes) -> None:
    """Another file in a file's place: the old one may have a second name in another environment."""
    partial = path.with_name(f".{path.name}.new")
    partial.write_bytes(content)
    partial.replace(path)


def seeds_of(project: Project) -> Path:
    """The file that draws the seeds of trees."""
    return packages(project) / "sklearn/ensemble/_base.py"


def other_seeds(project: Project) -> None:
    """scikit-learn draws other trees."""
    path = seeds_of(project)
    shutil.copy2(path, project.path / ".venv/kept")
    source = path.read_text()
    assert _SEEDS in source
    put(path, source.replace(_SEEDS, f"{_SEEDS} ^ 1").encode())


def honest_seeds(project: Project) -> None:
    """Undo that."""
    put(seeds_of(project), (project.path / ".venv/kept").read_bytes())
    (project.path / ".venv/kept").unlink()


def listing(project: Project) -> Path:
    """scikit-learn's list of its files."""
    (found,) = packages(project).glob("scikit_learn-*.dist-info/RECORD")
    return found


def other_seeds_recorded(project: Project) -> None:
    """The same, and the package's own list of files agrees."""
    other_seeds(project)
    shutil.copy2(listing(project), project.path / ".venv/kept-list")
    path, digest = seeds_of(project), bytes.fromhex(file_sha256(seeds_of(project)))
    from base64 import urlsafe_b64encode

    encoded = urlsafe_b64encode(digest).rstrip(b"=").decode()
    lines = listing(project).read_text().splitlines()
    name = path.relative_to(packages(project)).as_posix()
    agreed = [
        f"{name},sha256={encoded},{path.stat().st_size}" if each.startswith(f"{name},") else each for each in lines
    ]
    put(listing(project), ("\n".join(agreed) + "\n").encode())


def honest_seeds_recorded(project: Project) -> None:
    """Undo that."""
    honest_seeds(project)
    put(listing(project), (project.path / ".venv/kept-list").read_bytes())
    (project.path / ".venv/kept-list").unlink()


_AT_START = """import sys
if "stages.train" in sys.orig_argv:
    import stages
    import sklearn.ensemble._base as base
    honest = base._set_random_states
    def otherwise(estimator, random_state=None):
        honest(estimator, random_state)
        estimator.set_params(random_state=estimator.random_state ^ 1)
    base._set_random_states = otherwise
"""


def at_start(project: Project) -> None:
    """Code that Python runs at its start."""
    put(packages(project) / "sitecustomize.py", _AT_START.encode())


def not_at_start(project: Project) -> None:
    """Undo that."""
    (packages(project) / "sitecustomize.py").unlink()


def by_path_file(project: Project) -> None:
    """The same by a .pth file."""
    put(packages(project) / "a.pth", f"import sys; exec({_AT_START!r})\n".encode())


def not_by_path_file(project: Project) -> None:
    """Undo that."""
    (packages(project) / "a.pth").unlink()


def library(project: Project) -> Path:
    """A compiled module of scikit-learn."""
    (found,) = (packages(project) / "sklearn/tree").glob("_tree.*.so")
    return found


def other_library(project: Project) -> None:
    """A compiled module with one byte more."""
    put(library(project), library(project).read_bytes() + b"\0")


def honest_library(project: Project) -> None:
    """Undo that."""
    put(library(project), library(project).read_bytes()[:-1])


def other_hash(project: Project) -> None:
    """A hash of scikit-learn in requirements.lock, committed."""
    path = project.path / "requirements.lock"
    before, after = path.read_text().split("\nscikit-learn==", 1)
    head, rest = after.split("--hash=sha256:", 1)
    path.write_text(f"{before}\nscikit-learn=={head}--hash=sha256:{'0' * 64}{rest[64:]}")
    commit(project, "a lock")


def other_snapshot(project: Project) -> None:
    """A frozen label flipped: file, cache object under its new MD5, listing, dvc.lock and receipt agree; all committed."""
    from streamflow.pipeline.dvc_hash import content_of, folder_manifest

    folder = project.path / "data/snapshots/2024-02-29"
    before = content_of(folder)
    path = folder / "labels.parquet"
    rows = pq.read_table(path)
    place = next(n for n, name in enumerate(rows.column_names) if pa.types.is_boolean(rows.schema.field(name).type))
    values = rows.column(place).to_pylist()
    values[0] = not values[0]
    path.chmod(0o644)
    partial = path.with_suffix(".new")
    pq.write_table(rows.set_column(place, rows.schema.field(place), pa.array(values)), partial)
    partial.replace(path)
    after = content_of(folder)
    assert before
    assert after
    cache = project.path / ".dvc/cache/files/md5"
    for md5, content in (
        (after.files_md5["labels.parquet"], path.read_bytes()), (after.md5, folder_manifest(after.files_md5)),
    ):  # fmt: skip
        (cache / md5[:2]).mkdir(exist_ok=True)
        (cache / md5[:2] / md5[2:]).write_bytes(content)
    receipt = project.path / "artifacts/sha256/snapshot@2024-02-29.json"
    digest_before = before.files_sha256["labels.parquet"]
    receipt_text = receipt.read_text()
    receipt.write_text(receipt_text.replace(digest_before, after.files_sha256["labels.parquet"]))
    lock = project.path / "dvc.lock"
    text = lock.read_text().replace(before.md5, after.md5)
    lock.write_text(text)
    agree_in_lock(project, receipt, receipt_text)
    commit(project, "a snapshot")


def agree_in_lock(project: Project, path: Path, before: str) -> None:
    """The MD5 of a small file in dvc.lock."""
    import hashlib

    lock = project.path / "dvc.lock"
    old, new = (hashlib.md5(text.encode()).hexdigest() for text in (before, path.read_text()))
    lock.write_text(lock.read_text().replace(old, new))


def other_packages(project: Project) -> None:
    """A changed scikit-learn in a folder that PYTHONPATH names."""
    folder = project.path / "var/elsewhere"
    shutil.copytree(packages(project) / "sklearn", folder / "sklearn", copy_function=os.link)
    shutil.copytree(packages(project) / "scikit_learn.libs", folder / "scikit_learn.libs", copy_function=os.link)
    path = folder / "sklearn/ensemble/_base.py"
    put(path, path.read_text().replace(_SEEDS, f"{_SEEDS} ^ 1").encode())


_TRAIN_CHANGED = f"{TRAIN} changed since the commit"
_TRAIN_DIFFERS = f"{TRAIN} differs from HEAD"
_NOT_COMMITTED = "committed: version 2 was trained on files that are not committed"
_LISTED = "scikit_learn-1.9.1.dist-info/RECORD of scikit-learn"
_SEEDED = "sklearn/ensemble/_base.py of scikit-learn"

OF_TREE = (
    Taint("an edit hidden by assume-unchanged", hidden("--assume-unchanged"), f"gate clean git tree: {_TRAIN_CHANGED}",
          _NOT_COMMITTED, _TRAIN_DIFFERS),
    Taint("an edit hidden by skip-worktree", hidden("--skip-worktree"), f"gate clean git tree: {_TRAIN_CHANGED}",
          _NOT_COMMITTED, _TRAIN_DIFFERS),
    Taint("an excluded package that shadows a module", shadowed, "sklearn_pipeline/__init__.py not committed",
          _NOT_COMMITTED, "sklearn_pipeline/__init__.py is code"),
    Taint("git replace shows the edit as the commit's", replaced, f"gate clean git tree: {_TRAIN_CHANGED}",
          _NOT_COMMITTED, _TRAIN_DIFFERS),
    Taint("a clean filter gives git the honest bytes", filtered, f"gate clean git tree: {_TRAIN_CHANGED}",
          _NOT_COMMITTED, _TRAIN_DIFFERS),
    Taint("the stage is a link to another file", linked, f"gate clean git tree: {_TRAIN_CHANGED}",
          _NOT_COMMITTED, _TRAIN_DIFFERS),
    Taint("byte code of another module beside the source", planted, "gate derived again", "derived again: "),
    Taint("scikit-learn edited", other_seeds, f"gate environment: {_SEEDED}", f"environment: {_SEEDED}", _SEEDED,
          honest_seeds),
    Taint("scikit-learn edited, its RECORD corrected", other_seeds_recorded, f"gate environment: {_LISTED}",
          f"environment: {_LISTED}", _SEEDED, honest_seeds_recorded),
    Taint("sitecustomize.py added", at_start, "gate environment: sitecustomize.py of no package was added",
          "sitecustomize.py of no package was added", "sitecustomize.py of no package was added", not_at_start),
    Taint("a .pth file added", by_path_file, "gate environment: a.pth of no package was added",
          "a.pth of no package was added", "a.pth of no package was added", not_by_path_file),
    Taint("a compiled module changed", other_library, "gate environment: sklearn/tree/_tree.",
          "environment: sklearn/tree/_tree.", "sklearn/tree/_tree.", honest_library),
    Taint("a hash in requirements.lock, committed", other_hash, "was made from another requirements.lock",
          "was made from another requirements.lock", "was made from another requirements.lock"),
    Taint("a frozen label and the cache, consistently", other_snapshot, "gate source drift", "history: ", "history: "),
    Taint("PYTHONPATH to another scikit-learn", other_packages, "train: module sklearn was loaded from", "version: ",
          by_dvc={"PYTHONPATH": "var/elsewhere"}),
)  # fmt: skip
