"""Coherent forgeries, each on its own, and who refuses them: serving, `streamflow doctor`, `streamflow promote`, the run.

Most by the owner of database, MLflow and artifact store, who has no key; the others by the owner of work tree and
environment, who does not call the signing code with the machine's key. A run takes some 30 minutes.

    python -m drills.forgeries                      all
    python -m drills.forgeries --only WORD          those with WORD in their name
    python -m drills.forgeries --skip N             not the first N of each kind
    python -m drills.forgeries --without CHECK      with a check taken out of serving, doctor and promote: it must fail
    python -m drills.forgeries --kind registry      registry or tree
    python -m drills.forgeries --prepared FOLDER    keep the prepared project there, and use it again
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from project import ROOT, Project
from securesystemslib.signer import CryptoSigner

from drills import without
from drills.attacks import give_environment
from drills.forged import keep, prepared, registered, restore
from drills.forgeries_of_registry import OF_REGISTRY, Forgery
from drills.forgeries_of_tree import OF_TREE, Taint
from drills.served import Server, report
from streamflow.trust.trusted import public_pem

# This drill's judge, whatever drills/ the project has; all other modules are the project's.
_JUDGE = f"""
import runpy, sys, types
drills = sys.modules["drills"] = types.ModuleType("drills")
drills.__path__ = [{str(Path(__file__).parent)!r}]
sys.path.append({str(ROOT / "tests/support")!r})
runpy.run_module("drills.judge", run_name="__main__")
"""
STOLEN = "DRILL_REVOKED_KEY"
# A verdict that says no; promote also says by 2 that there is no such version, or that it can not be adopted.
_REFUSED = {"doctor": (1,), "promote": (1, 2)}


class Court:
    """The prepared project, and what each forgery leaves of it."""

    def __init__(self, folder: Path, take_out: str | None) -> None:
        self.folder, self.plugin = folder, {without.VARIABLE: take_out} if take_out else {}
        self.project = Project(folder / "streamflow")
        self.project.environment[STOLEN] = str(folder / "revoked.pem")

    def prepare(self) -> None:
        """Run the pipeline three times, unless the folder holds that already."""
        if (self.folder / "after").is_dir():
            return
        stolen = CryptoSigner.generate_ed25519()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "revoked.pem").write_bytes(stolen.private_bytes)
        prepared(self.folder, public_pem(stolen.public_key))
        keep(self.project, self.folder / "after")

    def ask(self, *arguments: str) -> dict[str, Any]:
        """What serving, doctor and promote say."""
        done = self.project.run(self.project.python, "-c", _JUDGE, *arguments, check=False, **self.plugin)
        if done.returncode:
            raise AssertionError(done.stderr[-2000:])
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def try_forgery(court: Court, forgery: Forgery) -> bool:
    """One forgery of the registry."""
    started = time.monotonic()
    restore(court.project, court.folder / "after")
    asked = court.ask("registry", str(OF_REGISTRY.index(forgery)))
    faults, words = judge_registry(forgery, asked)
    if forgery.real_server and not court.plugin:
        fault, said = by_real_server(court.project, forgery, asked["honest"])
        faults, words = faults + fault, [*words, said]
    return told(forgery.name, faults, words, started)


def judge_registry(forgery: Forgery, asked: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What is wrong with the answers, and who refused with which words."""
    faults, words, honest = [], [], asked["honest"]
    if (answer := asked.get("serve")) is not None:
        version = answer["version"]
        if version is not None and (version not in forgery.honest or honest.get(version) != answer["facts"]):
            faults.append(f"GOT THROUGH: serving answers with version {version}, {answer['facts']}")
        faults += _unnamed("serving", forgery.serve or "", answer["said"])
        words.append(
            f"serving {f'stays at version {version}' if version else 'refuses'}: {_part(forgery.serve, answer)}"
        )
    for who, expected in (("doctor", forgery.doctor), ("promote", forgery.promote)):
        if expected is not None:
            answer = asked[who]
            if answer["code"] not in _REFUSED[who]:
                faults.append(f"GOT THROUGH: {who} ends with {answer['code']}: {answer['said'][-200:]}")
            faults += _unnamed(who, expected, answer["said"])
            words.append(f"{who}: {_part(expected, answer)}")
    return faults, words


