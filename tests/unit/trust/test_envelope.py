"""Envelopes: what a signature says, and every way in which it says nothing."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signers import key, trusting

from streamflow.core.errors import ModelError
from streamflow.trust.envelope import IN_TOTO, canonical, open_envelope, sign, sign_statement
from streamflow.trust.trusted import TrustedKeys, public_key, trusted_keys_of

ANNA, BEN = key("anna"), key("ben")
LINE = sign(b'{"a":1}', IN_TOTO, ANNA.signer)


def test_a_trusted_signature_gives_the_payload_the_name_and_its_digest():
    signed = open_envelope(LINE, trusting(ANNA))
    assert (signed.payload, signed.content(), signed.keyid) == (b'{"a":1}', {"a": 1}, ANNA.keyid)
    assert signed.signer == f"anna ({ANNA.keyid[:16]})"
    assert signed.sha256 == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert "\n" not in LINE


@given(st.integers(0, 6), st.integers(1, 255))
def test_any_other_byte_of_the_payload_is_noticed(place, change):
    content = json.loads(LINE)
    payload = bytearray(base64.b64decode(content["payload"]))
    payload[place] ^= change
    content["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(ModelError, match=r"the signature by anna .* does not match the content"):
        open_envelope(json.dumps(content), trusting(ANNA))


def test_an_unknown_a_revoked_and_a_missing_signature_are_told_apart():
    with pytest.raises(ModelError, match=rf"its key {BEN.keyid[:16]} is unknown; `streamflow keys trust FILE`"):
        open_envelope(sign(b"{}", IN_TOTO, BEN.signer), trusting(ANNA))
    with pytest.raises(ModelError, match=r"its key anna \(.*\) is revoked"):
        open_envelope(LINE, trusted_keys_of({"ben": BEN.pem}, {"anna": ANNA.pem}))
    with pytest.raises(ModelError, match="nobody signed it"):
        open_envelope(json.dumps({**json.loads(LINE), "signatures": []}), trusting(ANNA))


def test_a_key_that_is_trusted_and_revoked_does_not_count():
    both = trusted_keys_of({"anna": ANNA.pem, "ben": BEN.pem}, {"old": ANNA.pem})
    assert (list(both.names.values()), list(both.revoked.values())) == (["ben"], ["old"])


def test_a_signature_under_the_id_of_another_key_does_not_count():
    content = json.loads(sign(b"{}", IN_TOTO, BEN.signer))
    content["signatures"][0]["keyid"] = ANNA.keyid
    with pytest.raises(ModelError, match="does not match"):
        open_envelope(json.dumps(content), trusting(ANNA, BEN))


def test_one_of_several_signatures_is_enough_and_a_wrong_one_of_a_trusted_key_is_not_passed_over():
    content = json.loads(LINE)
    content["signatures"] += json.loads(sign(b'{"a":1}', IN_TOTO, BEN.signer))["signatures"]
    assert open_envelope(json.dumps(content), trusting(BEN)).keyid == BEN.keyid


@pytest.mark.parametrize(
    "line", ["", "x", "[]", "{}", '{"payload": 1}', '{"payload":"eA==","payloadType":"t","signatures":[1]}']
)
def test_what_is_no_envelope_is_one_line(line):
    with pytest.raises(ModelError, match="it is no DSSE envelope"):
        open_envelope(line, trusting(ANNA))


def test_a_payload_of_another_type_is_refused():
    with pytest.raises(ModelError, match=r"its payload is 'text/plain', not application/vnd\.in-toto\+json"):
        open_envelope(sign(b"{}", "text/plain", ANNA.signer), trusting(ANNA))


def test_the_signed_bytes_do_not_depend_on_the_order_of_keys():
    assert canonical({"b": 1, "a": "ü"}) == canonical({"a": "ü", "b": 1}) == '{"a":"ü","b":1}'.encode()


def test_a_statement_against_the_rules_of_in_toto_is_not_signed():
    good = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "m", "digest": {"sha256": "ab" * 32}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"x": "y"},
    }
    assert open_envelope(sign_statement(good, ANNA.signer), trusting(ANNA)).content() == good
    for change in ({"_type": "other"}, {"subject": []}, {"predicateType": ""}, {"predicate": {}}, {"more": 1}):
        with pytest.raises(ModelError, match="the statement can't be signed"):
            sign_statement({**good, **change}, ANNA.signer)


def test_a_public_key_that_is_none_is_refused_with_the_file():
    with pytest.raises(Exception, match=r"keys/x\.pem is no Ed25519 public key"):
        public_key(b"nonsense", "keys/x.pem")
    assert TrustedKeys().described("ab" * 32) == "abababababababab"
