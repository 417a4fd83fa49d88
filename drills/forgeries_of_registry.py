"""Forgeries by the owner of database, MLflow and artifact store, who has no key and not the repository of the clone.

Each is coherent: model, golden rows, schema, tags and the run's record agree with each other.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from verdicts import say_verdict

from drills.forged import Owner, about, content_of, is_provenance, signed_by, with_content
from streamflow.core.schema import MODEL_NAME
from streamflow.provenance.record import DIVERGED, PREFIX
from streamflow.registry.registry import PRODUCTION


@dataclass(frozen=True)
class Forgery:
    """One change of the registry, who is asked after it, and by which words each must refuse it (empty: none is needed).

    `served` is what a replica starts with, `promoted` what a person asks for; `honest` are the versions that may go on
    being served, as they were signed; `command` is asked instead of promote.
    """

    name: str
    apply: Callable[[Owner], object]
    serve: str | None = None
    doctor: str | None = None
    promote: str | None = None
    served: str = PRODUCTION
    promoted: str = "2"
    command: tuple[str, ...] = ()
    honest: tuple[str, ...] = ("1", "2")
    real_server: bool = False
    registry_down: bool = False


def exchange(*names: str) -> Callable[[Owner], object]:
    """Files of the inverted model in the place of Production's."""
    return lambda owner: owner.put("2", owner.inverted, names)


def inverted_in_place(owner: Owner) -> None:
    """The inverted model instead of Production's."""
    owner.put("2", owner.inverted)


def inverted_as_new(owner: Owner) -> None:
    """The inverted model as version 4 with the tags of version 2: verdict, decision, commit; the alias moved."""
    owner.register(owner.inverted, "2")
    owner.alias("4")


def vouched_by(change: Callable[[Owner, str], list[str]]) -> Callable[[Owner], object]:
    """The inverted model in place, and an envelope that vouches for it, for a commit that has no notes."""

    def apply(owner: Owner) -> None:
        genuine = next(line for line in owner.envelopes("2") if is_provenance(line))
        inverted_in_place(owner)
        owner.registry.set_tags("2", {"git_commit": unknown_to_notes(owner)})
        owner.set_envelopes("2", change(owner, genuine))

    return apply


def unknown_to_notes(owner: Owner) -> str:
    """A commit of the repository that nobody signed for: the parent of version 1's."""
    import subprocess

    named = subprocess.run(["git", "rev-parse", f"{owner.commit('1')}^"], capture_output=True, text=True, check=True)
    return named.stdout.strip()


def edited(owner: Owner, genuine: str) -> list[str]:
    """The genuine envelope with other digests."""
    return [with_content(genuine, about(content_of(genuine), owner.inverted))]


def by_own_key(owner: Owner, genuine: str) -> list[str]:
    """The same statement signed by the attacker's key."""
    return [signed_by(owner.key, about(content_of(genuine), owner.inverted))]


def by_own_key_under_another_id(owner: Owner, genuine: str) -> list[str]:
    """Signed by the attacker's key, under the id of this machine's."""
    keyid = json.loads(genuine)["signatures"][0]["keyid"]
    return [signed_by(owner.key, about(content_of(genuine), owner.inverted), keyid)]


def by_revoked_key(owner: Owner, genuine: str) -> list[str]:
    """Signed by a key that the project has revoked."""
    return [signed_by(owner.stolen, about(content_of(genuine), owner.inverted))]


def by_trusted_key(owner: Owner, genuine: str) -> list[str]:
    """A key that counts signed it: a colleague's, who was careless. Only the commit's receipt speaks against it."""
    from streamflow.trust.keys import machine_signer

    statement = about(content_of(genuine), owner.inverted, owner.commit("2"))
    return [signed_by(machine_signer(), statement)]


def by_key_in_the_run(owner: Owner, genuine: str) -> list[str]:
    """Signed by the attacker's key, whose public half lies in the run."""
    from streamflow.trust.trusted import public_pem

    owner.registry.attach(owner.registry.version("2"), "keys/attacker.pem", public_pem(owner.key.public_key).decode())
    return by_own_key(owner, genuine)


