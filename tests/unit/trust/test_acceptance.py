"""Which claims a model is used on: the files, the signer, the commit's own receipt, and no rebuilder that refutes it."""

from dataclasses import replace

import pytest
from signers import key, trusting
from this_result import RESULT

from streamflow.core.errors import ModelError
from streamflow.trust.acceptance import accepted, first_difference, read_evidence, rebuilt
from streamflow.trust.claims import (
    RebuiltOut,
    model_claim,
    model_subjects,
    provenance_statement,
    received_digest,
    verdict_claim,
    verdict_statement,
)
from streamflow.trust.envelope import open_envelope, sign_statement

ANNA, BEN, EVE = key("anna"), key("ben"), key("eve")
COMMIT, TREE = "c" * 40, "7" * 40
SOURCE = {"gitCommit": COMMIT, "gitTree": TREE}
FILES = {
    name: RESULT.receipts[f"artifacts/model/{name}"] for name in ("model.onnx", "feature_schema.json", "golden.json")
}
MATERIALS = {"requirements.lock": "1" * 64, "params.yaml": "2" * 64}


def receipts(commit):
    return RESULT.receipts if commit == COMMIT else None


def provenance(by=ANNA, commit=COMMIT, result=RESULT):
    made = provenance_statement(
        result, {**SOURCE, "gitCommit": commit}, MATERIALS, {"cpu": "x"}, "2024-01-31T00:00:00Z"
    )
    return sign_statement(made, by.signer)


def verdict(by=ANNA, said="identical", at="2024-02-01T00:00:00Z", **other):
    """A verdict; `other` are outputs that this rebuilder made otherwise, by their last name."""
    outs = [
        RebuiltOut(
            path,
            stage,
            md5.endswith(".dir"),
            "",
            other.get(path.rpartition("/")[2], received_digest(RESULT.receipts, path) or "9" * 64),
        )
        for path, (stage, md5) in RESULT.outs.items()
    ]
    first = None if said == "identical" else {"stage": "train", "cause": "code", "detail": "x"}
    return sign_statement(
        verdict_statement(SOURCE, model_subjects(RESULT.receipts), said, outs, first, {}, at), by.signer
    )


def accept(*lines, files=FILES, trusted=None, known=receipts):
    return accepted("version 3", "v3", files, read_evidence(lines, trusted or trusting(ANNA, BEN)), known)


def refused(*lines, **more):
    with pytest.raises(ModelError) as error:
        accept(*lines, **more)
    return str(error.value)


def test_a_trusted_claim_about_these_bytes_and_the_receipt_of_its_commit_is_accepted():
    claim = accept(provenance())
    assert (claim.files, claim.commit, claim.signed.keyid) == (FILES, COMMIT, ANNA.keyid)
    assert (claim.feature_service, claim.as_of, claim.requirements_sha256) == ("churn_v1", "2024-01-31", "1" * 64)


def test_without_a_signature_nothing_is_accepted():
    assert refused() == (
        "version 3 is not accepted: nobody signed it; `streamflow rerun v3 --sign` signs what can be derived again"
    )
    assert "is unknown" in refused(provenance(EVE))
    assert "nobody signed it" in refused(verdict())


@pytest.mark.parametrize("name", list(FILES))
def test_another_byte_of_any_of_the_files_is_not_what_was_signed_for(name):
    said = refused(provenance(), files={**FILES, name: "0" * 64})
    assert f"{name} has SHA-256 000000000000, anna ({ANNA.keyid[:16]}) signed for {FILES[name][:12]}" in said


def test_a_claim_about_a_commit_that_is_not_here_or_made_other_bytes_is_not_accepted():
    assert "commit cccccccccccc of its provenance is not in this repository" in refused(
        provenance(), known=lambda _: None
    )
    other = {**RESULT.receipts, "artifacts/model/golden.json": "0" * 64}
    assert "the receipt in commit cccccccccccc names another golden.json" in refused(
        provenance(), known=lambda _: other
    )


def test_one_good_claim_among_bad_ones_is_enough():
    forged = replace(RESULT, receipts={**RESULT.receipts, "artifacts/model/model.onnx": "0" * 64})
    assert accept(provenance(EVE), provenance(result=forged), provenance(BEN)).signed.keyid == BEN.keyid


