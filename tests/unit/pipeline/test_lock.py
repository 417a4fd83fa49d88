"""dvc.lock as DVC writes it and as an editor leaves it; hashes as DVC counts them."""

import hashlib
import json
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from project import ROOT

from streamflow.core.arrow import arrow_schema, sorted_by_user
from streamflow.core.calendar import instant
from streamflow.core.digest import rows_sha256
from streamflow.core.errors import ModelError
from streamflow.core.schema import TABLES
from streamflow.extracts.synthetic import generate_month
from streamflow.pipeline.dvc_files import disagreements
from streamflow.pipeline.dvc_hash import content_of, folder_manifest, folder_md5
from streamflow.pipeline.lock import LockedStage, contradictions, derivation, derivation_sha256, outputs, read_lock
from streamflow.pipeline.parquet import frozen_schema, with_event_timestamp, write_parquet
from streamflow.rerun.rerun import receipt_contradictions

MONTHS = ["2024-01-31", "2024-02-29"]
TEXT = (ROOT / "dvc.lock").read_text()


def edited(change):
    content = yaml.safe_load(TEXT)
    change(content["stages"])
    return yaml.safe_dump(content, sort_keys=False)


def test_the_committed_lock_agrees_with_itself_and_with_every_file_of_this_commit():
    stages = read_lock(TEXT, MONTHS)
    assert list(stages)[:3] == ["config", "ingest", "snapshot@2024-01-31"]
    assert contradictions(stages) == []
    code = {path: md5 for stage in stages.values() for path, md5 in stage.deps.items() if not path.startswith("data")}
    present = {path: content_of(ROOT / path).md5 for path in code if not path.startswith("artifacts/")}
    assert {path: code[path] for path in present} == present
    assert len(present) > 25


def test_the_derivation_leaves_out_what_has_no_output_and_months_that_are_gone():
    stages = yaml.safe_load(derivation(TEXT, MONTHS))["stages"]
    assert set(yaml.safe_load(TEXT)["stages"]) - set(stages) == {"register", "materialize"}
    behind = edited(lambda s: (s.pop("register"), s.update({"snapshot@2023-12-31": s["snapshot@2024-01-31"]})))
    assert derivation_sha256(behind, MONTHS) == derivation_sha256(TEXT, MONTHS)
    assert "snapshot@2024-02-29" not in read_lock(TEXT, MONTHS[:1])
    other = edited(lambda s: s["train"]["outs"][0].update(md5="0" * 32 + ".dir"))
    assert derivation_sha256(other, MONTHS) != derivation_sha256(TEXT, MONTHS)


@pytest.mark.parametrize(
    ("stage", "section", "path"),
    [("dataset", "outs", "data/dataset"), ("train", "deps", "data/dataset"), ("train", "deps", "requirements.lock")],
)
def test_a_hash_that_was_edited_contradicts_the_rest(stage, section, path):
    def edit(stages):
        entry = next(item for item in stages[stage][section] if item["path"] == path)
        entry["md5"] = "0" * 32 + (".dir" if "nfiles" in entry else "")

    found = contradictions(read_lock(edited(edit), MONTHS))
    assert found
    assert all(path in line and "000000000000" in line for line in found)


def stage(name, deps, outs):
    return LockedStage(name, "cmd", deps, outs, {})


def test_a_contradiction_names_both_stages_and_the_beginning_of_both_hashes():
    one, two = "1" * 32, "2" * 32 + ".dir"
    wrote = {"a": stage("a", {}, {"x": one}), "b": stage("b", {"x": two}, {"y": one})}
    assert contradictions(wrote) == ["b read x as 222222222222, a wrote 111111111111"]
    read = {"a": stage("a", {"x": one}, {"y": one}), "b": stage("b", {"x": two}, {"z": one})}
    assert contradictions(read) == ["b read x as 222222222222, a read 111111111111"]
    behind = {**read, "b": stage("b", {"x": two}, {})}
    assert contradictions(behind) == [], "what follows the derivation is behind it until the run has ended"