def envelopes_of_first(owner: Owner) -> None:
    """The inverted model in place, with the tags and envelopes that lead to version 1's commit."""
    inverted_in_place(owner)
    owner.registry.set_tags("2", {"git_commit": owner.commit("1")})
    owner.set_envelopes("2", owner.envelopes("1"))


def first_as_second(owner: Owner) -> None:
    """Files, tags, run, envelopes of version 1 as version 2: all of them are signed, and it was derived again."""
    say_verdict(owner.commit("1"))
    become(owner, "2", "1")


def first_as_third(owner: Owner) -> None:
    """The same as version 3, which a person may promote; its scores are better than Production's by every word."""
    say_verdict(owner.commit("1"))
    become(owner, "3", "1")
    owner.sql("UPDATE mlflow.latest_metrics SET value = 0.99 WHERE run_uuid = %s", owner.registry.version("1").run_id)
    owner.sql("UPDATE mlflow.metrics SET value = 0.99 WHERE run_uuid = %s", owner.registry.version("1").run_id)


def third_as_first(owner: Owner) -> None:
    """Version 3, which was never Production, as version 1: a rollback leads there."""
    say_verdict(owner.commit("3"))
    become(owner, "1", "3")


def become(owner: Owner, version: str, other: str) -> None:
    """Let a version be another one: files, tags, run."""
    run_id, source, place = owner.sql(
        "SELECT run_id, source, storage_location FROM mlflow.model_versions WHERE version = %s", int(other)
    )[0]
    owner.sql(
        "UPDATE mlflow.model_versions SET run_id = %s, source = %s, storage_location = %s WHERE version = %s",
        run_id, source, place, int(version),
    )  # fmt: skip
    owner.sql("DELETE FROM mlflow.model_version_tags WHERE version = %s", int(version))
    owner.sql(
        "INSERT INTO mlflow.model_version_tags (workspace, name, version, key, value)"
        " SELECT workspace, name, %s, key, value FROM mlflow.model_version_tags WHERE version = %s",
        int(version), int(other),
    )  # fmt: skip


def numbers_exchanged(owner: Owner) -> None:
    """Version 1 is called 2, and 2 is called 1."""
    say_verdict(owner.commit("1"))
    for before, after in ((1, 101), (2, 1), (101, 2)):
        for table in ("model_versions", "model_version_tags"):
            owner.sql(f"UPDATE mlflow.{table} SET version = %s WHERE version = %s", after, before)


def storage_exchanged(owner: Owner) -> None:
    """Versions 1 and 2 name each other's files."""
    places = owner.sql("SELECT source, storage_location FROM mlflow.model_versions ORDER BY version LIMIT 2")
    for version, (source, place) in zip((2, 1), places, strict=True):
        owner.sql(
            "UPDATE mlflow.model_versions SET source = %s, storage_location = %s WHERE version = %s",
            source, place, version,
        )  # fmt: skip


def lower_threshold(owner: Owner) -> None:
    """The same model that calls everybody a churner; its golden rows agree."""
    rewrite(owner, "feature_schema.json", lambda schema: schema.update(threshold=0.001))
    rewrite(owner, "golden.json", lambda golden: [row.update(prediction=1) for row in golden["rows"]])


def only_threshold(owner: Owner) -> None:
    """A threshold that differs in a late digit."""
    rewrite(owner, "feature_schema.json", lambda schema: schema.update(threshold=schema["threshold"] - 1e-9))


def other_service(owner: Owner) -> None:
    """Schema and tag name another feature service."""
    rewrite(owner, "feature_schema.json", lambda schema: schema.update(feature_service="churn_v2"))
    owner.registry.set_tags("2", {"feature_service": "churn_v2"})


