"""The README of an archive: one page for a stranger, who knows neither this project nor who made the archive."""

from collections.abc import Mapping, Sequence

from streamflow.core.schema import MODEL_NAME
from streamflow.operations.evidence.layout import KEYS, SIGNATURE_KEY
from streamflow.trust.claims import ModelClaim


def readme(claim: ModelClaim, version: str, keys: Mapping[str, str], statements: Sequence[str], packer: str) -> str:
    """The page; `keys` are key id to name, `statements` lines about who signed what, `packer` the name of who made it."""
    listed = "\n".join(f"    {keyid}  {KEYS}{name}.pem" for keyid, name in sorted(keys.items()))
    signed = "\n".join(f"- {line}" for line in statements)
    named = f"version {version} of {MODEL_NAME}" if version else f"a model of {MODEL_NAME}"
    return f"""# Evidence for {named}

A model that predicts which subscribers leave (churn), as of {claim.as_of}, and all that is signed about it. The model is
`model/model.onnx`, SHA-256

    {claim.files["model.onnx"]}

It was built from git commit `{claim.commit}` with the configuration in
`params.yaml` and the packages in `requirements.lock`. `report.html` tells how
good it is, `bom.cdx.json` lists what it is made of (CycloneDX 1.6).

## Who signed what

{signed}
- {packer}: the SHA-256 of every file of this archive (`contents.jsonl`), so also
  `{SIGNATURE_KEY}`, an EC key for `model.sig`: OpenSSF model signing takes no Ed25519 keys

Key ids (SHA-256 based, Ed25519 keys):

{listed}

**Whoever made this archive chose these keys.** Ask the people you trust for their key ids by another way (in person, by
telephone, from their own site) and compare. A signature tells who claims something, not that it is true; `rebuilders`
tells who derived the same bytes again.

## How to check it

With the project (Python 3.11 and its packages; no database, no network). The first shows whether the archive agrees with
itself, the second whether people you know signed it, the third derives the model again, in a clone that has the commit:

    streamflow verify evidence.zip
    streamflow verify evidence.zip --key PUBLIC.pem
    streamflow verify evidence.zip --key PUBLIC.pem --rerun

Without it, in the unpacked folder (`pip install model-signing pyOpenSSL`, `pip install securesystemslib[crypto]`):

    model_signing verify key model --signature model.sig --public_key {SIGNATURE_KEY}
    python3 -c '{_without_us(keys)}'

The last one prints each statement whose signature is right. They are DSSE envelopes (one a line) around in-toto
statements: SLSA provenance v1 (what was built from what), SVR v0.1 (who derived it again), SLSA verification summary v1
(moves of Production). Compare the digests in them with `sha256sum`; a `dirHash` is of a folder that is not in here.
"""


def _without_us(keys: Mapping[str, str]) -> str:
    files = " ".join(f"{KEYS}{name}.pem" for name in sorted(set(keys.values())))
    return (
        "import json; from securesystemslib.dsse import Envelope as E; from securesystemslib.signer import SSlibKey as K;"
        " from cryptography.hazmat.primitives.serialization import load_pem_public_key as L;"
        f' ks = [K.from_crypto(L(open(n, "rb").read())) for n in "{files}".split()];'
        ' [print(e.verify(ks, 1).keys(), e.payload.decode()) for f in ("attestations", "promotions", "contents")'
        ' for e in map(E.from_dict, map(json.loads, open(f + ".jsonl")))]'
    )
