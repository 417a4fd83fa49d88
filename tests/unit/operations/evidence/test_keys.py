"""Whose signatures count for an archive: those named by --key alone; else the archive's own and the clone's."""

import pytest
from signers import key, trusting
from small_archive import ANNA, BEN, EVE, signed

from streamflow.core.errors import ConfigError, ModelError
from streamflow.operations.evidence.keys import counted_keys
from streamflow.trust.trusted import trusted_keys_of

FILES = signed().archive()
CARL = key("carl")


def test_without_any_choice_the_keys_of_the_archive_count_and_their_names_are_marked():
    found = counted_keys(FILES, [], None)
    assert found.trusted.names == {ANNA.keyid: "archive:anna", BEN.keyid: "archive:ben"}
    assert set(found.chosen_by.values()) == {"named by the archive itself"}


def test_in_a_clone_its_keys_count_too_under_their_own_names():
    found = counted_keys(FILES, [], trusting(ANNA, CARL))
    assert found.trusted.names == {ANNA.keyid: "anna", BEN.keyid: "archive:ben", CARL.keyid: "carl"}
    assert found.chosen_by[ANNA.keyid] == "trusted by this clone"


def test_a_key_that_the_clone_revoked_does_not_count_whoever_names_it(tmp_path):
    clone = trusted_keys_of({}, {"anna": ANNA.pem})
    (tmp_path / "anna.pem").write_bytes(ANNA.pem)
    assert set(counted_keys(FILES, [], clone).trusted.keys) == {BEN.keyid}
    assert counted_keys(FILES, [tmp_path / "anna.pem"], clone).trusted.keys == {}
    assert "anna" in counted_keys(FILES, [], clone).trusted.revoked[ANNA.keyid]


def test_with_keys_given_no_other_counts(tmp_path):
    (tmp_path / "known.pem").write_bytes(EVE.pem)
    found = counted_keys(FILES, [tmp_path / "known.pem"], trusting(ANNA))
    assert found.trusted.names == {EVE.keyid: "known"}
    assert found.chosen_by == {EVE.keyid: "named by --key"}


def test_what_is_no_key_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"--key .*none.pem can't be read: No such file"):
        counted_keys(FILES, [tmp_path / "none.pem"], None)
    with pytest.raises(ConfigError, match=r"keys/eve\.pem is no Ed25519 public key"):
        counted_keys({**FILES, "keys/eve.pem": b"x"}, [], None)
    with pytest.raises(ModelError, match=r"is no name for a key"):
        counted_keys({**FILES, "keys/e.v.e.pem": EVE.pem}, [], None)
