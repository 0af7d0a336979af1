"""``purify completion``: a script by which bash or zsh complete commands, options and names.

For bash: purify completion bash > ~/.local/share/bash-completion/completions/purify

For zsh: purify completion zsh > a file _purify in a folder of $fpath. It is made by shtab, which
comes with pip install 'feature-purification[completion]'.
"""

import argparse
import sys
from collections.abc import Sequence

from scripts.cli import COMMANDS, command
from scripts.command import OK, guarded, show
from scripts.options import Parser

__all__ = ["main", "parser", "tree"]

SHELLS = ("bash", "zsh")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the script; return the exit code."""
    return guarded("purify completion", lambda: _completion(parser().parse_args(argv)),
                   own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify completion", description=__doc__)
    built.add_argument("shell", metavar="SHELL", choices=SHELLS, help=" or ".join(SHELLS))
    return built


def _completion(arguments: argparse.Namespace) -> int:
    from simulator.errors import RunError
    try:
        import shtab
    except ModuleNotFoundError:
        raise RunError("expected shtab, which is not installed: pip install "
                       "'feature-purification[completion]'") from None
    built = tree()
    for action in _actions(built):  # what can be completed besides words
        if action.metavar in ("DIR", "RUN", "CERTIFICATES"):
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    show(shtab.complete(built, arguments.shell))
    return OK


def tree() -> Parser:
    """Return one parser with all commands in it, and the names that options take."""
    from simulator.experiments import PAPERS, presets
    built = Parser(prog="purify")
    built.add_argument("--version", action="store_true", help="print the version")
    commands = built.add_subparsers(metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, parents=[command(name)], add_help=False)
    for action in _actions(built):
        if action.dest == "paper":
            action.choices = [entry.name for entry in PAPERS]
        elif action.dest == "preset":
            action.choices = list(dict.fromkeys(sum(presets().values(), [])))
    return built


def _actions(built: argparse.ArgumentParser) -> list[argparse.Action]:
    """All options and arguments of a parser and of the commands in it."""
    found = []
    for action in built._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            found += [inner for sub in action.choices.values() for inner in _actions(sub)]
    return found


if __name__ == "__main__":
    sys.exit(main())
