"""Three gaps, twelve attacks: source rows, packages and code are changed behind the pipeline's back, each on its own.

After each attack `streamflow doctor` names it, `streamflow promote` refuses with the reason, and `streamflow rerun` of the
tagged result still derives the same bytes.

    python -m drills.attacks            400 users and 20 trees
    python -m drills.attacks --full     the default configuration
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from project import Project, small

JANUARY = "2024-01-31"
TAG = "exp/base"


@dataclass(frozen=True)
class Attack:
    """One change behind the pipeline's back: how it is done and undone, and the words by which it must be named."""

    name: str
    apply: Callable[[Project], object]
    undo: Callable[[Project], object]
    named: str


def prepared(path: Path, *overrides: str, own_environment: bool = False) -> Project:
    """A copy of the project with a remote, a tagged result and that result as Production."""
    project = Project.copy(path / "streamflow", *overrides)
    if own_environment:
        give_environment(project)
    project.run("dvc", "remote", "add", "--quiet", "--default", "folder", str(path / "remote"))
    project.run("git", "commit", "-qam", "a remote")
    project.streamflow("repro")
    project.streamflow("tag", "base")
    project.run("dvc", "push", "--quiet")
    return project


def give_environment(project: Project) -> None:
    """An environment of its own, which an attack may damage."""
    environment = project.path / ".venv"
    # Links, where the file system can: uv puts new files beside old ones and never writes into one.
    linked = ["cp", "--archive", "--link", f"{sys.prefix}/.", str(environment)]
    if subprocess.run(linked, capture_output=True, check=False).returncode:
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run(["cp", "--archive", f"{sys.prefix}/.", str(environment)], check=True)
    project.python = str(environment / "bin/python")
    project.environment["PATH"] = f"{environment / 'bin'}:{project.environment['PATH']}"


