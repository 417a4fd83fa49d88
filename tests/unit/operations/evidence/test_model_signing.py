"""The signature of the folder in the form of OpenSSF model signing; that the real tool takes it is in tests/e2e."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from signers import key

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.operations.evidence.model_signing import check_folder, ec_pem, sign_folder, signing_key

FILES = {"model.onnx": b"a model", "golden.json": b"{}"}
KEY = signing_key(key("anna").signer)
PUBLIC = ec_pem(KEY.public_key())
SIGNATURE = sign_folder("model", FILES, KEY)


def refusal(files=FILES, signature=SIGNATURE, public=PUBLIC):
    with pytest.raises(ModelError) as error:
        check_folder("model", files, signature, public)
    return str(error.value)


def test_the_key_is_always_the_same_of_one_machine_and_another_of_another():
    assert isinstance(KEY.curve, SECP256R1)
    assert KEY.private_numbers() == signing_key(key("anna").signer).private_numbers()
    assert KEY.private_numbers() != signing_key(key("ben").signer).private_numbers()


def test_the_same_files_give_the_same_signature_which_holds():
    assert sign_folder("model", dict(reversed(FILES.items())), KEY) == SIGNATURE
    check_folder("model", FILES, SIGNATURE, PUBLIC)


def test_the_statement_is_as_the_standard_has_it():
    bundle = json.loads(SIGNATURE)
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert bundle["verificationMaterial"]["publicKey"]["hint"] == bytes_sha256(PUBLIC)
    assert statement["predicateType"] == "https://model_signing/signature/v1.0"
    digests = [bytes_sha256(FILES[name]) for name in sorted(FILES)]
    assert [each["digest"] for each in statement["predicate"]["resources"]] == digests
    assert statement["subject"] == [
        {"name": "model", "digest": {"sha256": bytes_sha256(bytes.fromhex("".join(digests)))}}
    ]


def test_other_files_keys_and_damage_are_refused_with_the_reason():
    assert "golden.json has SHA-256" in refusal({**FILES, "golden.json": b"[]"})
    assert "more.json has SHA-256" in refusal({**FILES, "more.json": b""})
    assert refusal({"model.onnx": b"a model"}) == "it signs other files than those of the folder"
    other = ec_pem(signing_key(key("ben").signer).public_key())
    assert refusal(public=other) == "the signature does not match its key"
    assert refusal(public=key("anna").pem) == "its key is no EC key"
    assert refusal(signature=b"[]") == "it is damaged (TypeError)"
    assert refusal(public=b"none").startswith("it is damaged")
    assert refusal(signature=SIGNATURE.replace(b"v0.3", b"v0.1")) == "it is no bundle of OpenSSF model signing v1.0"