def rewrite(owner: Owner, name: str, change: Callable[[dict], object]) -> None:
    """Change a JSON file of version 2, and what MLflow keeps of its digest."""
    path = owner.folder("2") / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    owner.agree("2")


def fewer_golden_rows(owner: Owner) -> None:
    """Golden rows without the last."""
    rewrite(owner, "golden.json", lambda golden: golden["rows"].pop())


def other_commit(owner: Owner) -> None:
    """Version 3 names version 2's commit, which was derived again."""
    owner.registry.set_tags("3", {"git_commit": owner.commit("2"), "rerun_verdict": "identical"})


def move_without_envelope(owner: Owner) -> None:
    """A move to version 1 that nobody signed."""
    owner.add_move("1", None)
    owner.alias("1")


def move_by_own_key(owner: Owner) -> None:
    """A third move, to version 1, chained to the second, signed by the attacker."""
    last = owner.moves()[-1]
    owner.add_move("1", signed_by(owner.key, moved_to_first(owner.moves()[0], last)))
    owner.alias("1")


def moved_to_first(first: str, last: str) -> dict:
    """The statement of a move from version 2 to version 1 that follows another."""
    from streamflow.core.digest import bytes_sha256
    from streamflow.trust.envelope import canonical

    statement = content_of(first)
    statement["predicate"]["streamflow_move"] |= {
        "number": 3, "previous": {"sha256": bytes_sha256(canonical(content_of(last)))},
        "from_version": "2", "to_version": "1",
    }  # fmt: skip
    return statement


def newest_move_deleted(owner: Owner) -> None:
    """The move to version 2 is gone, and the alias is where it was before."""
    owner.sql("DELETE FROM ledger.production WHERE number = (SELECT max(number) FROM ledger.production)")
    owner.alias("1")


def ledger_rewritten(owner: Owner) -> None:
    """All rows again, with other versions, and each with the envelope of another move."""
    first, second = owner.moves()
    owner.sql("DELETE FROM ledger.production")
    owner.add_move("2", second)
    owner.add_move("1", first)
    owner.alias("1")


def ledger_without_signatures(owner: Owner) -> None:
    """A ledger as it was before signatures, with other versions."""
    owner.sql("DELETE FROM ledger.production")
    owner.add_move("2", None)
    owner.add_move("1", None)
    owner.alias("1")


def first_move_again(owner: Owner) -> None:
    """The signed move to version 1 as the newest row."""
    owner.add_move("1", owner.moves()[0])
    owner.alias("1")


def alias_in_tables(owner: Owner) -> None:
    """The alias, without MLflow."""
    owner.sql("UPDATE mlflow.registered_model_aliases SET version = 1 WHERE alias = 'Production'")


def ledger_edited(owner: Owner) -> None:
    """The trigger's function does nothing, then the triggers are dropped and the newest row is changed."""
    owner.sql(
        "CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$"
    )
    owner.sql("DROP TRIGGER append_only ON ledger.production")
    owner.sql("UPDATE ledger.production SET to_version = '1', envelope = NULL WHERE to_version = '2'")
    owner.alias("1")


def verdict_of_another(owner: Owner) -> None:
    """Version 3, which nobody derived again, gets the verdicts on version 2."""
    owner.set_envelopes("3", [*owner.envelopes("3"), *owner.envelopes("2")])
    owner.registry.set_tags("3", {"rerun_verdict": "identical"})


def verdict_by_own_key(owner: Owner) -> None:
    """A verdict on version 3, which the attacker signs."""
    verdict = next(line for line in owner.envelopes("2") if not is_provenance(line))
    mine = content_of(next(line for line in owner.envelopes("3") if is_provenance(line)))
    statement = content_of(verdict) | {"subject": mine["subject"]}
    statement["predicate"]["streamflow_rerun"]["commit"] = {"gitCommit": owner.commit("3")}
    owner.set_envelopes("3", [*owner.envelopes("3"), signed_by(owner.key, statement)])


