"""The preconditions of training, promoting and rerunning, each with its own check and the command that fixes it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from streamflow.core.config import source_identity
from streamflow.core.config_checks import check
from streamflow.core.errors import StreamFlowError, first_line
from streamflow.operations.health.signatures import erasure_ledger, keys, production
from streamflow.pipeline.dvc_files import declarations, disagreements, locked_stages, read_receipt
from streamflow.pipeline.dvc_hash import content_of
from streamflow.pipeline.environment import PINNED, machine
from streamflow.pipeline.file_digest import tree_sha256
from streamflow.pipeline.layout import CONF, REQUIREMENTS
from streamflow.pipeline.lock import contradictions
from streamflow.pipeline.params import read_all_params
from streamflow.postgres.server import database
from streamflow.provenance.cache import fix_of, local_cache
from streamflow.provenance.commits import path_with_files
from streamflow.provenance.git import changes, resolve
from streamflow.provenance.outputs import output_problems
from streamflow.provenance.problems import Check, Problem, problem_of
from streamflow.trust.installed import known_differences
from streamflow.warehouse.chain_drift import history_drift
from streamflow.warehouse.history import warehouse
from streamflow.warehouse.source_drift import live_drift

_LIBRARIES = "import json, stages, numpy, sklearn, threadpoolctl; print(json.dumps(threadpoolctl.threadpool_info()))"


def all_checks() -> list[Check]:
    """Every precondition, in the order in which to fix them."""
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("git", git),
        ("environment", environment),
        ("configuration", configuration),
        ("dvc.lock", lock),
        ("outputs", outputs),
        ("cache", cache),
        ("history", history),
        ("append-only", append_only),
        ("erasures", erasure_ledger),
        ("threads", threads),
        ("keys", keys),
        ("Production", production),
    ]
    return [run_check(name, run) for name, run in checks]


def git() -> Check:
    """Nothing differs from HEAD: no tracked file, and no code is untracked."""
    found = changes()
    problems = [
        *(Problem(f"{name} differs from HEAD", f"`git diff {name}`, then commit it or `git checkout {name}`")
          for name in found.tracked),
        *(Problem(f"{name} is code that is not committed", "commit it, or remove it") for name in found.untracked),
    ]  # fmt: skip
    return Check("git", f"commit {(resolve('HEAD') or '')[:12]}", tuple(problems))


def environment() -> Check:
    """The installed packages are those of requirements.lock: by version, none missing or surplus, and every file."""
    lock = REQUIREMENTS.read_text(encoding="utf-8")
    differences = known_differences()
    problems = tuple(Problem(each, "`make install` installs requirements.lock") for each in differences)
    return Check("environment", f"Python {machine()['python']}, {lock.count(' --hash=')} hashes in the lock", problems)


def configuration() -> Check:
    """params.yaml is valid, and was composed from the current conf/."""
    config = read_all_params()
    check(config)
    digest = tree_sha256(CONF)
    problem = Problem(
        f"params.yaml was composed from another conf/ (digest {config.conf_sha256[:12]}, now {digest[:12]})",
        "`git checkout conf`, or compose it again: `streamflow repro OVERRIDE…`",
    )
    note = f"{config.model_name} on {config.features.service} as of {config.as_of}"
    return Check("configuration", note, () if config.conf_sha256 == digest else (problem,))


def lock() -> Check:
    """dvc.lock agrees with itself, with dvc.yaml and params.yaml, and with every file that the stages read."""
    stages = locked_stages()
    problems = [Problem(each, "it was edited; `git checkout dvc.lock`") for each in contradictions(stages)]
    rerun = "`streamflow repro` runs the stage again"
    problems += [Problem(each, rerun) for each in disagreements(stages)]
    for stage in stages.values():
        for path, expected in stage.deps.items() if stage.outs else ():
            content = content_of(Path(path))
            if content is None:
                problems.append(Problem(f"{path} is missing", f"`git checkout {path}`, or `dvc checkout {path}`"))
            elif content.md5 != expected:
                digests = f"MD5 was {expected[:12]}, is {content.md5[:12]}"
                problems.append(
                    Problem(f"{path_with_files(path)} changed since the run of dvc.lock ({digests})", rerun)
                )
    return Check("dvc.lock", f"{len(stages)} stages", tuple(dict.fromkeys(problems)))


def outputs() -> Check:
    """Every output in the working tree has the digests of dvc.lock and of its SHA-256 receipt."""
    problems, count = [], 0
    for stage in locked_stages().values():
        receipt = read_receipt(stage.name)
        for path, md5 in stage.outs.items():
            count += 1
            problems += output_problems(path, md5, receipt, stage.name)
    return Check("outputs", f"{count} outputs, every byte hashed", tuple(problems))


def cache() -> Check:
    """DVC's cache has every output of dvc.lock, undamaged."""
    store, problems, count = local_cache(), [], 0
    tracked = {path for declared in declarations() for path in declared.tracked}
    for stage in locked_stages().values():
        receipt = read_receipt(stage.name)
        for path, md5 in stage.outs.items():
            if path not in tracked:
                count += 1
                problems += [Problem(str(fault), fix_of(fault)) for fault in store.faults(path, md5, receipt)]
    return Check("cache", f"{count} outputs, every object hashed", tuple(problems))


