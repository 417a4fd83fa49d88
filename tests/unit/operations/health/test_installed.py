"""Installed files against what their packages came with."""

import base64
import hashlib

from streamflow.operations.health import installed


def recorded(path, content):
    path.write_bytes(content)
    return path, base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def test_altered_missing_and_foreign_files_are_named(tmp_path, monkeypatch):
    files = [recorded(tmp_path / name, name.encode()) for name in ("good.py", "edited.py", "gone.py")]
    (tmp_path / "edited.py").write_bytes(b"other")
    (tmp_path / "gone.py").unlink()
    for name in ("sitecustomize.py", "stranger.pth", "notes.txt"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(installed, "recorded_files", lambda: iter(files))
    monkeypatch.setattr(installed.sysconfig, "get_path", lambda name: str(tmp_path))
    count, altered = installed.altered_files()
    assert count == 3
    assert [path.name for path in altered] == ["edited.py", "gone.py", "sitecustomize.py", "stranger.pth"]


def test_every_package_of_this_environment_records_its_files():
    names = {path.name for path, _ in installed.recorded_files()}
    assert len(names) > 1000
    assert "threadpoolctl.py" in names