def test_a_stage_is_read_with_command_inputs_outputs_and_parameters():
    entry = {"md5": "a" * 32, "size": 1}
    text = yaml.safe_dump({"stages": {"s": {
        "cmd": "run",
        "deps": [{"path": "d", **entry}],
        "outs": [{"path": "o", "md5": "b" * 32 + ".dir", "size": 2, "nfiles": 1}],
        "params": {"params.yaml": {"seed": 1}},
    }, "t@2024-01-31": {"cmd": "run"}, "t@2023-01-31": {"cmd": "run"}}})  # fmt: skip
    found = read_lock(text, MONTHS)
    assert list(found) == ["s", "t@2024-01-31"]
    expected = LockedStage("s", "run", {"d": "a" * 32}, {"o": "b" * 32 + ".dir"}, {"params.yaml": {"seed": 1}})
    assert found["s"] == expected
    assert found["t@2024-01-31"] == LockedStage("t@2024-01-31", "run", {}, {}, {})
    assert read_lock("", MONTHS) == {}
    assert yaml.safe_load(derivation("", MONTHS)) == {"schema": "2.0", "stages": {}}


def test_the_derivation_has_one_form_whose_digest_is_pinned():
    """Registered versions hold this digest: keys sorted, lines of 120 characters, whatever reader DVC used."""
    out = {"path": "o", "md5": "b" * 32, "size": 2}
    stages = {
        "t": {"outs": [out], "cmd": "word " * 40 + "end"},
        "register": {"cmd": "x"},
        "a@2023-01-31": {"cmd": "x", "outs": [out]},
    }
    text = yaml.safe_dump({"stages": stages, "schema": "2.0"}, sort_keys=False)
    first, second, third, *command, outs, md5, path, size = derivation(text, MONTHS).splitlines()
    assert (first, second, third) == ("schema: '2.0'", "stages:", "  t:")
    assert [len(line) for line in command] == [123, 94]
    assert (outs, md5, path, size) == ("    outs:", f"    - md5: {'b' * 32}", "      path: o", "      size: 2")
    assert derivation_sha256(text, MONTHS) == hashlib.sha256(derivation(text, MONTHS).encode()).hexdigest()


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"md5": "a" * 31, "size": 1}, "stage s, p: a+ is not an MD5"),
        ({"md5": "g" * 32, "size": 1}, "stage s, p: g+ is not an MD5"),
        ({"md5": "X" * 32, "size": 1}, "stage s, p: X+ is not an MD5"),
        ({"md5": "A" * 32, "size": 1}, "stage s, p: A+ is not an MD5"),
        ({"md5": "a" * 32 + ".dir", "size": 1}, r"stage s, p: neither a file nor a folder"),
        ({"md5": "a" * 32, "size": 1, "nfiles": 1}, r"stage s, p: neither a file nor a folder"),
        ({"md5": "a" * 32, "size": "1"}, "stage s, p: size 1"),
    ],
)
@pytest.mark.parametrize("section", ["deps", "outs"])
def test_an_entry_that_dvc_does_not_write_is_named_with_stage_and_path(entry, reason, section):
    text = yaml.safe_dump({"stages": {"s": {"cmd": "x", section: [{"path": "p", **entry}]}}})
    with pytest.raises(ModelError, match=reason):
        read_lock(text, MONTHS)


@pytest.mark.parametrize(
    "text",
    [
        "stages: [",
        TEXT.replace("md5: ", "md5: x", 1) if "md5: " in TEXT else "",
        "schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n    - {path: p, md5: 'zz', size: 1}\n",
        "stages:\n  a: 5\n",
    ],
)
def test_what_dvc_does_not_write_is_refused_with_the_command_that_mends_it(text):
    with pytest.raises(ModelError, match=r"`git checkout dvc\.lock`"):
        read_lock(text, MONTHS)


