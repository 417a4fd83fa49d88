"""An environment is proven by its signed record or not at all: whatever Python could load is compared with it."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from streamflow.trust import installed
from streamflow.trust.bytecode import bytecode_variables, share_bytecode
from streamflow.trust.envelope import canonical, sign
from streamflow.trust.installed import CHECKED, RECORD, RECORD_TYPE, content_differences, record
from streamflow.trust.keys import machine_signer
from streamflow.trust.trusted import public_pem, trusted_keys_of

LOCK = "scikit-learn==1.9.1 \\\n    --hash=sha256:aa\n"


def write(path, text="x = 1\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """A folder that looks like an environment: one package, a Python and its library."""
    base, made = tmp_path / "python", tmp_path / "environment"
    write(base / "lib/python3.11/os.py")
    write(base / "bin/python3.11", "the interpreter")
    write(base / "lib/libpython3.11.so.1.0", "the interpreter's library")
    write(base / "lib/python3.11/site-packages/not_mine.py")
    write(made / "pyvenv.cfg", f"home = {base / 'bin'}\nversion = 3.11.7\n")
    (made / "bin").mkdir()
    (made / "bin/python").symlink_to(base / "bin/python3.11")
    packages = made / "lib/python3.11/site-packages"
    write(packages / "sklearn/base.py")
    write(packages / "sklearn/tree.so", "machine code")
    write(packages / "distutils-precedence.pth")
    listing = "sklearn/base.py,sha256=aa,6\nsklearn/tree.so,sha256=bb,12\n"
    write(packages / "scikit_learn-1.9.1.dist-info/RECORD", listing)
    monkeypatch.setenv("STREAMFLOW_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("STREAMFLOW_SIGNING_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    record(made, LOCK)
    return made


PACKAGES, PYTHON = "lib/python3.11/site-packages", "../python"
EDITED = "sklearn/base.py of scikit-learn 1.9.1 was changed"


def put(name, text="x = 2\n"):
    """A change: write a file of the environment."""
    return lambda prefix: write(prefix / name, text)


def rerecorded(prefix):
    """Edit a file and correct the package's own list of digests."""
    content = write(prefix / PACKAGES / "sklearn/base.py", "x = 2\n").read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    listing = prefix / PACKAGES / "scikit_learn-1.9.1.dist-info/RECORD"
    listing.write_text(listing.read_text().replace("sha256=aa", f"sha256={digest}"))


