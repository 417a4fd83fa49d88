"""The determinism matrix: each estimator in clones that differ in path, hash seed, zone, locale, threads and BLAS kernel.

Every clone runs the whole pipeline; its dvc.lock (the derivation: every output and every input) must be the same bytes.

    python -m drills.determinism            800 users
    python -m drills.determinism --full     7,043 users

The other locale is Turkish, whose small i is not that of ASCII. Where it is not installed it is made from the sources of
the C library; where these are missing too, the drill does not begin.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from project import Project

LOCALE = "tr_TR.UTF-8"
MODELS = ("random_forest", "hist_gradient_boosting", "logistic_regression")
SURROUNDINGS = {
    "plain": {},
    "other zone, locale, hash seed": {"TZ": "Asia/Kathmandu", "LC_ALL": LOCALE, "PYTHONHASHSEED": "7"},
    "1 thread": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
    "2 threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "LC_ALL": "POSIX"},
    "another BLAS kernel asked for": {"OPENBLAS_CORETYPE": "SkylakeX", "OMP_NUM_THREADS": "2"},
    "an older BLAS kernel asked for": {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "2"},
}


def has_locale(name: str, **environment: str) -> bool:
    """Whether a process in this environment gets that locale when it asks for it, and not C instead."""
    ask = f"import locale; locale.setlocale(locale.LC_ALL, {name!r})"
    return (
        subprocess.run([sys.executable, "-c", ask], env={**os.environ, **environment}, capture_output=True).returncode
        == 0
    )


def locale_made(name: str, folder: Path) -> dict[str, str]:
    """What gives a process the locale: nothing if it is installed, or LOCPATH of one made here. Raises SystemExit."""
    if has_locale(name):
        return {}
    language, _, code = name.partition(".")
    folder.mkdir()
    command = ["localedef", "--inputfile", language, "--charmap", code, str(folder / name)]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        made = None
    if not has_locale(name, LOCPATH=str(folder)):
        said = (made.stderr.strip().splitlines() or ["nothing"])[-1] if made else "localedef is not installed"
        raise SystemExit(
            f"determinism: locale {name} is not there ({said}); apt-get install locales, then run it again"
        )
    return {"LOCPATH": str(folder)}


def main() -> None:
    """Run every estimator in every surrounding and compare."""
    users = [] if "--full" in sys.argv else ["source.users=800"]
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="streamflow-drill-") as scratch:
        made = locale_made(LOCALE, Path(scratch) / "locales")
        clones = {
            name: Project.copy(Path(scratch) / folder, **variables, **(made if "LC_ALL" in variables else {}))
            for folder, (name, variables) in zip(
                ("a", "b with ümlaut", "deep/er/c", "d", "e", "f"), SURROUNDINGS.items(), strict=True
            )
        }
        for model in MODELS:
            locks: dict[str, str] = {}
            for name, clone in clones.items():
                started = time.monotonic()
                clone.streamflow("repro", f"model={model}", "promotion=never", *users)
                locks[name] = clone.text("dvc.lock")
                same = locks[name] == locks["plain"]
                wrong += not same
                seconds = time.monotonic() - started
                print(f"{'same  ' if same else 'OTHER '}  {model:<24} {name:<32} {seconds:.0f} s", flush=True)
    print(f"{len(MODELS) * len(SURROUNDINGS) - wrong} of {len(MODELS) * len(SURROUNDINGS)} runs have the same dvc.lock")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
