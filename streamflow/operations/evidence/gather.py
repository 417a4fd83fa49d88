"""All that is signed about a model, from git, DVC's cache and the registry, as the files of an archive."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import EnvironmentFault, ModelError, StreamFlowError
from streamflow.core.schema import MODEL_NAME
from streamflow.operations.evidence.composition import Gathered
from streamflow.operations.evidence.layout import (
    COMMITTED,
    FOLDER_NAME,
    METRICS_FILE,
    MODEL_FOLDER,
    RECEIPT_FOLDERS,
    REPORT_FILE,
    project_path,
)
from streamflow.operations.evidence.subject import moves_about
from streamflow.pipeline.layout import MODEL, MODEL_FILES, REPORT
from streamflow.promotion.published_report import EVALUATION_REPORT
from streamflow.provenance.cache import fetch, local_cache
from streamflow.provenance.commits import result_of
from streamflow.provenance.git import file_at, resolve, tree
from streamflow.registry.acceptance import load_model
from streamflow.registry.references import Target
from streamflow.registry.registry import Registry
from streamflow.trust.acceptance import Evidence
from streamflow.trust.chain import Chain
from streamflow.trust.check import accept, evidence_on
from streamflow.trust.claims import ModelClaim
from streamflow.trust.store import notes_of, receipts_at


def gather(target: Target, registry: Registry | None, chain: Chain) -> Gathered:
    """The files of a model that is accepted here. Raises ModelError or RegistryError with the reason if it is not.

    A model may be in several commits, that of its run and that of a tag made later: taken is the commit that was named, or
    else the one of the last move of Production to it.
    """
    version = str(target.version.version) if target.version else ""
    if target.version is not None and registry is not None:
        stored = registry.files(target.version)
        accepted, model, envelopes = load_model(stored, warn=False), stored.contents, stored.envelopes
        assert accepted.claim is not None
        claim = accepted.claim
    else:
        model, envelopes = _cached_model(target.commit), ()
        digests = {name: bytes_sha256(content) for name, content in model.items()}
        claim = accept(f"the model of {target.name}", target.name, digests, target.commit)
    moved = [each.move.commit for each in moves_about(claim, chain)]
    noted = [line for commit in dict.fromkeys(moved) for line in notes_of(commit)]
    evidence = evidence_on(claim.commit, [*envelopes, *noted])
    claim = _of_commit(claim, evidence, [resolve(target.name) or "", *reversed(moved)])
    files = {f"{MODEL_FOLDER}{name}": content for name, content in model.items()}
    files |= _committed(claim.commit)
    files[REPORT_FILE] = _report(target, claim.commit, registry)
    return Gathered(files, claim, evidence, version)


def _of_commit(claim: ModelClaim, evidence: Evidence, commits: Iterable[str]) -> ModelClaim:
    """The claim about the same files on the first of some commits that has one whose receipts agree; or else `claim`."""
    for commit in commits:
        receipts = receipts_at(commit) or {}
        if all(receipts.get(str(MODEL / name)) == digest for name, digest in claim.files.items()):
            for each in evidence.claims:
                if each.commit == commit and each.files == claim.files:
                    return each
    return claim


def _committed(commit: str) -> dict[str, bytes]:
    names = [name for name in tree(commit) if name in COMMITTED or name.startswith(RECEIPT_FOLDERS)]
    wanted = {**{name: name for name in names}, METRICS_FILE: project_path(METRICS_FILE)}
    return {name: content for name, path in wanted.items() if (content := file_at(commit, path)) is not None}


def _report(target: Target, commit: str, registry: Registry | None) -> bytes:
    """The evaluation report of the run of a version, or else of the commit from DVC's cache or remote."""
    if target.version is not None and registry is not None:
        expected = result_of(commit).receipts.get(str(REPORT))
        try:
            content = registry.run_file(target.version, EVALUATION_REPORT)
        except StreamFlowError:
            content = b""
        if bytes_sha256(content) == expected:
            return content
    return _cached(commit, REPORT, [""])[""]


def _cached_model(commit: str) -> dict[str, bytes]:
    return _cached(commit, MODEL, MODEL_FILES)


def _cached(commit: str, path: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Files of an output of a commit by name within it, hashed against its receipts."""
    result, cache = result_of(commit), local_cache()
    if str(path) not in result.outs:
        raise ModelError(f"commit {commit[:12]} made no {path}; name a commit at which `streamflow repro` ran")
    md5 = result.outs[str(path)][1]
    if any(fault.missing for fault in cache.faults(str(path), md5, {})):
        try:
            fetch([md5], cache)
        except EnvironmentFault as error:
            raise EnvironmentFault(f"{path} of {MODEL_NAME} is not in DVC's cache, and {error}") from error
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / FOLDER_NAME
        cache.restore(place, md5, result.receipts, str(path))
        return {name: (place / name if name else place).read_bytes() for name in names}
