"""Verdicts of rebuilders without a rerun."""

from streamflow.core.digest import bytes_sha256, folder_sha256
from streamflow.provenance.commits import result_of
from streamflow.provenance.git import digest_set, file_at, tree
from streamflow.provenance.record import IDENTICAL
from streamflow.registry.signing import now
from streamflow.trust.claims import RebuiltOut, model_subjects, received_digest, verdict_statement
from streamflow.trust.envelope import sign_statement
from streamflow.trust.keys import machine_signer
from streamflow.trust.store import add_notes


def tracked(commit, path):
    """Digest of a file or folder that is in git itself; empty if it is not."""
    names = [name for name in tree(commit) if name == path or name.startswith(f"{path}/")]
    found = {name.removeprefix(path).lstrip("/"): bytes_sha256(file_at(commit, name)) for name in names}
    return found.get("") or (folder_sha256(found) if found else "")


def say_verdict(commit, verdict=IDENTICAL, signer=None, at=None, **other):
    """Sign a verdict on the model of a commit and note it; `other` are outputs made otherwise, by their last name."""
    result = result_of(commit)
    outs = [
        RebuiltOut(path, stage, md5.endswith(".dir"), "", digest)
        for path, (stage, md5) in result.outs.items()
        if (
            digest := other.get(
                path.rpartition("/")[2], received_digest(result.receipts, path) or tracked(commit, path)
            )
        )
    ]
    first = None if verdict == IDENTICAL else {"stage": "train", "cause": "code", "detail": "x"}
    subjects = model_subjects(result.receipts)
    made = verdict_statement(digest_set(commit), subjects, verdict, outs, first, {"kind": "current"}, at or now())
    line = sign_statement(made, signer or machine_signer())
    add_notes(commit, [line])
    return line
