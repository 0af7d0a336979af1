"""``purify settings``: every setting of a run, with its type, its meaning and its presets' value.

Any of them goes behind --set, into a --config file, or into the grid of a sweep. A value may be
an expression in other settings: it moves with them.
"""

import argparse
import inspect
import itertools
import re
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.command import OK, guarded, show
from scripts.options import Parser, add_format_option, add_paper_option, given_paper, plain
from simulator.experiments import PAPERS, Paper, config_class, preset, preset_names

if TYPE_CHECKING:
    from simulator.runs.config import Config

__all__ = ["Setting", "main", "parser", "settings_of_paper"]

KINDS = {int: "integer", float: "number", str: "word"}
WIDTH = 100
# an entry of a numpydoc section: names, type, indented text
ENTRY = re.compile(r"^(\w[\w, ]*?) *: *(.*)\n((?:(?:[ ]+.*)?(?:\n|\Z))*)", re.MULTILINE)


class Setting(NamedTuple):
    """One setting of a paper's runs.

    Attributes
    ----------
    name, kind, meaning : str
    presets : dict
        Its value in each preset, before expressions are evaluated.
    """

    name: str
    kind: str
    meaning: str
    presets: dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """List the settings; return the exit code."""
    return guarded("purify settings", lambda: _settings(parser().parse_args(argv)),
                   own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify settings", description=__doc__)
    add_paper_option(built, "all of them")
    add_format_option(built, "the settings")
    return built


def _settings(arguments: argparse.Namespace) -> int:
    named = given_paper(arguments)
    papers = PAPERS if named is None else (named,)
    found = {entry: settings_of_paper(entry) for entry in papers}
    if arguments.format == "json":
        from simulator.runs.files import json_text
        show(json_text({entry.name: {setting.name: {
            "type": setting.kind, "meaning": setting.meaning, "presets": setting.presets}
            for setting in settings} for entry, settings in found.items()}))
    else:
        show("\n\n\n".join(_text(entry, settings) for entry, settings in found.items()))
    return OK


def settings_of_paper(entry: Paper) -> list[Setting]:
    """Return the settings of a paper's runs in documented order."""
    kind = config_class({"model": entry.model})
    said = _documented(kind)
    values = {name: dict(kind.LATER) | preset(name, entry.name)
              for name in preset_names(entry.name)}
    return [Setting(name, _kind(kind, name, said[name][0]), said[name][1],
                    {which: value[name] for which, value in values.items()})
            for name in kind.types()]


def _documented(kind: "type[Config]") -> dict[str, tuple[str, str]]:
    """Type and meaning of each setting, from the docstrings of a config and of its bases.

    A setting without an entry of its own is explained where another's entry speaks of it.
    """
    found: dict[str, tuple[str, str]] = {}
    for base in reversed(kind.__mro__):
        _, _, text = inspect.cleandoc(base.__doc__ or "").partition("Attributes\n----------\n")
        for names, of, body in ENTRY.findall(re.split(r"\n\n\w+\n-+\n", text)[0]):
            for name in map(str.strip, names.split(",")):
                found[name] = (of, " ".join(body.split()) or found.get(name, ("", ""))[1])
    for name in kind.types():
        of, body = found.get(name, ("", ""))
        found[name] = of, body or next((other for _, other in found.values()
                                        if re.search(rf"\b{name}\b", other)), "")
    return {name: (of, plain(body)) for name, (of, body) in found.items()}


def _kind(kind: "type[Config]", name: str, documented: str) -> str:
    """The allowed words of a setting, or what kind of value it takes."""
    of = kind.types()[name]
    words = kind.CHOICES.get(name) or re.findall(r'"([^"]+)"', documented)
    return " or ".join(words) if of is str and words else KINDS[of]


def _text(entry: Paper, settings: list[Setting]) -> str:
    """The settings in groups that one sentence explains."""
    lines = [f"{entry.name}: {entry.authors}, arXiv {entry.arxiv}"]
    for meaning, group in itertools.groupby(settings, lambda setting: setting.meaning):
        lines += ["", *textwrap.wrap(meaning, WIDTH, break_on_hyphens=False)]
        for setting in group:
            lines += textwrap.wrap(f"{setting.name:<18} {setting.kind}; {_values(setting)}", WIDTH,
                                   initial_indent="    ", subsequent_indent=" " * 23)
    return "\n".join(lines)


def _values(setting: Setting) -> str:
    """The value in each preset, those that agree together."""
    together: dict[str, list[str]] = {}
    for name, value in setting.presets.items():
        together.setdefault(str(value), []).append(name)
    if len(together) == 1:
        return next(iter(together))
    return ", ".join(f"{value} ({', '.join(names)})" for value, names in together.items())


if __name__ == "__main__":
    sys.exit(main())