def test_a_trusted_rebuilder_who_got_another_model_refutes_it_until_it_says_identical():
    diverged = verdict(BEN, "diverged", "2024-02-02T00:00:00Z")
    said = refused(provenance(), diverged)
    assert said.startswith(
        f"version 3 is refuted: ben ({BEN.keyid[:16]}) derived it again and it diverged, first at train: code: x"
    )
    assert "`streamflow rollback`" in said
    assert accept(provenance(), diverged, verdict(BEN, at="2024-02-03T00:00:00Z"))
    assert "is refuted" in refused(provenance(), verdict(BEN, at="2024-02-01T00:00:00Z"), diverged)
    assert accept(provenance(), verdict(EVE, "diverged")), "a stranger's verdict does not count"
    assert accept(provenance(), verdict(BEN, "equivalent"))


def counted(*lines):
    evidence = read_evidence([provenance(), *lines], trusting(ANNA, BEN))
    found = rebuilt(evidence.claims[0], evidence, receipts)
    return [each.signed.keyid for each in found.identical], found.against


def test_each_key_counts_once_as_a_rebuilder():
    assert counted() == ([], "")
    assert counted(verdict(), verdict(at="2024-03-01T00:00:00Z")) == ([ANNA.keyid], "")
    assert counted(verdict(), verdict(BEN), verdict(EVE)) == ([ANNA.keyid, BEN.keyid], "")
    assert counted(verdict(), verdict(BEN, "equivalent")) == ([ANNA.keyid], "")


def test_two_rebuilders_who_disagree_are_named_with_the_first_stage_that_differs():
    _, against = counted(verdict(), verdict(BEN, "diverged", dataset="0" * 64, model="1" * 64))
    assert (
        f"the first stage that differs between anna ({ANNA.keyid[:16]}) and ben ({BEN.keyid[:16]}) is dataset: data/dataset"
    ) in against


def test_a_rebuilder_who_says_identical_about_other_outputs_speaks_against_it():
    _, against = counted(verdict(), verdict(BEN, model="0" * 64))
    assert (
        "says identical, but its artifacts/model of stage train is 000000000000, the commit's receipt says" in against
    )


def test_a_verdict_about_another_commit_or_model_is_not_counted():
    content = open_envelope(verdict(), trusting(ANNA)).content()
    content["predicate"]["streamflow_rerun"]["commit"]["gitTree"] = "d" * 40
    assert counted(sign_statement(content, ANNA.signer)) == ([], "")
    content = open_envelope(verdict(), trusting(ANNA)).content()
    content["subject"][0]["digest"]["sha256"] = "0" * 64
    assert counted(sign_statement(content, ANNA.signer)) == ([], "")


def test_a_verdict_on_another_commit_with_the_same_files_counts():
    content = open_envelope(verdict(), trusting(ANNA)).content()
    content["predicate"]["streamflow_rerun"]["commit"]["gitCommit"] = "d" * 40
    assert counted(sign_statement(content, ANNA.signer)) == ([ANNA.keyid], "")


def test_a_verdict_whose_words_contradict_its_property_is_malformed():
    content = open_envelope(verdict(), trusting(ANNA)).content()
    content["predicate"]["properties"] = []
    assert (
        "agreement of verdict and properties"
        in read_evidence([sign_statement(content, ANNA.signer)], trusting(ANNA)).refused[0]
    )


def test_other_statements_are_no_claims():
    signed = open_envelope(provenance(), trusting(ANNA))
    assert verdict_claim(signed) is None
    assert model_claim(open_envelope(verdict(), trusting(ANNA))) is None
    one = verdict_claim(open_envelope(verdict(), trusting(ANNA)))
    assert "made the same outputs" in first_difference(one, one)


def test_a_provenance_is_valid_slsa_and_names_its_materials_by_digests_that_a_stranger_can_compute():
    from google.protobuf.json_format import ParseDict
    from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance

    content = open_envelope(provenance(), trusting(ANNA)).content()
    parsed = ParseDict(content["predicate"], Provenance())
    assert parsed.build_definition.build_type == "https://streamflow.example/dvc-pipeline/v1"
    materials = {each.name: dict(each.digest) for each in parsed.build_definition.resolved_dependencies}
    assert materials["source"] == SOURCE
    assert materials["requirements.lock"] == {"sha256": "1" * 64}
    assert materials["data/snapshots/2024-01-31"] == {
        "dirHash": received_digest(RESULT.receipts, "data/snapshots/2024-01-31")
    }
    assert len(materials["data/dataset"]["dirHash"]) == 64
    assert "md5" not in str(content)
