"""``purify completion``: what the shells are told."""

import subprocess
import sys

import pytest

from scripts import cli, completion
from simulator.experiments import PAPERS


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_script_knows_every_command_option_and_name(shell, capsys):
    assert completion.main([shell]) == 0
    script = capsys.readouterr().out
    for word in (*cli.COMMANDS, "--claims-from", "--version", "lottery",
                 *(entry.name for entry in PAPERS)):
        assert word in script


def test_bash_completes_a_paper(tmp_path, capsys):
    assert completion.main(["bash"]) == 0
    script = tmp_path / "purify.bash"
    script.write_text(capsys.readouterr().out + """
COMP_WORDS=(purify simulate --paper wi); COMP_CWORD=3
_shtab_purify purify wi --paper; echo "${COMPREPLY[@]}"
""")
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True)
    assert done.stdout == "winning_tickets\n"


def test_without_shtab_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert completion.main(["zsh"]) == 2
    error = capsys.readouterr().err
    assert "pip install 'feature-purification[completion]'" in error and error.count("\n") == 1


def test_an_unknown_shell_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        completion.main(["fish"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
