"""What serving believes: signed moves and signed versions, not the registry's word."""

import json

import pytest
from counters import counters
from registered_models import model_folder, register
from verdicts import say_verdict

from serve.reloading import SECOND_LOOK_SECONDS, CurrentModel
from streamflow.core.errors import RegistryError
from streamflow.promotion.ledger import move
from streamflow.registry.served import RegistrySource
from streamflow.trust import keys
from streamflow.trust.chain import Chain
from streamflow.trust.trusted import public_pem, trusted_keys_of

pytestmark = pytest.mark.filterwarnings("default")


class Clock:
    """A time that is set by hand."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def versions(registry, rows, tmp_path):
    """A function that registers and signs a version of its own; returns its number."""

    def made(name, strength=1.0):
        folder, digest = model_folder(tmp_path / name, rows, strength)
        return str(register(registry, folder, digest, f"{tmp_path} {name}").version)

    return made


@pytest.fixture
def promote(registry, module_database_url):
    def moved(version, why="a test"):
        move(module_database_url, registry, "promote", registry.load(registry.version(version)), why)

    return moved


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def served(registry, module_database_url, tmp_path, clock):
    """A function that starts to serve Production, as a replica does."""

    def start(name="metrics"):
        source = RegistrySource(lambda: registry, "Production", "churn_v1")
        current = CurrentModel(source, counters(tmp_path / name), clock)
        current.refresh()
        return current

    return start


def test_an_alias_that_was_moved_by_other_means_is_not_followed(registry, versions, promote, served):
    good, outside = versions("good"), versions("outside", 0.2)
    promote(good)
    registry.promote(outside)  # as MLflow's pages do
    current = served()
    refused = current.refused
    assert (current.get().version, refused.version) == (good, outside)
    assert f"version {outside} is Production by other means than streamflow" in refused.reason
    assert "`streamflow promote --adopt` checks and signs it, or `streamflow rollback`" in refused.reason
    current.refresh()
    assert current.refused == refused  # since when it is refused stays
    promote(outside)
    current.refresh()
    assert (current.get().version, current.refused) == (outside, None)


def test_a_version_says_who_signed_for_it_and_for_which_commit(registry, versions, promote, served):
    good = versions("good")
    promote(good)
    commit = registry.version(good).tags["streamflow.git_commit"]
    registry.set_tags(good, {"git_commit": "0" * 40, "as_of": "1999-01-31"})
    registry.set_tags(good, {"git_commit": commit})  # the tag leads to the notes; the date is only the tag's
    loaded = served().get()
    assert (loaded.git_commit, loaded.as_of) == (commit, "2024-01-31")
    assert loaded.claim.signed.signer.startswith("this machine (")


def test_a_version_without_a_signature_is_not_loaded_and_the_one_moved_to_before_is(
    registry, versions, promote, served, state
):
    good, forged = versions("good"), versions("forged", 0.2)
    promote(good)
    promote(forged)
    strip(registry, forged)
    current = served()
    assert current.get().version == good
    assert current.refused.version == forged
    assert f"version {forged} is not accepted: nobody signed it" in current.refused.reason


def test_bytes_that_were_exchanged_with_their_tags_are_not_loaded(registry, versions, promote, served, state, rows):
    """A coherent forgery: model, golden rows, schema and tags agree with each other, and nobody signed for them."""
    good = versions("good")
    promote(good)
    folder, digest = model_folder(state / "forged", rows, 0.01)
    found = registry.version(good)
    (stored,) = state.rglob(f"models/{found.source.removeprefix('models:/')}/artifacts")
    for name in ("model.onnx", "feature_schema.json", "golden.json"):
        (stored / name).write_bytes((folder / name).read_bytes())
    registry.set_tags(good, {"model_sha256": digest})
    current = served()
    assert current._model is None or current.get().version != good
    assert f"model.onnx has SHA-256 {digest[:12]}, this machine (" in current.refused.reason


@pytest.mark.parametrize("number", ["as the wanted one", "as its own"])
def test_a_kept_copy_of_another_signed_version_is_not_served_while_the_registry_is_down(
    registry, versions, promote, served, state, tmp_path, clock, number
):
    """Git knows where Production moved; a version that was signed and never moved to is not Production."""
    good, other = versions("good"), versions("other", 0.2)
    promote(good)
    served()
    kept, files = state / "serve/verified/Production-churn_v1", registry.files(registry.version(other))
    for name, content in files.contents.items():
        (kept / name).write_bytes(content)
    facts = json.loads((kept / "version.json").read_text())
    facts |= {"tags": files.tags, "envelopes": files.envelopes, "version": other if number == "as its own" else good}
    (kept / "version.json").write_text(json.dumps(facts))

    def down():
        raise RegistryError("the registry does not answer")

    current = CurrentModel(RegistrySource(down, "Production", "churn_v1"), counters(tmp_path / "down"), clock)
    current.refresh()
    why = "no signed move of Production led to" if number == "as its own" else "the signed move of Production is to"
    with pytest.raises(RegistryError, match=why):
        current.get()


def test_production_that_no_signed_move_made_is_served_only_with_a_warning(tmp_path, rows, monkeypatch, clock):
    class Unmoved:
        """A registry whose alias somebody set."""

        def version(self, name):
            return type("Version", (), {"version": "1", "tags": {}})

        def moves(self):
            return Chain()

    source = RegistrySource(Unmoved, "Production", "churn_v1")
    with pytest.raises(RegistryError, match=r"no signed move made version 1 Production; `streamflow promote --adopt`"):
        source.wanted()
    monkeypatch.setenv("STREAMFLOW_TRUST", "warn")
    assert source.wanted().version == "1"
    monkeypatch.setenv("STREAMFLOW_TRUST", "off")
    with pytest.raises(Exception, match=r"STREAMFLOW_TRUST='off' is neither enforce nor warn"):
        source.wanted()


def test_a_key_that_is_revoked_while_its_version_is_served_is_told_and_the_version_goes_on(
    versions, promote, served, clock, monkeypatch
):
    good = versions("good")
    promote(good)
    current = served()
    assert current.refused is None
    own = public_pem(keys.machine_signer().public_key)
    monkeypatch.setattr("streamflow.trust.check.trusted_keys", lambda: trusted_keys_of({}, {"stolen": own}))
    current.refresh()
    assert current.refused is None  # it is looked at every half minute
    clock.now += SECOND_LOOK_SECONDS
    current.refresh()
    assert current.get().version == good
    assert current.refused.version == good
    assert "its key stolen (" in current.refused.reason
    assert "is revoked" in current.refused.reason


def test_a_verdict_that_refutes_the_served_version_is_told(registry, versions, promote, served, clock):
    good = versions("good")
    promote(good)
    current = served()
    commit = registry.version(good).tags["streamflow.git_commit"]
    say_verdict(commit, "diverged", model="0" * 64)
    clock.now += SECOND_LOOK_SECONDS
    current.refresh()
    assert (current.get().version, current.refused.version) == (good, good)
    assert "is refuted: this machine (" in current.refused.reason
    fresh = served("again")
    assert fresh._model is None or fresh.get().version != good  # it is not loaded any more


def strip(registry, version):
    """Take every signature of a version away: from its run, and from git."""
    import subprocess

    found = registry.version(version)
    registry.attach(found, "attestations.jsonl", "")
    commit = found.tags["streamflow.git_commit"]
    subprocess.run(["git", "notes", "--ref=refs/notes/streamflow", "remove", commit], check=True, capture_output=True)
    assert json.dumps(registry.envelopes(found)) == "[]"