def diverged_removed(owner: Owner) -> None:
    """This machine found that version 3 diverges; the run and the tags don't say so."""
    say_verdict(owner.commit("3"), DIVERGED, model="0" * 64)
    owner.registry.set_tags("3", {"rerun_verdict": "identical"})


def run_deleted(owner: Owner) -> None:
    """The run of Production, and all that it kept."""
    run_id = str(owner.registry.version("2").run_id)
    owner.client.delete_run(run_id)
    for folder in Path("var/mlartifacts").rglob(run_id):
        shutil.rmtree(folder)


def version_deleted(owner: Owner) -> None:
    """Production is gone from the registry."""
    owner.client.delete_model_version(MODEL_NAME, "2")


def tags_deleted(owner: Owner) -> None:
    """Production without tags."""
    owner.sql("DELETE FROM mlflow.model_version_tags WHERE version = 2")


def kept_copy(owner: Owner, files: Path, tags: dict[str, str], envelopes: list[str]) -> None:
    """Another model as this machine's copy of version 2."""
    folder = Path("var/serve/verified/Production-churn_v1")
    facts = json.loads((folder / "version.json").read_text())
    for name in facts["files"]:
        (folder / name).write_bytes((files / name).read_bytes())
    (folder / "version.json").write_text(json.dumps({**facts, "tags": tags, "envelopes": envelopes}))


def kept_copy_inverted(owner: Owner) -> None:
    """The inverted model as this machine's copy, its digest in the tags."""
    from streamflow.core.digest import bytes_sha256

    digest = bytes_sha256((owner.inverted / "model.onnx").read_bytes())
    kept_copy(owner, owner.inverted, owner.tags("2") | {f"{PREFIX}model_sha256": digest}, owner.envelopes("2"))


def kept_copy_of_first(owner: Owner) -> None:
    """The signed files of version 1 under the number of version 2."""
    kept_copy(owner, owner.folder("1"), owner.tags("1"), owner.envelopes("1"))


def kept_copy_of_third(owner: Owner) -> None:
    """The signed files of version 3, which was never Production, under its own number."""
    kept_copy(owner, owner.folder("3"), owner.tags("3"), owner.envelopes("3"))
    path = Path("var/serve/verified/Production-churn_v1/version.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": "3"}))


NOT_FOLLOWED = "version 1 is Production by other means than streamflow"
OTHER_BYTES = "model.onnx has SHA-256"
MOVED_TO = "the signed move"
MOVED_BEFORE = "moved before: version 2 holds model"