def test_outputs_name_their_stage():
    made = outputs(read_lock(TEXT, MONTHS).values())
    assert made["data/dataset"][0] == "dataset"
    assert made["data/snapshots/2024-02-29"][0] == "snapshot@2024-02-29"
    assert len(made) == 18


@example({"0/0": b"", "0.": b""})  # DVC sorts by the text of the path, not by its parts
@given(st.dictionaries(st.from_regex(r"[a-zA-Z0-9_.-]{1,6}(/[a-zA-Z0-9_.-]{1,6}){0,2}", fullmatch=True),
                       st.binary(max_size=8), min_size=1, max_size=6))  # fmt: skip
def test_a_folders_md5_is_the_one_dvc_computes(files):
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta
    from dvc_data.hashfile.tree import Tree

    digests = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    theirs = Tree()
    for name, digest in digests.items():
        theirs.add(tuple(name.split("/")), Meta(), HashInfo("md5", digest))
    theirs.digest()
    assert folder_md5(digests) == theirs.hash_info.value
    assert folder_manifest(digests) == theirs.as_bytes()


def test_a_file_and_a_folder_are_read_through_without_compiled_files(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.txt").write_bytes(b"x")
    (tmp_path / "b" / "__pycache__").mkdir()
    (tmp_path / "b" / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    content = content_of(tmp_path)
    assert dict(content.files_md5) == {"b/x.txt": hashlib.md5(b"x").hexdigest()}
    assert dict(content.files_sha256) == {"b/x.txt": hashlib.sha256(b"x").hexdigest()}
    assert content_of(tmp_path / "b" / "x.txt").md5 == hashlib.md5(b"x").hexdigest()
    assert content_of(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda stages: stages.pop("evaluate"), "evaluate has not run: it is not in dvc.lock"),
        (lambda stages: stages["train"]["deps"].pop(), "train has other deps in dvc.lock than in dvc.yaml"),
        (lambda stages: stages["train"]["outs"].pop(), "train has other outputs in dvc.lock than in dvc.yaml"),
        (
            lambda stages: stages["dataset"]["params"]["params.yaml"].update(as_of="2024-02-29"),
            "dataset ran with another value of as_of than params.yaml",
        ),
        (
            lambda stages: stages["train"]["params"]["params.yaml"]["model"].update(n_estimators=299),
            "train ran with another value of model than params.yaml",
        ),
        (
            lambda stages: stages["evaluate"]["params"]["params.yaml"].pop("seed"),
            "evaluate ran with another value of seed than params.yaml",
        ),
    ],
)
def test_a_lock_that_says_other_than_dvc_yaml_and_params_yaml_is_named(change, named):
    assert disagreements(read_lock(TEXT, MONTHS), ROOT) == []
    assert disagreements(read_lock(edited(change), MONTHS), ROOT) == [named]


def test_a_receipt_of_other_rows_than_the_frozen_ones_is_named(tmp_path):
    months = ("2024-01-31",)
    result = SimpleNamespace(snapshots=dict.fromkeys(months, "md5"), params={"known_at": None})
    made = generate_month(40, months[0], 5)
    tables = {table.name: sorted_by_user(made[table.name]).cast(arrow_schema(table)) for table in TABLES}
    for table in TABLES:
        batches = (with_event_timestamp(batch, instant(months[0])) for batch in tables[table.name].to_batches())
        write_parquet(tmp_path / f"data/snapshots/{months[0]}/{table.name}.parquet", frozen_schema(table), batches)
    facts = {name: {"rows": rows.num_rows, "content_sha256": rows_sha256(rows)} for name, rows in tables.items()}
    receipt = tmp_path / f"artifacts/ingest/{months[0]}.json"
    receipt.parent.mkdir(parents=True)
    receipt.write_text(json.dumps({"tables": facts}))
    assert receipt_contradictions(tmp_path, result) == []
    receipt.write_text(json.dumps({"tables": {**facts, "users": {**facts["users"], "rows": 9999}}}))
    assert receipt_contradictions(tmp_path, result) == [
        "the receipt of 2024-01-31 for users differs from the frozen rows"
    ]
