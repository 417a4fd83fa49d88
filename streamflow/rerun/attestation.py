"""A rerun's verdict as a signed statement: what it says, and where it is kept."""

from typing import TYPE_CHECKING, Any

from streamflow.core.errors import RegistryError
from streamflow.pipeline.project import replacing, state_dir
from streamflow.provenance.gather import fix_of_changes
from streamflow.provenance.git import digest_set
from streamflow.provenance.record import IDENTICAL
from streamflow.registry.references import Target
from streamflow.registry.registry import ENVELOPES
from streamflow.registry.signing import now, share, sign_provenance
from streamflow.rerun.verdict import Rederivation
from streamflow.trust.claims import RebuiltOut, model_subjects, received_digest, verdict_statement
from streamflow.trust.envelope import sign_statement
from streamflow.trust.keys import machine_signer
from streamflow.trust.store import add_notes

if TYPE_CHECKING:
    from streamflow.provenance.result import Result
    from streamflow.registry.registry import Registry


def statement(found: Rederivation, result: "Result", at: str) -> dict[str, Any]:
    """The statement of a verdict; `at` is the end of the rerun (UTC). Raises ModelError if the commit has no receipts."""
    outs = [
        RebuiltOut(
            out.path, out.stage, out.expected.endswith(".dir"), received_digest(result.receipts, out.path), out.sha256
        )
        for out in found.outs
    ]
    first = found.first_divergence.to_json() if found.first_divergence else None
    subjects = model_subjects(result.receipts)
    return verdict_statement(digest_set(found.commit), subjects, found.verdict, outs, first, found.environment, at)


def keep_verdict(
    found: Rederivation, result: "Result", target: Target, registry: "Registry | None", with_provenance: bool
) -> str:
    """Sign a verdict and keep it: a note on the commit, a file below var/attestations, the run of the version.

    `with_provenance`: sign too where the model comes from, if it came out identical. Returns where it is kept, in words;
    the verdict on a run with uncommitted files is about no commit and is only a tag of the version. So is the verdict on a
    version whose tag names a commit that made another model: the registry's word must not refute that commit's model.
    """
    at = now()
    if registry is not None and target.version is not None:
        registry.set_tags(str(target.version.version), {"rerun_verdict": found.verdict})
    if found.erased_users:
        return "not signed: the model was not derived again"
    if target.patch:
        return f"not signed: the run used files that are in no commit; {fix_of_changes(target.patch)}"
    if result.model_sha256 not in ("", found.model_expected):
        return (
            f"not signed: {target.name} holds model {found.model_expected[:12]}, the receipt of commit {target.commit[:12]}"
            f" names {result.model_sha256[:12]}, so the verdict is not about that commit's model"
        )
    envelopes = [sign_statement(statement(found, result, at), machine_signer())]
    add_notes(target.commit, envelopes)
    if with_provenance and found.verdict == IDENTICAL:
        envelopes.append(sign_provenance(target.commit, built_by="streamflow rerun"))
    name = f"{at.replace(':', '')}-{found.verdict}.jsonl"
    local = state_dir() / "attestations" / target.commit[:12] / name
    with replacing(local) as partial:
        partial.write_text("\n".join(envelopes) + "\n", encoding="utf-8")
    where = f"git note of {target.commit[:12]}, var/attestations/{target.commit[:12]}/{name}"
    if registry is None or target.version is None:
        return where
    try:
        share(registry, target.version, target.commit)
    except RegistryError as error:
        return f"{where}; not in the registry: {error}"
    return f"{where}, {ENVELOPES} of version {target.version.version}"