def by_real_server(project: Project, forgery: Forgery, honest: dict[str, list[Any]]) -> tuple[list[str], str]:
    """The same question to `streamflow serve`."""
    with Server(project) as server:
        model = server.model()
    said = (model["not_served"] or {}).get("reason", "")
    good = model["version"] in forgery.honest and model["model_sha256"] == honest[model["version"]][0]
    faults = [] if good else [f"GOT THROUGH: `streamflow serve` answers with version {model['version']}"]
    return faults + _unnamed(
        "`streamflow serve`", forgery.serve or "", said
    ), f"streamflow serve: version {model['version']}"


def try_taint(court: Court, taint: Taint) -> bool:
    """One forgery of the work tree: run the pipeline, look at Production, ask promote and doctor."""
    started = time.monotonic()
    project = court.project
    restore(project, court.folder / "before")
    taint.apply(project)
    try:
        if taint.by_dvc is not None:
            variables = {name: str(project.path / path) for name, path in taint.by_dvc.items()}
            done = project.run(project.python, "-m", "dvc", "repro", check=False, **variables)
        else:
            done = project.streamflow("repro", check=False)
        asked = court.ask("tree", "v2")
    finally:
        taint.undo(project)
    ran = done.stdout + done.stderr
    faults = _unnamed("the run", taint.run, ran)
    if asked["moves"] != 1 or (taint.by_dvc is None and registered(project)["production"] != "1"):
        faults.append("GOT THROUGH: the run made version 2 Production")
    if taint.by_dvc is None and "version 2 made" not in ran:
        faults.append(f"no version 2 was registered: {ran[-300:]}")
    if asked["promote"]["code"] not in _REFUSED["promote"]:
        faults.append(f"GOT THROUGH: promote ends with {asked['promote']['code']}: {asked['promote']['said'][-200:]}")
    faults += _unnamed("promote", taint.promote, asked["promote"]["said"])
    faults += _unnamed("doctor", taint.doctor, asked["doctor"]["said"])
    words = [f"run: {taint.run}", f"promote: {_part(taint.promote, asked['promote'])}"]
    words.append(f"doctor: {_part(taint.doctor, asked['doctor']) if taint.doctor else 'can not see it'}")
    return told(taint.name, faults, words, started)


def told(name: str, faults: list[str], words: list[str], started: float) -> bool:
    """Print the line of one forgery."""
    report(not faults, name, f"{'; '.join(words)}; {time.monotonic() - started:.0f} s")
    for fault in faults:
        print(f"          {fault}", flush=True)
    return not faults


def _unnamed(who: str, expected: str, said: str) -> list[str]:
    return [] if expected in said else [f"{who} does not say {expected!r} but: {said[-600:]!r}"]


def _part(expected: str | None, answer: dict[str, Any]) -> str:
    """The words around the expected ones."""
    said = " ".join(answer["said"].split())
    place = said.find(expected or "")
    return said[max(place, 0) :][:110] or "nothing"


def main() -> None:
    """Prepare once, then each forgery on its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--skip", type=int, default=0, metavar="N")
    parser.add_argument("--without", choices=sorted(without.CHECKS))
    parser.add_argument("--kind", choices=("registry", "tree"))
    parser.add_argument("--prepared", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="streamflow-drill-") as scratch:
        court = Court((chosen.prepared or Path(scratch) / "prepared").resolve(), chosen.without)
        court.prepare()
        held: list[bool] = []
        if chosen.kind != "tree":
            held += [try_forgery(court, each) for each in OF_REGISTRY[chosen.skip :] if chosen.only in each.name]
        if chosen.kind != "registry":
            wanted = [each for each in OF_TREE[chosen.skip :] if chosen.only in each.name]
            if wanted and not (court.project.path / ".venv").exists():
                give_environment(court.project)
            elif wanted:
                court.project.python = str(court.project.path / ".venv/bin/python")
            held += [try_taint(court, each) for each in wanted]
    print(f"{sum(held)} of {len(held)} forgeries refused")
    sys.exit(0 if held and all(held) else 1)


if __name__ == "__main__":
    main()
