"""The zip: the same files give the same bytes, and a hostile archive is refused before anything comes of it."""

import io
import stat
import zipfile
from contextlib import suppress
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZipFile, ZipInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamflow.core.errors import ConfigError, ModelError
from streamflow.operations.evidence import archive
from streamflow.operations.evidence.archive import pack, read_archive, unpack

FILES = {"b/two.txt": b"2", "a.txt": b"1", "artifacts/sha256/snapshot@2024-01-31.json": b"{}"}


def zipped(*entries, method=ZIP_DEFLATED):
    place = io.BytesIO()
    with ZipFile(place, "w", method) as made:
        for name, content in entries:
            made.writestr(name, content)
    return place.getvalue()


def refusal(content):
    with pytest.raises(ModelError) as error:
        unpack(content)
    return str(error.value)


def test_the_same_files_in_any_order_give_the_same_bytes_and_come_back():
    made = pack(FILES)
    assert made == pack(dict(reversed(FILES.items())))
    assert unpack(made) == FILES
    with ZipFile(io.BytesIO(made)) as found:
        assert [entry.filename for entry in found.infolist()] == sorted(FILES)
        assert {entry.date_time for entry in found.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.compress_type for entry in found.infolist()} == {zipfile.ZIP_STORED}


def test_an_archive_that_somebody_zipped_again_is_read_too():
    assert unpack(zipped(("keys/", b""), *FILES.items())) == FILES


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a\\b", "C:x", "./a", "a//b", "a\nb", "ä", "a b"])
def test_a_name_that_may_lead_outside_is_refused(name):
    assert "which may lead outside of it" in refusal(zipped((name, b"x")))


def test_a_name_that_zipfile_would_cut_is_refused():
    content = zipped(("aXb", b"x")).replace(b"aXb", b"a\0b")
    assert "which may lead outside of it" in refusal(content)


def test_a_symbolic_link_is_refused():
    link = ZipInfo("model/model.onnx")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    assert refusal(zipped((link, b"/etc/passwd"))) == "model/model.onnx in the archive is no plain file"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused():
    assert "the archive has a.txt twice" in refusal(zipped(("a.txt", b"1"), ("a.txt", b"2")))


def test_too_many_files_and_other_compressions_are_refused():
    assert "at most 2000 are read" in refusal(zipped(*((f"f{n}", b"") for n in range(2001))))
    assert "compressed by other means" in refusal(zipped(("a", b"x"), method=ZIP_LZMA))


def test_a_bomb_is_refused_at_the_limit_though_its_header_lies(monkeypatch):
    monkeypatch.setattr(archive, "LARGEST_ARCHIVE", 1 << 20)
    bomb = zipped(("bomb", b"\0" * (8 << 20)))
    assert len(bomb) < 20_000
    assert "the files of the archive are larger than 1 MB, at bomb" in refusal(bomb)
    lie = bomb.replace((8 << 20).to_bytes(4, "little"), (9).to_bytes(4, "little"))
    assert lie != bomb
    assert "can be read" in refusal(lie)
    assert "the archive is larger than 1 MB" in refusal(b"x" * ((1 << 20) + 1))
    several = zipped(*((f"f{n}", b"\0" * (300 << 10)) for n in range(4)))
    assert "larger than 1 MB, at f3" in refusal(several)


@pytest.mark.parametrize("content", [b"", b"not a zip", pack(FILES)[:-30], pack(FILES)[40:]])
def test_what_is_no_zip_is_refused(content):
    assert refusal(content).startswith("it is no archive that can be read (")


def test_a_damaged_file_is_refused():
    made = pack({"a.txt": b"good content"})
    assert "it is no archive that can be read (Bad CRC-32" in refusal(made.replace(b"good content", b"evil content"))


@settings(max_examples=150)
@given(st.data())
def test_whatever_bytes_were_changed_it_is_read_or_refused_and_nothing_else_happens(data):
    made = bytearray(zipped(*FILES.items()))
    for place in data.draw(st.lists(st.integers(0, len(made) - 1), min_size=1, max_size=4)):
        made[place] = data.draw(st.integers(0, 255))
    with suppress(ModelError):
        assert all(".." not in name and not name.startswith("/") for name in unpack(bytes(made)))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.zip can't be read: No such file"):
        read_archive(tmp_path / "none.zip")
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        read_archive(tmp_path)
    (tmp_path / "some.zip").write_bytes(pack(FILES))
    assert read_archive(tmp_path / "some.zip") == FILES
