"""What holds in an archive, and that each claim is refused with its reason after one thing was changed."""

import json
from dataclasses import replace

import pytest
from signers import key
from small_archive import (
    ANNA,
    BEN,
    COMMIT,
    EVE,
    model,
    moves,
    packed_again,
    provenance,
    signed,
    statement_sha256,
    subject,
    verdict,
)

from streamflow.core.errors import ModelError
from streamflow.operations.evidence.claims import claims

ONNX = "model/model.onnx"


def refusal(files, *trusted):
    with pytest.raises(ModelError) as error:
        list(claims(subject(files, *trusted)))
    return str(error.value)


def changed(name, change=lambda content: content[:-1] + bytes([content[-1] ^ 1]), again=True):
    """The archive with one file changed, by default in its last bit; `again`: an insider signed the contents again."""
    files = signed().archive()
    files[name] = change(files[name])
    return packed_again(files) if again else files


def lines(*kept):
    return lambda content: b"".join(f"{line}\n".encode() for line in kept)


def test_every_claim_holds_with_who_signed_it_and_what_was_computed():
    found = {claim.what: (claim.signer, claim.found) for claim in claims(subject())}
    anna, ben = f"anna ({ANNA.keyid[:16]})", f"ben ({BEN.keyid[:16]})"
    assert {what: signer for what, (signer, _) in found.items()} == {
        **dict.fromkeys(["provenance", "configuration", "packages", "report", "receipts", "golden rows"], anna),
        "rebuilders": ben,
        **dict.fromkeys(["Production", "bill of materials", "model.sig", "archive"], anna),
    }
    assert found["configuration"][1] == "4 files of the commit are as signed"
    assert found["golden rows"][1] == "16 golden rows get the signed scores again"
    assert found["receipts"][1] == "4 receipts of the commit name this model, its 2 data sets, its report"
    assert found["rebuilders"][1] == (
        f"1 key, 1 other than the builder's, derived it again from {COMMIT[:12]}, identical; no verdict differs"
    )
    assert found["Production"][1] == "it is Production: version 2 of streamflow_churn since move 2, the last"
    assert found["bill of materials"][1] == "digests of model, 2 data sets and 2 packages agree"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (ONNX, "model/model.onnx has SHA-256"),
        ("model/golden.json", "model/golden.json has SHA-256"),
        ("requirements.lock", "packages does not hold: requirements.lock has SHA-256"),
        ("params.yaml", "configuration does not hold: params.yaml has SHA-256"),
        ("artifacts/ingest/2024-01-31.json", "configuration does not hold: artifacts/ingest/2024-01-31.json has"),
        ("report.html", "report does not hold: report.html has SHA-256"),
        ("metrics.json", "report does not hold: metrics.json has SHA-256"),
        ("README.md", "archive does not hold: README.md has SHA-256"),
    ],
)
def test_one_bit_of_a_file_is_named(name, reason):
    again = name != "README.md"
    found = refusal(changed(name, again=again))
    assert reason in found
    assert f"anna ({ANNA.keyid[:16]}) signed" in found


@pytest.mark.parametrize("name", sorted(signed().archive()))
def test_no_file_can_be_taken_out_or_changed_without_a_refusal(name):
    files = signed().archive()
    del files[name]
    assert refusal(files)
    assert refusal(changed(name, lambda content: content + b"\n{}", again=False))


def test_a_file_that_nobody_signed_is_named():
    files = {**signed().archive(), "model/extra.py": b"x"}
    assert "model/extra.py has SHA-256" in refusal(files)
    assert "setup.py is in the archive, but anna" in refusal({**signed().archive(), "setup.py": b"x"})


def test_an_envelope_signed_by_another_key_does_not_count():
    found = refusal(changed("attestations.jsonl", lines(provenance(EVE), *signed().verdicts)))
    assert f"its key {EVE.keyid[:16]} is unknown" in found


def test_a_statement_that_was_changed_after_it_was_signed_does_not_count():
    envelope = json.loads(signed().provenance)
    envelope["payload"] = json.loads(provenance(commit="d" * 40))["payload"]
    found = refusal(changed("attestations.jsonl", lines(json.dumps(envelope), *signed().verdicts)))
    assert f"the signature by anna ({ANNA.keyid[:16]}) does not match the content" in found


def test_a_verdict_that_was_taken_out_is_missed_by_the_move_that_rests_on_it():
    digest = statement_sha256(signed().verdicts[0])[:12]
    found = refusal(changed("attestations.jsonl", lines(signed().provenance)))
    assert f"Production does not hold: move 2 by anna ({ANNA.keyid[:16]}) rests on statement {digest}" in found
    assert "attestations.jsonl has SHA-256" in refusal(
        {**replace(signed(), moves=moves()).archive(), "attestations.jsonl": f"{signed().provenance}\n".encode()}
    )


