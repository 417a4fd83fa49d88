"""The page for a stranger: who signed what, that the keys prove nothing by themselves, and commands that exist."""

import re

from small_archive import ANNA, BEN, COMMIT, model, signed

from streamflow.core.digest import bytes_sha256
from streamflow.operations.evidence.verify import short_line

PAGE = signed().archive()["README.md"].decode()


def test_it_is_one_page_that_names_model_commit_and_every_key():
    assert len(PAGE.splitlines()) <= 66
    for word in (bytes_sha256(model()["model.onnx"]), COMMIT, ANNA.keyid, BEN.keyid, "version 2 of streamflow_churn"):
        assert word in PAGE


def test_it_says_who_signed_what():
    assert f"- anna: where the model comes from, commit {COMMIT[:12]} (provenance)" in PAGE
    assert f"- ben: derived commit {COMMIT[:12]} again: identical (verdict of 2024-02-01T00:00:00Z)" in PAGE
    assert "- anna: move 2 of Production, to version 2" in PAGE
    assert "**Whoever made this archive chose these keys.**" in PAGE


def test_it_has_five_commands_and_names_only_files_of_the_archive():
    assert len(re.findall(r"^    (streamflow|model_signing|python3) ", PAGE, re.MULTILINE)) == 5
    named = re.findall(r"`([\w./-]+\.(?:json|jsonl|html|lock|yaml|sig|pem|onnx))`", PAGE)
    assert len(named) >= 8
    assert set(named) <= set(signed().archive())


def test_a_text_of_others_can_do_nothing_to_a_terminal():
    assert short_line("a\x1b[31m\n b\u202e") == "a\\x1b[31m b\\u202e"
    assert len(short_line("x" * 10_000)) == 301
