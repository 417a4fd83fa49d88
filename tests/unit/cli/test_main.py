"""The command line as a whole: version, exit codes, `--json`, examples, and mistakes in one line."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib

import click
import pytest
from click.testing import CliRunner
from project import ROOT

from streamflow.cli import doctor, main
from streamflow.cli.endings import damage_in_one_line
from streamflow.cli.json_output import lines_on_stderr, say_json
from streamflow.cli.main import cli
from streamflow.pipeline.reporting import say
from streamflow.provenance.problems import Check, Problem

SAY_NO = ("doctor", "fsck", "rerun", "verify", "check-skew", "drift", "history", "promote", "tune", "erase", "source")
WITH_JSON = (
    *("repro", "tag", "promote", "rollback", "history", "models", "batch", "tune", "rerun", "lineage", "diff"),
    *("doctor", "fsck", "drift", "check-skew", "source"),
)


def commands(group=cli, path=()):
    """Every command that does something, by its words."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.chdir(ROOT)


def run(*arguments):
    return CliRunner().invoke(cli, arguments)


def test_the_version_is_the_project_s():
    done = run("--version")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (done.exit_code, done.stdout) == (0, f"streamflow {version}\n")


def test_help_tells_the_exit_codes_and_names_every_command_that_may_say_no():
    told = run("--help").stdout
    assert [int(code) for code in re.findall(r"^ +(\d+)  +\S", told, re.MULTILINE)] == [0, 1, 2, 130]
    (named,) = re.findall(r"a verdict that says no: ([a-z,\s-]+?)\n +2 ", told)
    assert tuple(re.split(r",\s+", named)) == SAY_NO
    assert max(map(len, told.splitlines())) <= 120
    assert set(SAY_NO) <= {path[0] for path in COMMANDS}


def test_each_command_that_gives_a_result_has_json():
    found = {path[0] for path, command in COMMANDS.items() if any("--json" in option.opts for option in command.params)}
    assert found == set(WITH_JSON)


@pytest.mark.parametrize("command", ["doctor", "fsck"])
@pytest.mark.parametrize(("problems", "code"), [((), 0), ((Problem("a is b", "`c`"),), 1)])
def test_a_verdict_that_says_no_is_exit_code_1(command, problems, code, monkeypatch):
    checks = [Check("first", "seen", problems)]
    monkeypatch.setattr("streamflow.operations.health.doctor.all_checks", lambda: checks)
    monkeypatch.setattr("streamflow.operations.health.fsck.integrity", lambda: checks)
    done = run(command, "--json")
    assert (done.exit_code, json.loads(done.stdout)["ok"]) == (code, not problems)
    assert run(command).exit_code == code


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("promot", "v1"), "streamflow: No such command 'promot'. Did you mean 'promote'?; `streamflow --help`"),
        (
            ("db", "strat"),
            "streamflow db: No such command 'strat'. Did you mean 'start'?; `streamflow db --help`",
        ),
        (
            ("promote", "v1", "--forse"),
            "streamflow promote: No such option '--forse'. Did you mean '--force'?; `streamflow promote --help`",
        ),
        (("rerun",), "streamflow rerun: Missing argument 'REF'; `streamflow rerun --help`"),
        (
            ("tag", "a", "x" * 200),
            f"streamflow tag: Got unexpected extra argument ({'x' * 79}…; `streamflow tag --help`",
        ),
        (
            ("tag", "a", "b\x1b[2J"),
            r"streamflow tag: Got unexpected extra argument (b\x1b[2J); `streamflow tag --help`",
        ),
    ],
)
def test_what_is_mistyped_is_one_line_with_what_was_meant(arguments, line):
    done = run(*arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"{line}\n")


def test_a_question_that_is_not_answered_with_yes_changes_nothing_and_is_exit_code_1(monkeypatch):
    @click.command()
    def ask():
        click.confirm("Really?", abort=True)

    monkeypatch.setitem(cli.commands, "ask", ask)
    done = CliRunner().invoke(cli, ["ask"], input="n\n")
    assert (done.exit_code, done.stderr) == (1, "streamflow: not confirmed, so nothing was done\n")


def test_ctrl_c_is_one_line_and_exit_code_130(capsys):
    with pytest.raises(SystemExit) as ended, damage_in_one_line("streamflow"):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == "streamflow: interrupted\n"


def test_json_is_all_that_is_on_stdout_whatever_a_process_of_the_command_prints():
    code = (
        "import subprocess, sys; from streamflow.cli.json_output import *; from streamflow.pipeline.reporting import say\n"
        "with lines_on_stderr(True): say('one'); subprocess.run([sys.executable, '-c', 'print(2)'])\n"
        "say_json({'a': 'ü'})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"a": "ü"}
    assert done.stderr.split() == ["one", "2"]


def test_without_json_the_lines_stay_on_stdout(capsys):
    with lines_on_stderr(False):
        say("one")
    say_json([])
    assert capsys.readouterr().out == "one\n[]\n"
    assert doctor.SAYS_NO == 1
    assert main.cli is cli


def examples_of(path):
    """The words of each call of a command that its own help shows, without `streamflow`."""
    told = run(*path, "--help").stdout
    for line in told.splitlines():
        for call in re.findall(rf"(?<=streamflow ){' '.join(path)}(?![\w-]).*", line if "Usage:" not in line else ""):
            # What follows two spaces is an explanation; then what a shell would take for its own.
            yield shlex.split(re.split(r"  +| \| | && |\)|`|…", call)[0].removesuffix('"' * (call.count('"') % 2)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_each_help_has_an_example_that_the_command_itself_accepts(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ids.txt").write_text("a")
    found = list(examples_of(path))
    assert found
    for words in found:
        command = COMMANDS[path]
        assert words[: len(path)] == list(path)
        with command.make_context(" ".join(path), words[len(path) :]) as context:
            assert context.args == []


def test_completion_as_the_readme_sets_it_up_knows_commands_and_options():
    (line,) = re.findall(r'`(eval "\$\(_STREAMFLOW_COMPLETE=[^`]+)`', (ROOT / "README.md").read_text())
    assert line == 'eval "$(_STREAMFLOW_COMPLETE=bash_source streamflow)"'
    for words, expected in (("streamflow prom", "promote"), ("streamflow promote --f", "--force")):
        done = subprocess.run(
            [sys.executable, "-c", "from streamflow.cli.main import cli; cli(prog_name='streamflow')"],
            cwd=ROOT,
            env={
                **os.environ,
                "_STREAMFLOW_COMPLETE": "bash_complete",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split()) - 1),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"plain,{expected}\n"