def sql(statement: str) -> Callable[[Project], object]:
    """Run a statement as a superuser can, triggers off."""
    text = f"SET session_replication_role = replica; {statement}"
    return lambda project: project.streamflow("db", "psql", "--", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", text)


def edit(name: str, change: Callable[[str], str]) -> Callable[[Project], object]:
    """Change a file of the project."""
    return lambda project: (project.path / name).write_text(change((project.path / name).read_text()))


def checkout(*names: str) -> Callable[[Project], object]:
    """Bring files back as committed."""
    return lambda project: project.run("git", "checkout", "--", *names)


def install(*arguments: str) -> Callable[[Project], object]:
    """Change the environment of the project."""
    return lambda project: project.run("uv", "pip", *arguments, "--quiet", "--python", project.python)


def shadow(project: Project) -> None:
    """A package that takes precedence over the module streamflow/features/splits.py."""
    folder = project.path / "streamflow" / "features" / "splits"
    folder.mkdir()
    source = (project.path / "streamflow" / "features" / "splits.py").read_text()
    (folder / "__init__.py").write_text(source + "\nSHADOW = True\n")


def lose_cache(project: Project) -> None:
    """Delete all that DVC keeps here."""
    shutil.rmtree(project.path / ".dvc" / "cache")


GHOST = (
    "INSERT INTO history.subscriptions SELECT source, as_of, '0000-GHOST', recorded_at - interval '1 day', months_active,"
    " plan_stream_tv, plan_stream_movies, contract_type, paperless_billing, monthly_fee, total_paid, net_service, retracted"
    f" FROM history.subscriptions WHERE user_id = '7590-VHVEG' AND as_of = '{JANUARY}'"
)
FEE = f"UPDATE history.subscriptions SET monthly_fee = monthly_fee %s 5 WHERE user_id = '7590-VHVEG' AND as_of = '{JANUARY}'"

ATTACKS = (
    Attack("UPDATE a feature in history", sql(FEE % "+"), sql(FEE % "-"), "1 row changed in monthly_fee (7590-VHVEG)"),
    Attack(
        "DELETE users from history",
        sql(
            f"CREATE TABLE kept AS SELECT * FROM history.users WHERE as_of = '{JANUARY}' ORDER BY user_id LIMIT 3;"
            " DELETE FROM history.users h USING kept k WHERE (h.user_id, h.as_of, h.source) = (k.user_id, k.as_of, k.source)"
        ),
        sql("INSERT INTO history.users SELECT * FROM kept; DROP TABLE kept"),
        f"history.users of {JANUARY} was changed after it was frozen: 3 rows missing",
    ),
    Attack(
        "INSERT backdated rows", sql(GHOST), sql("DELETE FROM history.subscriptions WHERE user_id = '0000-GHOST'"),
        "1 row added (0000-GHOST)",
    ),
    Attack(
        "TRUNCATE a live table", sql("TRUNCATE live.usage_agg_30d"), lambda project: project.streamflow("repro"),
        f"live.usage_agg_30d of {JANUARY}: has 0 of",
    ),
    Attack(
        "edit an imported helper", edit("streamflow/features/splits.py", lambda text: text.replace("2**53", "2**54")),
        checkout("streamflow/features/splits.py"), "streamflow/features/splits.py differs from HEAD",
    ),
    Attack(
        "edit conf/ without composing", edit("conf/split/user_hash.yaml", lambda text: text.replace("0.25", "0.3")),
        checkout("conf"), "params.yaml was composed from another conf/",
    ),
    Attack(
        "an untracked module that shadows one", shadow,
        lambda project: shutil.rmtree(project.path / "streamflow" / "features" / "splits"),
        "streamflow/features/splits/__init__.py is code that is not committed",
    ),
    Attack(
        "edit dvc.lock by hand", lambda project: falsify(project, "data/dataset"), checkout("dvc.lock"),
        "data/dataset as",
    ),
    Attack(
        "delete the DVC cache", lose_cache, lambda project: project.run("dvc", "pull", "--quiet"), "is missing",
    ),
    Attack(
        "another version of scikit-learn", install("install", "--no-deps", "scikit-learn==1.7.2"),
        install("install", "--no-deps", "--require-hashes", "--requirement", "sklearn.lock"), "scikit-learn 1.7.2 (locked",
    ),
    Attack(
        "a package is removed", install("uninstall", "skl2onnx"),
        install("install", "--no-deps", "--require-hashes", "--requirement", "skl2onnx.lock"), "skl2onnx missing (locked",
    ),
    Attack(
        "drop the whole database",
        lambda project: project.streamflow(
            "db", "psql", "--", "-q", "-d", "postgres", "-c", "DROP DATABASE streamflow WITH (FORCE)"
        ),
        lambda project: project.streamflow("repro"), "has no rows",
    ),
)  # fmt: skip


def falsify(project: Project, path: str) -> None:
    """Put another hash into dvc.lock for the stage that wrote an output."""
    lock = project.path / "dvc.lock"
    before, after = lock.read_text().split("  dataset:\n", 1)
    head, rest = after.split("    outs:\n", 1)
    entry, value = rest.split(f"path: {path}\n      hash: md5\n      md5: ", 1)
    lock.write_text(
        f"{before}  dataset:\n{head}    outs:\n{entry}path: {path}\n      hash: md5\n      md5: {'0' * 32}{value[32:]}"
    )


def lock_of(project: Project, name: str) -> str:
    """One package's lines of requirements.lock."""
    lines = (project.path / "requirements.lock").read_text().splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{name}=="))
    end = next(n for n in range(start + 1, len(lines)) if not lines[n].startswith(" "))
    return "".join(lines[start:end])


def survives(project: Project, attack: Attack, say: Callable[[str], object] = print) -> bool:
    """Apply one attack, ask doctor, promote and rerun, and undo it."""
    started = time.monotonic()
    attack.apply(project)
    doctor = project.streamflow("doctor", "--json", check=False)
    promote = project.streamflow("promote", "v1", check=False)
    rerun = project.streamflow("rerun", TAG, "--json", check=False)
    problems = [p["what"] for check in json.loads(doctor.stdout)["checks"] for p in check["problems"]]
    answer = json.loads(rerun.stdout) if rerun.returncode in (0, 1) else {"verdict": rerun.stderr.strip()}
    named = doctor.returncode == 1 and any(attack.named in problem for problem in problems)
    refused = promote.returncode == 1 and attack.named in promote.stderr
    identical = rerun.returncode == 0 and answer["verdict"] == "identical"
    attack.undo(project)
    where = answer.get("environment", {}).get("kind", "")
    held = named and refused and identical
    say(
        f"{'held  ' if held else 'FAILED'}  {attack.name}: doctor {'names it' if named else 'does not'}, promote"
        f" {'refuses' if refused else 'does not'}, rerun {answer['verdict']} ({where} environment),"
        f" {time.monotonic() - started:.0f} s"
    )
    if not held:
        say(f"  looked for: {attack.named}\n  doctor: {problems}\n  promote: {promote.stderr}")
        say(f"  rerun: {rerun.stderr[-600:]}")
    return held


def main() -> None:
    """Run all attacks, each on its own."""
    with tempfile.TemporaryDirectory(prefix="streamflow-drill-") as scratch:
        project = prepared(Path(scratch), *([] if "--full" in sys.argv else small()), own_environment=True)
        for name in ("scikit-learn", "skl2onnx"):
            short = {"scikit-learn": "sklearn"}.get(name, name)
            (project.path / f"{short}.lock").write_text(lock_of(project, name))
        held = sum(survives(project, attack) for attack in ATTACKS)
        healthy = project.streamflow("doctor", check=False).returncode == 0
    print(
        f"{held} of {len(ATTACKS)} attacks defeated and detected; doctor afterwards: {'all well' if healthy else 'NOT WELL'}"
    )
    sys.exit(0 if held == len(ATTACKS) and healthy else 1)


if __name__ == "__main__":
    main()