def history() -> Check:
    """The rows of every month in Postgres equal the frozen ones, and each recorded version that in git's receipts."""
    config = read_all_params()
    months = list(config.months)
    with database() as url, warehouse(url, source_identity(config.source)) as store:
        found = [*history_drift(store, months, config.known_at), *live_drift(store, months)]
        nothing = [month for month in months if not store.tables_of(month)]
    problems = [Problem(each.what, each.fix) for each in found]
    problems += [
        Problem(f"the history has no rows of {month}", "`streamflow repro` ingests it again")
        for month in nothing
        if not any(month in problem.what for problem in problems)
    ]
    return Check("history", f"{config.source.name}, {len(months)} months, row by row, every version", tuple(problems))


def append_only() -> Check:
    """History and ledger refuse UPDATE, DELETE and TRUNCATE by the triggers that this code makes."""
    from streamflow.promotion.ledger import unprotected_ledger

    config = read_all_params()
    with database() as url, warehouse(url, source_identity(config.source)) as store:
        found = [*store.unprotected(), *unprotected_ledger(url)]
    problems = [Problem(f"{each} no longer refuses changes", "`streamflow repro` restores it") for each in found]
    return Check("append-only", "triggers of history and ledger", tuple(problems))


def threads() -> Check:
    """A stage computes with one thread and the pinned BLAS kernel, under any environment variables of this shell."""
    done = subprocess.run([sys.executable, "-c", _LIBRARIES], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        return Check("threads", "", (Problem(f"the numeric libraries can't be imported: {reason}", "`make install`"),))
    pools = json.loads(done.stdout.splitlines()[-1])
    problems = [
        Problem(
            f"{pool['internal_api']} uses {pool['num_threads']} threads", "find the code that sets them after import"
        )
        for pool in pools
        if pool["num_threads"] != 1
    ]
    kernels = {pool["architecture"] for pool in pools if "architecture" in pool}
    if kernels != {PINNED["OPENBLAS_CORETYPE"]}:
        problems.append(
            Problem(
                f"the BLAS kernel is {', '.join(sorted(kernels))}, not {PINNED['OPENBLAS_CORETYPE']}",
                "use a CPU with AVX2: without it linear models may differ in the last bit",
            )
        )
    return Check("threads", f"{len(pools)} pools, kernel {', '.join(sorted(kernels))}", tuple(problems))


def run_check(name: str, run: Callable[[], Check]) -> Check:
    """Run a check; an exception in it becomes a problem of the check."""
    try:
        return run()
    except StreamFlowError as error:
        return Check(name, "", (problem_of(error),))
    except (
        Exception
    ) as error:  # a damaged file or package can fail anywhere, and must be reported like any other problem
        reason = first_line(error)
        fix = "`make install`" if isinstance(error, ImportError) else "`git status` shows which file was edited"
        return Check(name, "", (Problem(f"the check failed ({type(error).__name__}): {reason}", fix),))
