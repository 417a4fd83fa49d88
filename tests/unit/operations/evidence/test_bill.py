"""The bill of materials: its digests are those of the files; tests/e2e asks CycloneDX's own validator."""

import json

from project import ROOT
from small_archive import COMMIT, DATA, model, signed, subject

from streamflow.core.digest import bytes_sha256, folder_sha256
from streamflow.operations.evidence.bill import bill_of
from streamflow.operations.evidence.words import considerations

FOUND = bill_of(subject())
BY_REF = {each["bom-ref"]: each for each in FOUND["components"]}


def test_the_model_is_the_component_that_the_bill_is_about():
    component = FOUND["metadata"]["component"]
    assert (component["type"], component["name"]) == ("machine-learning-model", "streamflow_churn")
    assert component["hashes"] == [{"alg": "SHA-256", "content": bytes_sha256(model()["model.onnx"])}]
    assert {each["name"]: each["hashes"][0]["content"] for each in component["components"]} == {
        name: bytes_sha256(content) for name, content in model().items()
    }


def test_the_card_has_metrics_data_sets_and_considerations():
    card = FOUND["metadata"]["component"]["modelCard"]
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "f1", "value": "0.6", "slice": "test users"},
        {"type": "roc_auc", "value": "0.8125", "slice": "test users"},
    ]
    refs = [each["ref"] for each in card["modelParameters"]["datasets"]]
    assert refs == ["data/dataset", "data/snapshots/2024-01-31"]
    assert set(refs) <= set(BY_REF)
    assert any("synthetic" in each for each in card["considerations"]["technicalLimitations"])
    assert not any("synthetic" in each for each in considerations("csv")["technicalLimitations"])


def test_every_package_has_its_purl_and_all_hashes_of_the_lock():
    packages = {
        each["purl"]: [one["content"] for one in each["externalReferences"][0]["hashes"]]
        for each in FOUND["components"]
        if each["type"] == "library"
    }
    assert packages == {
        "pkg:pypi/numpy@2.4.6": ["1" * 64, "2" * 64],
        "pkg:pypi/ruamel-yaml@0.18%2Bx": ["3" * 64],
    }


def test_a_data_set_has_the_digest_of_its_folder_and_of_each_file():
    folder = BY_REF["data/dataset"]
    files = {name.rpartition("/")[2]: digest for name, digest in DATA.items() if "dataset" in name}
    assert folder["properties"][0] == {"name": "streamflow:dirHash", "value": folder_sha256(files)}
    assert {each["name"]: each["hashes"][0]["content"] for each in folder["components"]} == files


def test_nothing_differs_from_one_bill_to_the_next_and_the_serial_number_is_of_model_and_commit():
    assert json.dumps(FOUND) == json.dumps(bill_of(subject()))
    assert FOUND["serialNumber"].startswith("urn:uuid:")
    assert FOUND["metadata"]["timestamp"] == "2024-02-01T00:00:00Z"
    assert {"name": "streamflow:gitCommit", "value": COMMIT} in FOUND["metadata"]["component"]["properties"]


def test_the_lock_of_this_project_is_listed_whole():
    lock = (ROOT / "requirements.lock").read_text()
    found = subject()
    bill = bill_of(type(found)({**found.files, "requirements.lock": lock.encode()}, *list(vars(found).values())[1:5]))
    packages = [each for each in bill["components"] if each["type"] == "library"]
    pins = [line for line in lock.splitlines() if "==" in line and not line.startswith((" ", "#"))]
    assert len(packages) == len(pins) > 240
    hashes = sum(len(each["externalReferences"][0]["hashes"]) for each in packages)
    assert hashes == lock.count("--hash=sha256:")


def test_the_files_of_the_archive_are_all_that_it_reads():
    assert json.loads(signed().archive()["bom.cdx.json"]) == FOUND
