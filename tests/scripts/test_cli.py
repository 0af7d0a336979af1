"""The command ``purify``: it dispatches, explains itself, and loads nothing to do so."""

import json
import subprocess
import sys

import pytest

from scripts import cli
from simulator import __version__

HEAVY = ("numpy", "numba", "scipy", "matplotlib", "tqdm", "theory.claim")
LOADED = """
import contextlib, io, json, sys
from scripts import cli
for line in sys.argv[1:]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            code = cli.main(line.split())
        except SystemExit as leaving:
            code = leaving.code
    loaded = [name for name in {heavy} if name in sys.modules]
    print(json.dumps([line, code, bool(said.getvalue()), loaded]))
"""
ASKED = ["--help", "--version", *(f"{command} --help" for command in cli.COMMANDS)]


@pytest.fixture(scope="module")
def told():
    """(exit code, whether it spoke, what heavy was loaded by then) of each line, in one process."""
    process = subprocess.run([sys.executable, "-c", LOADED.format(heavy=HEAVY), *ASKED],
                             capture_output=True, text=True)
    assert process.stderr == ""
    return {line: found for line, *found in map(json.loads, process.stdout.splitlines())}


@pytest.mark.parametrize("line", ASKED)
def test_help_loads_nothing_that_computes_or_draws(told, line):
    assert told[line] == [0, True, []]


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_is_free_of_markup_and_narrow(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = cli.command(command).format_help()
    assert "`" not in text and ":mod:" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith(f"usage: purify {command}")


def test_without_a_command_it_says_what_there_is(capsys):
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in cli.COMMANDS)


def test_the_version_is_printed(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"purify {__version__}\n"


def test_a_command_gets_the_rest(capsys):
    assert cli.main(["info", "--format", "json"]) == 0
    assert capsys.readouterr().out.startswith("{")


@pytest.mark.parametrize("arguments, message", [
    (["simulat"], "simulat: expected a command; did you mean simulate?"),
    (["--verbose"], "--verbose: expected a command"),
    (["simulate", "--nonsense"], "purify simulate: error: unrecognized arguments: --nonsense"),
    (["plot"], "purify plot: error: the following arguments are required: RUN")], ids=str)
def test_what_is_mistyped_is_one_line_with_exit_code_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("words", [
    ["simulate", "--preset", "smoke"], ["sweep", "--preset", "smoke", "--grid", "tau=0.1,0.2"],
    ["verify", "--preset", "smoke", "--claims", "A2"], ["benchmark", "--quick"]],
    ids=lambda words: words[0])
def test_a_name_for_out_that_is_too_long_is_one_line(words, tmp_path, capsys):
    assert cli.main([*words, "--out", str(tmp_path / ("a" * 300))]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"purify {words[0]}: error: ") and error.count("\n") == 1
    assert "File name too long" in error and not list(tmp_path.iterdir())
