"""The mapping that `streamflow source init` proposes."""

import pytest
import yaml
from project import ROOT
from telephone import write_telephone

from streamflow.core.config import SourceConfig
from streamflow.core.schema import SUBSCRIPTIONS, USERS
from streamflow.extracts.mapped import mapping_of, read_mapped
from streamflow.operations.source.propose import propose
from streamflow.operations.source.reading import sample_of
from streamflow.operations.source.samples import Sample
from streamflow.operations.source.similarity import date_format, name_fit, values_fit

JANUARY = "2024-01-31"


def source(text, folder):
    content = yaml.safe_load(text)
    del content["defaults"]
    return SourceConfig(**{**content, "dir": str(folder)})


def test_the_proposal_for_a_telephone_company_loads_what_the_mapping_by_hand_loads(tmp_path):
    write_telephone(tmp_path, 300)
    proposed = source(propose("phone", [sample_of(tmp_path / f"{JANUARY}.csv")]), tmp_path)
    by_hand = source((ROOT / "conf/source/telephone.yaml").read_text(), tmp_path)
    assert list(proposed.absent) == list(by_hand.absent)
    found, expected = (read_mapped(each, JANUARY, None)[0] for each in (proposed, by_hand))
    assert all(found[name].equals(rows) for name, rows in expected.items())
    assert proposed.reading["file"] == "{month}.csv"


def test_the_project_s_own_files_are_mapped_to_themselves(tmp_path):
    from streamflow.extracts.synthetic import generate_month

    month = generate_month(100, JANUARY, 1)
    for name, rows in month.items():
        rows.to_pandas().to_csv(tmp_path / f"{name}.csv", index=False)
    text = propose("same", [sample_of(tmp_path / f"{name}.csv") for name in month])
    found = source(text, tmp_path)
    assert list(found.absent) == []
    for each in mapping_of(found):
        assert {name: rule.column for name, (_, rule) in each.rules.items()} == {
            name: name for name in each.table.header[1:]
        }
        assert each.reading.file == f"{each.table.name}.csv"
    rows, _ = read_mapped(found, JANUARY, None)
    assert all(rows[name].to_pylist() == table.to_pylist() for name, table in month.items())


def test_another_notation_is_recognised(tmp_path):
    path = tmp_path / "kunden_2024-01-31.csv"
    lines = [
        "Kunde;Monthly fee;Signup;Straße;Churned",
        "a;10,5;31.12.2023;x;ja",
        "b;20;01.02.2023;ü;nein",
        "c;7,25;01.01.2023;z;",
    ]
    path.write_bytes(("\n".join(lines) + "\n").encode("cp1252"))
    sample = sample_of(path)
    assert (sample.file, sample.delimiter, sample.encoding, sample.decimal) == (
        "kunden_{month}.csv",
        ";",
        "cp1252",
        ",",
    )
    content = yaml.safe_load(propose("kunden", [sample]))
    assert content["reading"] == {
        "file": "kunden_{month}.csv", "key": "Kunde", "delimiter": ";", "encoding": "cp1252", "decimal": ",",
        "true_values": ["ja"], "false_values": ["nein"], "null_values": [""],
    }  # fmt: skip
    assert content["tables"]["users"]["columns"] == {"signup_date": {"column": "Signup", "dates": "%d.%m.%Y"}}
    assert content["tables"]["labels"]["columns"] == {"churn_label": "Churned"}
    assert "subscriptions.monthly_fee" not in content["absent"]
    assert "subscriptions.contract_type" in content["absent"]


def test_what_was_not_found_is_said_and_never_guessed():
    text = propose("bare", [Sample("a.csv", {"id": ["1", "2"], "colour": ["red", "blue"]})])
    content = yaml.safe_load(text)
    assert content["tables"]["labels"]["columns"] == {"churn_label": "???"}
    assert content["tables"]["users"]["columns"] is None
    assert "# nothing was found: churned in the month of the snapshot" in text


def test_texts_of_other_spelling_are_listed_and_unknown_ones_named():
    columns = {"id": ["1", "2", "3"], "Sex": ["female", "MALE", "x"], "Churn": ["yes", "no", "no"]}
    text = propose("own", [Sample("a.csv", columns)])
    content = yaml.safe_load(text)
    rule = content["tables"]["users"]["columns"]["user_gender"]
    assert rule == {"column": "Sex", "values": {"MALE": "Male", "female": "Female"}}
    assert "say in `values` what x is: one of Female, Male" in text


@pytest.mark.parametrize(
    ("column", "name", "fits"),
    [
        ("user_is_senior", "SeniorCitizen", True),
        ("monthly_fee", "MonthlyCharges", True),
        ("months_active", "tenure", True),
        ("has_family", "Partner", True),
        ("net_service", "internet_service", True),
        ("contract_type", "PaymentMethod", False),
        ("total_paid", "colour", False),
    ],
)
def test_names_fit_by_their_words(column, name, fits):
    known = next(table.column(column) for table in (USERS, SUBSCRIPTIONS) if column in table.header)
    assert (name_fit(known, name)[0] >= 0.5) is fits


def test_values_have_to_fit_too():
    assert values_fit(USERS.column("has_family"), ["Yes", "No"])
    assert not values_fit(USERS.column("has_family"), ["Yes", "Maybe"])
    assert not values_fit(SUBSCRIPTIONS.column("months_active"), ["1.5"])
    assert values_fit(SUBSCRIPTIONS.column("monthly_fee"), ["1,5", "2"])
    assert not values_fit(SUBSCRIPTIONS.column("monthly_fee"), [])
    assert date_format(["31/12/2023", "01/01/2024"]) == "%d/%m/%Y"
    assert date_format(["31/02/2023"]) is None
    assert date_format(["12/31/2023"]) == "%m/%d/%Y"