def test_different_keys_are_counted_and_the_same_key_twice_is_one():
    carl = key("carl")
    parts = replace(signed(), verdicts=(verdict(), verdict(carl), verdict(commit=COMMIT)), moves=())
    found = {claim.what: claim.found for claim in claims(subject(parts.archive(ANNA, BEN, carl), ANNA, BEN, carl))}
    assert found["rebuilders"].startswith("2 different keys, 2 other than the builder's, derived it again")
    own = replace(signed(), verdicts=(verdict(ANNA),), moves=()).archive()
    found_own = {claim.what: claim.found for claim in claims(subject(own))}
    assert found_own["rebuilders"].startswith("1 key, none other than the builder's, derived it again")
    assert found["Production"] == "no model was made Production yet"


def test_without_a_verdict_it_says_that_nobody_derived_it_again():
    found = {claim.what: claim.found for claim in claims(subject(replace(signed(), verdicts=(), moves=()).archive()))}
    assert found["rebuilders"] == "nobody derived the model again, or by no key that counts"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"said": "diverged"}, "derived it again and it diverged"),
        ({"dataset": "9" * 64}, "says identical, but its data/dataset"),
        ({"train": "9" * 64}, "artifacts/sha256/train.json has SHA-256"),
        ({"said": "diverged", "commit": "d" * 40}, "and it diverged"),
    ],
)
def test_a_verdict_that_differs_refuses_the_model(other, reason):
    found = refusal(replace(signed(), verdicts=(verdict(**other),), moves=()).archive())
    assert found.startswith("rebuilders does not hold: ")
    assert reason in found


def test_a_chain_that_was_cut_or_reordered_is_refused():
    first, second = signed().moves
    assert "move 1 of Production is missing" in refusal(changed("promotions.jsonl", lines(second)))
    other = moves(signed().provenance, by=EVE)[1]
    assert "is unknown" in refusal(changed("promotions.jsonl", lines(first, other)))
    assert "promotions.jsonl has SHA-256" in refusal(changed("promotions.jsonl", lines(first), again=False))


def test_a_model_that_another_one_followed_is_said_not_to_be_production():
    after = moves(signed().provenance, after=("d" * 64,))
    found = {claim.what: claim.found for claim in claims(subject(replace(signed(), moves=after).archive()))}
    assert found["Production"] == "it is not Production, it was by move 2; the last move, 3, is to version 3"
    found = {claim.what: claim.found for claim in claims(subject(replace(signed(), moves=after[:1]).archive()))}
    assert found["Production"] == "it is not Production, it never was; the last move, 1, is to version 1"


def test_receipts_that_name_another_data_set_are_refused():
    def other(content):
        return content.replace(b"a" * 64, b"9" * 64)

    assert "receipts does not hold: data/dataset is" in refusal(changed("artifacts/sha256/dataset.json", other))


def test_a_bill_with_another_digest_is_refused():
    for before, after, ref in (
        (b"2" * 64, b"9" * 64, "pkg:pypi/numpy@2.4.6"),
        (b"a" * 64, b"9" * 64, "data/dataset/dataset.parquet"),
        (b"scikit", b"scikit", ""),
    ):
        files = changed("bom.cdx.json", lambda content, one=before, other=after: content.replace(one, other))
        if ref:
            assert f"bill of materials does not hold: {ref}" in refusal(files)
    assert "bom.cdx.json is no JSON" in refusal(changed("bom.cdx.json"))


def test_the_signature_of_the_folder_counts_only_with_the_key_that_was_signed_for():
    ours, theirs = signed().archive(), signed().archive(ANNA, BEN, EVE, by=EVE)
    stolen = {**ours, "model.sig": theirs["model.sig"], "model_signing.pem": theirs["model_signing.pem"]}
    assert "model.sig does not hold: model_signing.pem is not the key that anna" in refusal(stolen)
    assert "model.sig does not hold: the signature does not match its key" in refusal(
        packed_again({**ours, "model.sig": theirs["model.sig"]})
    )


def test_who_makes_the_archive_must_be_a_key_that_counts():
    files = signed().archive(ANNA, BEN, EVE, by=EVE)
    found = refusal(files)
    assert f"its key {EVE.keyid[:16]} is unknown" in found
    assert [claim.what for claim in claims(subject(files, ANNA, BEN, EVE))][-1] == "archive"


def test_more_envelopes_than_can_be_checked_in_time_are_refused():
    many = changed("attestations.jsonl", lambda content: content + b"{}\n" * 2000)
    assert "attestations.jsonl has 2002 envelopes; at most 2000 are read" in refusal(many)


def test_golden_rows_are_really_scored():
    golden = json.loads(model()["golden.json"])
    golden["rows"][3]["churn_probability"] += 1e-3
    found = subject()
    forged = replace(found, files={**found.files, "model/golden.json": json.dumps(golden).encode()})
    with pytest.raises(ModelError, match=r"golden rows does not hold: golden row .* scores"):
        list(claims(forged))