OF_REGISTRY = (
    Forgery("an inverted model in Production's place, tags corrected", inverted_in_place, OTHER_BYTES, OTHER_BYTES,
            f"files: {MODEL_NAME} version 2 is not accepted: {OTHER_BYTES}", real_server=True),
    Forgery("the same as a new version with all tags, alias moved", inverted_as_new,
            "version 4 is Production by other means", "version 4 is Production by other means",
            f"files: {MODEL_NAME} version 4 is not accepted: {OTHER_BYTES}", promoted="4", real_server=True),
    Forgery("that new version is served by its number", inverted_as_new, f"version 4 is not accepted: {OTHER_BYTES}",
            served="4"),
    Forgery("envelopes of version 1 in version 2's run", envelopes_of_first, OTHER_BYTES, OTHER_BYTES, OTHER_BYTES),
    Forgery("an envelope with its payload edited", vouched_by(edited), "does not match the content",
            "does not match the content", "does not match the content"),
    Forgery("signed by the attacker's key", vouched_by(by_own_key), "is unknown", "is unknown", "is unknown"),
    Forgery("signed by the attacker's key under the machine's key id", vouched_by(by_own_key_under_another_id),
            "does not match the content", "does not match the content", "does not match the content"),
    Forgery("the attacker's public key in the run", vouched_by(by_key_in_the_run), "is unknown", "is unknown", "is unknown"),
    Forgery("signed by a revoked key", vouched_by(by_revoked_key), "is revoked", "is revoked", "is revoked"),
    Forgery("version 2 is version 1 in everything", first_as_second, MOVED_TO, MOVED_TO, MOVED_BEFORE),
    Forgery("version 3 is version 1 in everything, with better scores", first_as_third, None, None,
            "champion: average_precision", promoted="3"),
    Forgery("numbers of versions 1 and 2 exchanged", numbers_exchanged, MOVED_TO, MOVED_TO, MOVED_BEFORE),
    Forgery("version 1, where a rollback leads, is version 3", third_as_first, None, None, MOVED_TO,
            command=("rollback",)),
    Forgery("a trusted key signed for bytes that the commit did not make", vouched_by(by_trusted_key),
            "names another model.onnx", "names another model.onnx", "names another model.onnx"),
    Forgery("storage of versions 1 and 2 exchanged", storage_exchanged, OTHER_BYTES, OTHER_BYTES, OTHER_BYTES),
    Forgery("golden rows exchanged", fewer_golden_rows, "golden.json has SHA-256", "golden.json has SHA-256",
            "golden.json has SHA-256"),
    Forgery("a threshold that calls everybody a churner", lower_threshold, "feature_schema.json has SHA-256",
            "feature_schema.json has SHA-256", "feature_schema.json has SHA-256"),
    Forgery("the threshold alone, a little lower", only_threshold, "feature_schema.json has SHA-256",
            "feature_schema.json has SHA-256", "feature_schema.json has SHA-256"),
    Forgery("another feature service", other_service, "takes the features of churn_v2", "feature_schema.json has SHA-256",
            "feature_schema.json has SHA-256"),
    Forgery("version 3 names the commit of version 2", other_commit, None, None, "derived again: nobody derived it again",
            promoted="3"),
    Forgery("a move in the ledger without an envelope", move_without_envelope, NOT_FOLLOWED, "nobody signed it",
            honest=("2",)),
    Forgery("a move in the ledger signed by the attacker", move_by_own_key, NOT_FOLLOWED, "is unknown", honest=("2",)),
    Forgery("the newest move deleted", newest_move_deleted, NOT_FOLLOWED, "the ledger lacks move 2", honest=("2",)),
    Forgery("the ledger written again in another order", ledger_rewritten, NOT_FOLLOWED, NOT_FOLLOWED, honest=("2",)),
    Forgery("the ledger written again without signatures", ledger_without_signatures, NOT_FOLLOWED, NOT_FOLLOWED,
            honest=("2",)),
    Forgery("a signed old move played again", first_move_again, NOT_FOLLOWED, NOT_FOLLOWED, honest=("2",)),
    Forgery("the alias moved in MLflow's tables", alias_in_tables, NOT_FOLLOWED, NOT_FOLLOWED, honest=("2",)),
    Forgery("triggers dropped, the ledger edited", ledger_edited, NOT_FOLLOWED, "no longer refuses changes", honest=("2",)),
    Forgery("the verdict of another version copied", verdict_of_another, None, None,
            "derived again: nobody derived it again", promoted="3"),
    Forgery("a verdict signed by the attacker", verdict_by_own_key, None, None,
            "derived again: nobody derived it again", promoted="3"),
    Forgery("the verdict `diverged` removed from the run", diverged_removed, "is refuted", None, "it diverged", served="3",
            promoted="3", honest=()),
    Forgery("Production's run deleted", run_deleted, "", None, "files: ", honest=("2",)),
    Forgery("Production's version deleted", version_deleted, "", "has no version or alias 2", "has no version"),
    Forgery("Production's tags deleted", tags_deleted, "", "registered was None", "files: "),
    Forgery("the kept copy is an inverted model, the registry down", kept_copy_inverted, "can't answer",
            registry_down=True),
    Forgery("the kept copy is version 1 called version 2, the registry down", kept_copy_of_first, "can't answer",
            registry_down=True),
    Forgery("the kept copy is version 3, the registry down", kept_copy_of_third, "can't answer", registry_down=True),
)  # fmt: skip