def stamped_back(prefix):
    """Edit a file without a trace in its size and time of writing."""
    path = prefix / PACKAGES / "sklearn/base.py"
    before = path.stat()
    path.write_text("x = 2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def linked(prefix):
    """Put a link to the same bytes in a file's place."""
    path = prefix / PACKAGES / "sklearn/base.py"
    path.symlink_to(shutil.move(path, prefix.parent / "elsewhere.py"))


def removed(prefix):
    (prefix / PACKAGES / "sklearn/base.py").unlink()


def linked_folder(prefix):
    (prefix / PACKAGES / "cupy").symlink_to("/tmp")


def set_otherwise(prefix):
    with (prefix / "pyvenv.cfg").open("a") as file:
        file.write("include-system-site-packages = true\n")


FAULTS = {
    "an edited module": (put(f"{PACKAGES}/sklearn/base.py"), EDITED),
    "an edited module, RECORD corrected": (rerecorded, EDITED),
    "an edited module, its times put back": (stamped_back, EDITED),
    "a module replaced by a link": (linked, EDITED),
    "a removed module": (removed, "sklearn/base.py of scikit-learn 1.9.1 is missing"),
    "a changed library": (put(f"{PACKAGES}/sklearn/tree.so"), "sklearn/tree.so of scikit-learn 1.9.1 was changed"),
    "a .pth": (put(f"{PACKAGES}/zzz.pth"), "zzz.pth of no package was added"),
    "a sitecustomize": (put(f"{PACKAGES}/sitecustomize.py"), "sitecustomize.py of no package was added"),
    "a module without source": (put(f"{PACKAGES}/sklearn/extra.pyc"), "sklearn/extra.pyc of no package was added"),
    "a namespace folder": (put(f"{PACKAGES}/cupy/core.py"), "cupy/core.py of no package was added"),
    "a folder by a link": (linked_folder, "cupy of no package was added"),
    "a program": (put("bin/git"), "bin/git of no package was added"),
    "a compiled module of the kept ones": (put("bytecode/x.pyc"), "bytecode/x.pyc of no package was added"),
    "a setting": (set_otherwise, "pyvenv.cfg of no package was changed"),
    "the interpreter": (put(f"{PYTHON}/bin/python3.11"), "bin/python of no package was changed"),
    "the interpreter's library": (
        put(f"{PYTHON}/lib/libpython3.11.so.1.0"), "python:lib/libpython3.11.so.1.0 of no package was changed",
    ),
    "the standard library": (put(f"{PYTHON}/lib/python3.11/os.py"), "python:lib/python3.11/os.py of no package was changed"),
    "an archive before it": (put(f"{PYTHON}/lib/python311.zip"), "python:lib/python311.zip of no package was added"),
}  # fmt: skip


def test_an_untouched_environment_has_no_differences(prefix):
    assert content_differences(prefix, LOCK) == []


@pytest.mark.parametrize("checked_before", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_python_could_load_is_named_if_it_differs(prefix, fault, checked_before, monkeypatch):
    monkeypatch.setattr(installed, "_TICK_NS", 0)
    change, words = FAULTS[fault]
    if checked_before:
        assert content_differences(prefix, LOCK) == []
        assert (prefix / CHECKED).exists()
    time.sleep(0.02)
    change(prefix)
    for _ in range(2):
        assert words in content_differences(prefix, LOCK)


def test_no_file_is_read_again_if_none_was_touched(prefix, monkeypatch):
    monkeypatch.setattr(installed, "_TICK_NS", 0)
    assert content_differences(prefix, LOCK) == []
    monkeypatch.setattr(installed, "digests", lambda files: pytest.fail("read"))
    assert content_differences(prefix, LOCK) == []


def test_what_was_written_a_moment_ago_is_read_again(prefix):
    """A change after the comparison could have the same time stamp."""
    assert content_differences(prefix, LOCK) == []
    assert not (prefix / CHECKED).exists()


def test_compiled_modules_beside_the_sources_do_not_count(prefix):
    write(prefix / "lib/python3.11/site-packages/sklearn/__pycache__/base.cpython-311.pyc")
    assert content_differences(prefix, LOCK) == []


def test_only_the_first_files_are_named(prefix):
    for number in range(9):
        write(prefix / f"lib/python3.11/site-packages/m{number}.py")
    found = content_differences(prefix, LOCK)
    assert (len(found), found[0], found[-1]) == (6, "m0.py of no package was added", "and 4 more files")


def test_a_record_is_for_one_lock(prefix):
    other = LOCK.replace("sha256:aa", "sha256:ab")
    [words] = content_differences(prefix, other)
    assert "was made from another requirements.lock" in words


def test_an_environment_without_a_record_is_not_proven(prefix):
    (prefix / RECORD).unlink()
    [words] = content_differences(prefix, LOCK)
    assert words.endswith("has no record of its files, so `make install` did not make it")


def forged(prefix, monkeypatch, name, payload_type):
    """Rewrite a signed file so that it agrees with the edited environment: by hand, and with a key of one's own."""
    line = json.loads((prefix / name).read_text())
    content = json.loads(base64.b64decode(line["payload"]))
    yield content
    by_hand = {**line, "payload": base64.b64encode(canonical(content)).decode()}
    (prefix / name).write_text(json.dumps(by_hand))
    yield content
    with monkeypatch.context() as patch:
        patch.setenv("STREAMFLOW_STATE_DIR", str(prefix.parent / "somebody"))
        (prefix / name).write_text(sign(canonical(content), payload_type, machine_signer()))
    yield content


def test_a_record_that_somebody_without_the_key_rewrote_does_not_count(prefix, monkeypatch):
    path = write(prefix / "lib/python3.11/site-packages/sklearn/base.py", "x = 2\n")
    steps = forged(prefix, monkeypatch, RECORD, RECORD_TYPE)
    next(steps)["files"]["lib/python3.11/site-packages/sklearn/base.py"] = hashlib.sha256(path.read_bytes()).hexdigest()
    for reason in ("does not match the content", "is unknown"):
        next(steps)
        [words] = content_differences(prefix, LOCK)
        assert words.startswith("the record of the files of")
        assert reason in words


def test_a_comparison_that_somebody_without_the_key_rewrote_does_not_count(prefix, monkeypatch):
    monkeypatch.setattr(installed, "_TICK_NS", 0)
    content_differences(prefix, LOCK)
    steps = forged(prefix, monkeypatch, CHECKED, installed.CHECKED_TYPE)
    content = next(steps)
    write(prefix / "lib/python3.11/site-packages/sklearn/base.py", "x = 2\n")
    files = {**installed.python_files(prefix), RECORD: str(prefix / RECORD)}
    content["facts_sha256"] = installed.facts_sha256(files)[0]
    monkeypatch.setattr(installed, "_keep_checked", lambda *_: None)
    for _ in range(2):
        next(steps)
        assert content_differences(prefix, LOCK) == ["sklearn/base.py of scikit-learn 1.9.1 was changed"]


def test_a_planted_compiled_module_is_loaded_by_nobody_but_an_ordinary_python(tmp_path):
    """It has the time and size of its source, as Python wants it."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    packages = environment / "lib/python3.11/site-packages"
    project = tmp_path / "project"
    for source in (packages / "rate.py", project / "split.py"):
        write(source, "VALUE = 9\n")
        os.utime(source, (1e9, 1e9))
        command = [str(environment / "bin/python"), "-c", f"import py_compile; py_compile.compile({str(source)!r})"]
        subprocess.run(command, check=True, env={})
        write(source, "VALUE = 1\n")
        os.utime(source, (1e9, 1e9))

    def values(**variables):
        command = [str(environment / "bin/python"), "-c", "import rate, split; print(rate.VALUE, split.VALUE)"]
        return subprocess.check_output(command, cwd=project, text=True, env=variables).split()

    assert values() == ["9", "9"]
    assert values(**bytecode_variables(environment, tmp_path / "scratch")) == ["1", "1"]
    shutil.rmtree(packages / "__pycache__")
    compiler = [str(environment / "bin/python"), "-m", "compileall", "-q", str(packages)]
    subprocess.run(compiler, check=True, env={"PYTHONPYCACHEPREFIX": str(environment / "bytecode")})
    share_bytecode(environment)
    assert [path.name for path in (packages / "__pycache__").iterdir()] == ["rate.cpython-311.pyc"]
    variables = bytecode_variables(environment, tmp_path / "scratch")
    assert variables["PYTHONPYCACHEPREFIX"] == str(environment / "bytecode")
    assert values(**variables) == ["1", "1"]
    assert list((environment / "bytecode").rglob("split*")) == []


def test_a_comparison_with_a_record_whose_key_was_revoked_does_not_count(prefix, monkeypatch, tmp_path):
    """Though the key of the comparison still counts."""
    monkeypatch.setattr(installed, "_TICK_NS", 0)
    first = public_pem(machine_signer().public_key)
    monkeypatch.setenv("STREAMFLOW_STATE_DIR", str(tmp_path / "other"))
    second = public_pem(machine_signer().public_key)
    monkeypatch.setattr(installed, "trusted_keys", lambda: trusted_keys_of({"first": first, "second": second}, {}))
    assert content_differences(prefix, LOCK) == []
    assert (prefix / CHECKED).exists()
    monkeypatch.setattr(installed, "trusted_keys", lambda: trusted_keys_of({"second": second}, {"first": first}))
    [words] = content_differences(prefix, LOCK)
    assert "its key first (" in words
    assert words.endswith("is revoked")
