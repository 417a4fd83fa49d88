"""What doctor and fsck say of the history, over a real Postgres and receipts in git: an owner's edits, and honest work."""

import subprocess
from contextlib import closing

import pytest
import yaml
from extract_files import edit, set_value, write_month
from project import ROOT

from stages import ingest, snapshot
from streamflow.core.errors import HistoryError
from streamflow.core.schema import TABLES
from streamflow.operations.health import doctor, fsck
from streamflow.pipeline.params import read_all_params
from streamflow.postgres.connection import connect
from streamflow.warehouse.history import warehouse

JANUARY = "2024-01-31"
RECEIPT = f"artifacts/ingest/{JANUARY}.json"
NAME = f"history.subscriptions of {JANUARY}"
REPLACED = " (only users that a later version replaced can differ: {})"
COLUMNS = (
    "months_active, plan_stream_tv, plan_stream_movies, contract_type, paperless_billing, monthly_fee, total_paid,"
    " net_service, retracted"
)


class Project:
    """A git repository with one month of extracts, its configuration, and a database."""

    def __init__(self, path, url):
        self.path, self.url = path, url
        self.file = path / "extracts" / JANUARY / "subscriptions.csv"
        write_month(self.file.parent, 40, JANUARY)
        self.configure(None)
        self.git("init", "-q", "-b", "main")
        self.commit()

    def configure(self, known_at):
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        source = {"name": "csv", "dir": "extracts", "max_row_drop": 0.5, "first_month": JANUARY}
        values |= {"source": source, "months": [JANUARY], "known_at": known_at}
        (self.path / "params.yaml").write_text(yaml.safe_dump(values))

    def git(self, *arguments):
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t.example", *arguments]
        done = subprocess.run(command, cwd=self.path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", "result")
        return self.git("rev-parse", "HEAD")[:12]

    def repro(self):
        """The two stages that touch the history."""
        config = read_all_params()
        with warehouse(self.url, "csv") as store:
            ingest.run(config, JANUARY, store)
            snapshot.run(config, JANUARY, store)

    def correct(self, fee, row=3):
        """A corrected extract; returns its user."""
        user = set_value(self.file, row, "monthly_fee", fee)
        self.repro()
        return user

    def sql(self, *statements):
        """Statements of the database's owner, triggers off; returns the rows of the last."""
        with closing(connect(self.url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def moments(self):
        return [row[0].isoformat() for row in self.sql(
            "SELECT recorded_at FROM history.extracts WHERE table_name = 'subscriptions' ORDER BY 1")]  # fmt: skip

    def make_ledger_consistent(self):
        """What an owner does last: each digest in the ledger is that of the rows."""
        from streamflow.core.digest import rows_sha256
        from streamflow.core.schema import SUBSCRIPTIONS

        with warehouse(self.url, "csv") as store:
            for moment in self.moments():
                digest = rows_sha256(store.history_rows(SUBSCRIPTIONS, JANUARY, moment))
                self.sql(f"UPDATE history.extracts SET content_sha256 = '{digest}'"
                         f" WHERE table_name = 'subscriptions' AND recorded_at = '{moment}'")  # fmt: skip

    def wipe(self):
        self.sql("DROP SCHEMA live CASCADE", "DROP SCHEMA history CASCADE")


@pytest.fixture
def project(tmp_path, monkeypatch, database_url):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", database_url)
    return Project(tmp_path, database_url)


@pytest.fixture
def corrected(project):
    """A project whose subscriptions have two versions in history and in git's receipt; `user` has the corrected fee."""
    project.repro()
    project.user = project.correct("77.7")
    project.head = project.commit()
    assert doctor_says() == fsck_says() == []
    return project


def doctor_says():
    return [problem.what for problem in doctor.history().problems]


def fsck_says():
    return [problem.what for problem in fsck.history().problems]


def test_an_edited_superseded_row_is_named_with_its_user(corrected):
    first, _ = corrected.moments()
    corrected.sql(f"UPDATE history.subscriptions SET monthly_fee = 1"
                  f" WHERE user_id = '{corrected.user}' AND recorded_at = '{first}'")  # fmt: skip
    said = [f"{NAME}, version 1 of 2: the rows have another digest than the receipt in git (commit {corrected.head})"
            + REPLACED.format(corrected.user)]  # fmt: skip
    assert doctor_says() == fsck_says() == said
    assert "restore the rows" in str(doctor.history().problems[0])


def test_a_version_that_was_rewritten_with_its_ledger_line_is_named(corrected):
    first, _ = corrected.moments()
    corrected.sql(f"UPDATE history.subscriptions SET monthly_fee = 1"
                  f" WHERE user_id = '{corrected.user}' AND recorded_at = '{first}'")  # fmt: skip
    corrected.make_ledger_consistent()
    (said,) = doctor_says()
    assert said.startswith(f"{NAME}, version 1 of 2: the rows have another digest than the receipt in git")
    corrected.repro()  # writes a receipt of what is there now
    assert doctor_says() == [said]


def test_a_removed_superseded_version_is_named(corrected):
    corrected.correct("66.6")
    corrected.head = corrected.commit()
    _, second, _ = corrected.moments()
    corrected.sql(f"DELETE FROM history.subscriptions WHERE recorded_at = '{second}'",
                  f"DELETE FROM history.extracts WHERE recorded_at = '{second}'")  # fmt: skip
    said = [f"{NAME}, version 2 of 3: missing, the receipt in git (commit {corrected.head}) has it"]
    assert doctor_says() == fsck_says() == said


def test_a_removed_first_version_is_named_though_its_ledger_line_went_too(corrected):
    first, _ = corrected.moments()
    corrected.sql(
        f"DELETE FROM history.subscriptions WHERE user_id = '{corrected.user}' AND recorded_at = '{first}'",
        f"DELETE FROM history.extracts WHERE table_name = 'subscriptions' AND recorded_at = '{first}'",
    )
    assert any(said.startswith(f"{NAME}, version 1 of 2: the rows have another digest") for said in doctor_says())


def test_a_month_that_was_removed_and_inserted_again_is_named(corrected):
    first, second = corrected.moments()
    corrected.sql(
        f"DELETE FROM history.subscriptions WHERE user_id = '{corrected.user}' AND recorded_at = '{first}'",
        f"DELETE FROM history.extracts WHERE table_name = 'subscriptions' AND recorded_at = '{first}'",
        *(f"UPDATE history.{table} SET recorded_at = '{second}'" for table in [*(t.name for t in TABLES), "extracts"]),
    )
    said = [f"{NAME} has 1 version, the receipt in git (commit {corrected.head}) has 2: the history of its corrections was"
            " lost"]  # fmt: skip
    assert doctor_says() == fsck_says() == said


def test_versions_in_another_order_are_named(corrected):
    _, second = corrected.moments()
    corrected.sql(
        f"UPDATE history.subscriptions SET recorded_at = '2000-01-01' WHERE recorded_at = '{second}'",
        f"UPDATE history.extracts SET recorded_at = '2000-01-01' WHERE recorded_at = '{second}'",
    )
    corrected.make_ledger_consistent()
    said = doctor_says()
    assert len(said) == 3
    assert said[0].startswith(f"{NAME} was changed after it was frozen, with its record: 1 row changed in monthly_fee")
    assert said[1].startswith(f"{NAME}, version 1 of 2: the rows have another digest than the receipt in git")
    assert said[2].startswith(f"live.subscriptions of {JANUARY}: 1 row changed")


def test_a_last_version_that_was_rewritten_with_its_ledger_line_is_no_correction(corrected):
    corrected.sql(f"UPDATE history.subscriptions SET monthly_fee = 1"
                  f" WHERE user_id = '{corrected.user}' AND recorded_at = '{corrected.moments()[1]}'")  # fmt: skip
    corrected.make_ledger_consistent()
    words = "was changed after it was frozen, with its record: 1 row changed in monthly_fee"
    live = f"live.subscriptions of {JANUARY}: 1 row changed in monthly_fee ({corrected.user})"
    assert doctor_says() == [f"{NAME} {words} ({corrected.user})", live]
    assert "restore the rows" in str(doctor.history().problems[0])


def test_a_table_of_which_all_versions_were_removed_is_named(corrected):
    corrected.sql("DELETE FROM history.labels", "DELETE FROM history.extracts WHERE table_name = 'labels'")
    assert doctor_says()[0] == f"history.labels of {JANUARY} has no rows"
    assert len(doctor_says()) == 1
    assert fsck_says() == [
        f"history.labels of {JANUARY}, version 1 of 1: missing, the receipt in git (commit {corrected.head}) has it"
    ]


def test_rows_that_were_added_backdated_are_named(corrected):
    _, second = corrected.moments()
    corrected.sql(
        f"INSERT INTO history.subscriptions SELECT source, as_of, '0000-GHOST', recorded_at - interval '1 day', {COLUMNS}"
        f" FROM history.subscriptions WHERE recorded_at < '{second}' LIMIT 1"
    )
    said = doctor_says()
    assert any(f"{NAME} was changed after it was frozen: 1 row added (0000-GHOST)" in each for each in said)
    (unlisted,) = [each for each in said if "has rows recorded at" in each]
    assert unlisted.startswith(NAME)
    assert unlisted.endswith("(0000-GHOST), of which history.extracts has no version")
    assert not any("version 2 of 2" in each for each in said)  # said by its rows


def test_a_version_that_was_added_backdated_with_a_ledger_line_is_named(corrected):
    first, second = corrected.moments()
    between = f"'{second}'::timestamptz - interval '1 microsecond'"
    corrected.sql(
        f"INSERT INTO history.subscriptions SELECT source, as_of, user_id, {between}, {COLUMNS} FROM history.subscriptions"
        f" WHERE user_id = '{corrected.user}' AND recorded_at = '{first}'",
        f"UPDATE history.subscriptions SET monthly_fee = 5 WHERE recorded_at = {between}",
        f"INSERT INTO history.extracts SELECT source, as_of, table_name, {between}, rows, 'x', added, changed, retracted,"
        f" columns FROM history.extracts WHERE table_name = 'subscriptions' AND recorded_at = '{second}'",
    )
    corrected.make_ledger_consistent()
    said = [
        f"{NAME}: a version that the receipt in git (commit {corrected.head}) does not have was put before version 2 of 2"
    ]
    assert doctor_says() == fsck_says() == said


def test_a_ledger_that_lacks_a_version_or_has_another_digest_is_named(corrected):
    first, _ = corrected.moments()
    where = f"WHERE table_name = 'subscriptions' AND recorded_at = '{first}'"
    corrected.sql(f"UPDATE history.extracts SET content_sha256 = 'x' {where}")
    said = f"{NAME}, version 1 of 2: the rows have another digest than history.extracts recorded"
    assert [each.removesuffix(REPLACED.format(corrected.user)) for each in doctor_says()] == [said]
    corrected.sql(f"DELETE FROM history.extracts {where}")
    (unlisted,) = doctor_says()
    assert unlisted.endswith("of which history.extracts has no version")


def test_a_receipt_that_was_edited_is_named(corrected):
    edit(corrected.path / RECEIPT, lambda text: text.replace('"chain_sha256": "', '"chain_sha256": "0', 1))
    (said,) = doctor_says()
    assert said.startswith("the receipt in the working tree contradicts itself: the chain of labels")
    (corrected.path / RECEIPT).write_text("not JSON")
    with pytest.raises(
        HistoryError, match=r"the receipt in the working tree, artifacts/ingest/2024-01-31.json, is damaged"
    ):
        doctor.history()


def test_a_changed_last_version_is_said_once_by_its_rows(corrected):
    corrected.sql(f"UPDATE history.subscriptions SET monthly_fee = 1"
                  f" WHERE user_id = '{corrected.user}' AND recorded_at = '{corrected.moments()[1]}'")  # fmt: skip
    assert doctor_says() == [f"{NAME} was changed after it was frozen: 1 row changed in monthly_fee ({corrected.user})"]
    (said,) = fsck_says()
    assert said.startswith(f"{NAME}, version 2 of 2: the rows have another digest than the receipt in git")


def test_honest_work_is_not_complained_about(project):
    project.repro()
    assert doctor_says() == fsck_says() == []  # nothing is committed yet
    project.commit()
    original = project.file.read_text()
    project.correct("77.7")
    assert doctor_says() == fsck_says() == []  # the correction is not committed yet
    project.commit()
    project.file.write_text(original)
    project.repro()  # taken back
    assert doctor_says() == fsck_says() == []
    for table in TABLES:
        edit(project.file.with_name(f"{table.name}.csv"), lambda text: "\n".join(text.splitlines()[:-1]) + "\n")
    project.repro()  # the last user is retracted
    assert doctor_says() == fsck_says() == []
    project.commit()
    assert doctor_says() == fsck_says() == []


def test_a_database_with_one_version_that_is_wiped_and_filled_again_has_the_same_receipt(project):
    project.repro()
    receipt = (project.path / RECEIPT).read_bytes()
    project.commit()
    project.wipe()
    assert doctor_says() == [f"history.{table.name} of {JANUARY} has no rows" for table in TABLES]
    project.repro()
    assert (project.path / RECEIPT).read_bytes() == receipt
    assert doctor_says() == fsck_says() == []


def test_lost_corrections_of_a_wiped_database_are_told_and_repro_records_it(corrected):
    corrected.wipe()
    receipt = (corrected.path / RECEIPT).read_bytes()
    corrected.repro()
    after = (corrected.path / RECEIPT).read_bytes()
    (corrected.path / RECEIPT).write_bytes(receipt)  # filled again from another clone
    (problem,) = doctor.history().problems
    assert problem.what == (
        f"{NAME} has 1 version, the receipt in git (commit {corrected.head}) has 2: the history of its corrections was lost"
    )
    assert problem.fix == "restore the database from its backup, or `streamflow repro` records it"
    corrected.repro()
    assert (corrected.path / RECEIPT).read_bytes() == after != receipt
    assert doctor_says() == fsck_says() == []
    corrected.commit()
    assert doctor_says() == fsck_says() == []


def test_the_receipt_of_another_source_or_without_versions_is_no_complaint(corrected):
    edit(corrected.path / RECEIPT, lambda text: text.replace('"source": "csv"', '"source": "postgres"'))
    corrected.commit()
    assert doctor_says() == []


def test_without_a_database_fsck_says_so(project, monkeypatch, tmp_path):
    monkeypatch.delenv("STREAMFLOW_DATABASE_URL")
    monkeypatch.setenv("STREAMFLOW_STATE_DIR", str(tmp_path / "var"))
    assert (fsck.history().note, fsck.history().ok) == ("no database here", True)


def frozen():
    return {path.name: path.read_bytes() for path in (snapshot.SNAPSHOTS / JANUARY).glob("*")}


@pytest.fixture
def known_first(corrected):
    """The corrected project, configured to freeze the first version again; `first` is what it must be."""
    corrected.first_moment = corrected.moments()[0]
    corrected.configure(corrected.first_moment)
    corrected.last = frozen()
    return corrected


def test_the_first_version_is_frozen_as_it_was_known(known_first):
    known_first.repro()
    assert frozen() != known_first.last
    assert doctor_says() == []


def test_an_edited_superseded_row_is_never_frozen(known_first):
    known_first.sql(f"UPDATE history.subscriptions SET monthly_fee = 1"
                    f" WHERE user_id = '{known_first.user}' AND recorded_at = '{known_first.first_moment}'")  # fmt: skip
    with pytest.raises(HistoryError) as refused:
        known_first.repro()
    assert f"{NAME}, version 1 of 2: the rows have another digest than was recorded (" in str(refused.value)
    assert REPLACED.format(known_first.user) in str(refused.value)
    assert "; restore the rows" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert frozen() == known_first.last
    assert not list(snapshot.SNAPSHOTS.glob(".*"))


def test_a_rewritten_version_is_not_frozen_under_the_receipt_that_git_holds(known_first):
    known_first.sql(f"UPDATE history.subscriptions SET monthly_fee = 1"
                    f" WHERE user_id = '{known_first.user}' AND recorded_at = '{known_first.first_moment}'")  # fmt: skip
    known_first.make_ledger_consistent()
    with warehouse(known_first.url, "csv") as store, pytest.raises(HistoryError) as refused:
        snapshot.run(read_all_params(), JANUARY, store)
    assert f"{NAME}, version 1 of 2: the rows and their record have another digest than the receipt" in str(
        refused.value
    )
    assert frozen() == known_first.last


def test_a_frozen_version_that_was_edited_afterwards_is_said_once(known_first):
    known_first.repro()
    known_first.commit()
    known_first.sql(f"UPDATE history.subscriptions SET monthly_fee = 1"
                    f" WHERE user_id = '{known_first.user}' AND recorded_at = '{known_first.first_moment}'")  # fmt: skip
    assert doctor_says() == [
        f"{NAME} was changed after it was frozen: 1 row changed in monthly_fee ({known_first.user})"
    ]
