"""DVC's cache, believed only after its bytes were hashed."""

import hashlib

import pytest

from streamflow.core.errors import ModelError
from streamflow.pipeline.dvc_hash import content_of
from streamflow.provenance.cache import Cache


@pytest.fixture
def kept(tmp_path):
    """A cache with one folder of two files and one file; MD5 of each, and the files' SHA-256."""
    out = tmp_path / "out"
    (out / "b").mkdir(parents=True)
    (out / "a.txt").write_bytes(b"first")
    (out / "b" / "c.txt").write_bytes(b"second")
    content = content_of(out)
    cache = Cache(tmp_path / "cache")
    cache.put(out, content)
    cache.put(out / "a.txt", content_of(out / "a.txt"))
    return cache, content, {f"out/{name}": digest for name, digest in content.files_sha256.items()}


def damage(path):
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    path.chmod(0o444)


def test_what_was_put_comes_out_again(kept, tmp_path):
    cache, content, sha256 = kept
    assert cache.faults("out", content.md5, sha256) == []
    assert list(cache.damaged()) == []
    assert len(list(cache.folder.glob("??/*"))) == 3
    assert all(path.stat().st_mode & 0o777 == 0o444 for path in cache.folder.glob("??/*"))
    cache.restore(tmp_path / "again", content.md5, sha256, "out")
    assert content_of(tmp_path / "again") == content
    assert cache.listing(content.md5) == dict(content.files_md5)


@pytest.mark.parametrize("victim", ["file", "manifest"])
def test_a_damaged_object_is_named_and_nothing_of_it_is_used(kept, tmp_path, victim):
    cache, content, sha256 = kept
    md5 = content.md5 if victim == "manifest" else content.files_md5["b/c.txt"]
    damage(cache.object(md5))
    assert [path for path, _ in cache.damaged()] == [cache.object(md5)]
    (fault,) = cache.faults("out", content.md5, sha256)
    assert (fault.path, fault.missing) == (cache.object(md5), False)
    with pytest.raises(ModelError, match=f"{cache.object(md5)}.* is damaged; `streamflow fsck --repair`"):
        cache.restore(tmp_path / "again", content.md5, sha256, "out")
    assert not (tmp_path / "again").exists()


def test_a_missing_object_is_named(kept, tmp_path):
    cache, content, sha256 = kept
    cache.object(content.files_md5["a.txt"]).unlink()
    (fault,) = cache.faults("out", content.md5, sha256)
    assert (fault.file, fault.missing) == ("out/a.txt", True)
    with pytest.raises(ModelError, match="out is incomplete"):
        cache.restore(tmp_path / "again", content.md5, sha256, "out")


def test_bytes_of_the_right_md5_and_another_sha256_are_not_used(kept, tmp_path):
    cache, content, sha256 = kept
    other = {**sha256, "out/a.txt": hashlib.sha256(b"what the stage wrote").hexdigest()}
    assert [fault.file for fault in cache.faults("out", content.md5, other)] == ["out/a.txt"]
    with pytest.raises(ModelError, match="is damaged"):
        cache.restore(tmp_path / "again", content.md5, other, "out")
