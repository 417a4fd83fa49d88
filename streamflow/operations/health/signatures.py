"""What doctor checks of keys and of Production: whose signatures count, and where the last signed move leads."""

from streamflow.core.errors import StreamFlowError
from streamflow.core.schema import MODEL_NAME
from streamflow.pipeline.layout import ERASURES, LOCK
from streamflow.pipeline.project import state_dir
from streamflow.postgres.server import database
from streamflow.promotion.ledger import read_ledger
from streamflow.provenance.erasure_files import erasures
from streamflow.provenance.git import file_at, resolve
from streamflow.provenance.problems import Check, Problem, problem_of
from streamflow.registry.registry import open_registry, unrecorded_move
from streamflow.trust.erasure_records import chain_problems, signer_of
from streamflow.trust.keys import listed_keys, machine_signer, private_path, trusted_keys
from streamflow.trust.trusted import SHOWN


def keys() -> Check:
    """This machine has a key that nobody else reads, and every public key in keys/ is committed and readable."""
    if not private_path().exists():
        problem = Problem("this machine has no key, so it can't sign", "`streamflow keys init`, or `streamflow repro`")
        return Check("keys", "", (problem,))
    own = machine_signer().public_key.keyid
    listed = listed_keys()
    problems = [
        Problem(
            f"key {key.name} of keys/ is {key.state.partition(';')[0]}", key.state.partition("; ")[2] or "remove it"
        )
        for key in listed
        if key.state not in ("trusted", "revoked")
    ]
    if own in {key.keyid for key in listed if key.state == "revoked"}:
        problems.append(Problem("the key of this machine is revoked", "`streamflow keys init --replace`"))
    trusted = sum(key.state == "trusted" for key in listed)
    return Check("keys", f"this machine's {own[:SHOWN]}, {trusted} trusted", tuple(problems))


def erasure_ledger() -> Check:
    """The records of erasures follow each other, each is signed by a trusted key, and no call was stopped half-way."""
    found = erasures()
    problems = [Problem(each, f"`git log -p {ERASURES}`") for each in chain_problems()]
    for record in found.records:
        try:
            signer = signer_of(record, trusted_keys())
        except StreamFlowError as error:
            problems.append(problem_of(error))
            continue
        if not signer:
            problems.append(
                Problem(f"erasure {record.number} is not signed", "`streamflow keys init`, `streamflow erase`")
            )
    if (state_dir() / "erasing.json").exists():
        problems.append(Problem("an erasure was stopped before it was done", "`streamflow erase` goes on with it"))
    return Check("erasures", f"{len(found.records)} recorded", tuple(problems))


def production() -> Check:
    """Production is where the last signed move leads: intact, signed for, committed, and not refuted by a rerun."""
    with database() as url:
        registry, ledger = open_registry(url), read_ledger(url)
        alias, head = registry.production(), ledger.chain.head
        if alias is None and head is None:
            problem = Problem(
                f"no version of {MODEL_NAME} is Production", "`streamflow repro`, then `streamflow promote vN`"
            )
            return Check("Production", "", (problem,))
        number = str(alias.version) if alias else None
        problems = [Problem(each, "`streamflow history` shows what is signed") for each in ledger.chain.problems]
        if head is None:
            problems.append(Problem(f"no signed move made version {number} Production", "`streamflow promote --adopt`"))
        elif unrecorded := unrecorded_move(number, head.move.to_version):
            fix = "`streamflow promote --adopt` checks and signs it, or `streamflow rollback`"
            problems.append(Problem(unrecorded, fix))
        served = head.move.to_version if head else str(number)
        try:
            loaded = registry.load(registry.version(served))
        except StreamFlowError as error:
            problems.append(problem_of(error))
            return Check("Production", f"version {served}", tuple(problems))
    if head and loaded.model_sha256 != head.move.model_sha256:
        what = (
            f"version {served} is model {loaded.model_sha256[:12]}, the signed move is to {head.move.model_sha256[:12]}"
        )
        problems.append(Problem(what, "`streamflow rollback`, or `streamflow repro` at the commit of the tag"))
    if loaded.unsigned:
        problems.append(Problem(loaded.unsigned, "`streamflow promote --adopt`"))
    commit = loaded.git_commit
    if resolve(commit) is not None and file_at(commit, LOCK) is None:
        problems.append(Problem(f"commit {commit[:12]} has no dvc.lock", "`streamflow tag NAME` commits the result"))
    signer = loaded.claim.signed.signer if loaded.claim else "nobody"
    note = f"version {served}, model {loaded.model_sha256[:12]}, commit {commit[:12]}, signed by {signer}"
    return Check("Production", note, tuple(problems))
