"""Options shared by the commands: how preset, file and flags become one config."""

import argparse
import os
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from simulator.experiments import PAPERS, Paper, paper, preset, preset_names

if TYPE_CHECKING:
    from simulator.runs.config import Config

__all__ = ["Parser", "add_config_options", "add_force_option", "add_format_option",
           "add_out_option", "add_paper_option", "add_selection_options", "add_workers_option",
           "chosen_radii", "chosen_samples", "flat", "given_paper", "merged", "plain", "read_file",
           "require_free", "require_memory", "require_word", "settings_of"]

SAMPLES = 20  # of a stored run that has certified none


class _Formatter(argparse.HelpFormatter):
    """Help in paragraphs, as they were written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(textwrap.fill(" ".join(part.split()), width, initial_indent=indent,
                                         subsequent_indent=indent, break_on_hyphens=False,
                                         break_long_words=False)
                           for part in text.strip().split("\n\n"))


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and whose help has no markup in it."""

    def __init__(self, *, description: str | None = None, **options: Any) -> None:
        text = re.sub(r"\A\s*purify[^:\n]*:\s*", "", plain(description or ""))  # the usage says it
        super().__init__(description=text[:1].upper() + text[1:],
                         **{"formatter_class": _Formatter, **options})

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        line = " ".join(message.split())
        self.exit(2, f"{self.prog}: error: {line} (see {self.prog} --help)\n")


def plain(text: str) -> str:
    """Take the marks of reStructuredText out of a docstring."""
    return re.sub(r"(?::\w+:)?`{1,2}~?([^`]*)`{1,2}", r"\1", text)


def add_paper_option(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--paper``, which ``--model`` is another word for."""
    parser.add_argument("--paper", "--model", metavar="NAME", dest="paper",
                        help=f"{', '.join(entry.name for entry in PAPERS)}, or a short name of "
                        f"one: {', '.join(map(_short, PAPERS))} (default: {default})")


def _short(entry: Paper) -> str:
    return (*entry.aliases, entry.model)[0]


def given_paper(arguments: argparse.Namespace) -> Paper | None:
    """Return the paper that was named on the command line, or None.

    Raises
    ------
    ValueError
        There is no such paper.
    """
    if arguments.paper is None:
        return None
    require_word("--paper", arguments.paper)
    return paper(arguments.paper)


def add_config_options(parser: argparse.ArgumentParser, default_preset: str = "desk") -> None:
    """Add the options that choose the settings of a run."""
    add_paper_option(parser, PAPERS[0].name)
    parser.add_argument("--preset", metavar="NAME",
                        help=f"{', '.join(preset_names())} (default: {default_preset}); every "
                        "paper has smoke and desk, purify settings lists all")
    parser.add_argument("--config", metavar="FILE", type=Path,
                        help="settings in TOML, where --preset is stronger than a preset in "
                        "the file, or the config.json of a run, which leaves none to a preset")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[],
                        help="one setting, as listed by purify settings; numbers may be "
                        "expressions, as in m=20*d")
    parser.add_argument("--seed", metavar="N", help="seed of every random stream")
    parser.add_argument("--dtype", metavar="TYPE", help="float64 or float32")
    parser.add_argument("--threads", metavar="N", help="BLAS and Numba threads")
    parser.set_defaults(default_preset=default_preset)


def add_out_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--out``, the folder for runs."""
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs"),
                        help="folder that holds the run folders (default: runs)")


def add_format_option(parser: argparse.ArgumentParser, content: str) -> None:
    """Add ``--format``; ``content`` is what json prints."""
    parser.add_argument("--format", choices=("text", "json"), default="text",
                        help=f"json prints {content} alone on stdout")


def add_force_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--force``; see :func:`require_free`."""
    parser.add_argument("--force", action="store_true", help="write over files that are there")


def require_free(paths: Iterable[Path], force: bool, read: Iterable[Path] = ()) -> None:
    """Raise ValueError where a file is there that would be written over, unless it may be.

    A file that is ``read`` may not be, by whatever name, nor may two contents go into one file;
    and no file can be where a folder is.
    """
    sources = {mark for path in read for mark in _marks(path)}
    places: set[object] = set()
    for path in paths:
        marks = _marks(path)
        if marks & sources:
            raise ValueError(f"{path}: expected another file than those that are read, got one of "
                             "them: it would be lost")
        if marks & places:
            raise ValueError(f"{path}: expected a file for each output, got one for two of them")
        if path.is_dir():
            raise ValueError(f"{path}: expected a file, got a folder")
        if not force and path.exists():
            raise ValueError(f"{path}: expected a new file, got one that is there: choose another "
                             "--out, or add --force to write over it")
        places |= marks


def _marks(path: Path) -> set[object]:
    """By what a file is known: its place behind all links and, where it is there, its number."""
    marks: set[object] = {os.path.normcase(os.path.realpath(path))}
    try:
        status = os.stat(path)
    except OSError:
        return marks
    return marks | {(status.st_dev, status.st_ino)}


def chosen_radii(given: Iterable[float]) -> list[float]:
    """Return the radii of ``--radius`` in ascending order, each once, or raise ValueError."""
    from simulator.checks import require_radii, require_real
    return require_radii("--radius", sorted({require_real("--radius", radius, low=0.0)
                                             for radius in given}))


def add_selection_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--phase``, ``--radius`` and ``--samples``: what of a stored run is looked at."""
    parser.add_argument("--phase", metavar="NAME", nargs="+", action="extend",
                        help="networks, such as clean and adversarial (default: all)")
    parser.add_argument("--radius", metavar="R", type=float, nargs="+", action="extend",
                        help="radii (default: that of the run's own adversarial training)")
    parser.add_argument("--samples", metavar="N", type=int,
                        help="the first N test samples (default: those that the run certified, or "
                        f"{SAMPLES})")


def chosen_samples(given: int | None, certified: int, available: int) -> int:
    """Return how many of a run's test samples are looked at, or raise ValueError."""
    from simulator.checks import require_int
    if given is None:
        return min(certified or SAMPLES, available)
    return require_int("--samples", given, low=1, high=available,
                       why=f"the run has {available} test samples")


def add_workers_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--workers``, the number of runs at once."""
    parser.add_argument("--workers", metavar="N", type=int,
                        help="runs at once; 1 does them in this process (default: one a core, "
                        "fewer where memory is short)")


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings: preset, then file, then --set, then the flags of their own.

    Raises
    ------
    ValueError
        An unknown preset, a file that cannot be read, or a setting without "=".
    """
    return merged(arguments, flat(arguments.config, read_file(arguments.config)))


def merged(arguments: argparse.Namespace, stored: dict[str, Any]) -> dict[str, Any]:
    """Return the settings where the file holds ``stored``; see :func:`settings_of`."""
    base = stored.pop("preset", None)
    if base is not None and not isinstance(base, str):
        raise ValueError(f"{arguments.config}: preset: expected a name, got {base!r}")
    chosen = _paper_of(arguments, stored)
    whole = _is_whole(stored, chosen)
    if arguments.preset is not None:
        require_word("--preset", arguments.preset)
        if whole:
            raise ValueError(f"--preset {arguments.preset}: expected no preset beside "
                             f"{arguments.config}, which has every setting of a run: leave one of "
                             "them out, and change single settings by --set")
    name = next(entry for entry in (arguments.preset, base, arguments.default_preset)
                if entry is not None)
    settings = dict(stored) if whole else preset(name, chosen.name) | stored
    for text in arguments.set:
        key, equals, value = text.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise ValueError(f"--set {text}: expected KEY=VALUE")
        settings[key.strip()] = value.strip()
    for flag in ("seed", "dtype", "threads"):
        if getattr(arguments, flag) is not None:
            settings[flag] = getattr(arguments, flag)
    return settings


def _is_whole(stored: dict[str, Any], entry: Paper) -> bool:
    """Whether a file has every setting of a run: of a run of before, all that there were.

    What it lacks is then what such a run did, and not what a preset of today says.
    """
    from simulator.experiments import config_class
    kind = config_class({"model": entry.model})
    return set(kind.types()) - set(kind.LATER) <= set(stored)


def _paper_of(arguments: argparse.Namespace, stored: dict[str, Any]) -> Paper:
    """Return the paper of flag and file, which must not name two."""
    given = given_paper(arguments)
    words = [str(word) for word in (stored.pop("paper", None), stored.pop("model", None))
             if word is not None]
    for word in words:
        try:
            if given is not None and paper(word) != given:
                raise ValueError(f"expected a run of {given.name}, got one of "
                                 f"{paper(word).name}")
            given = paper(word)
        except ValueError as error:
            raise ValueError(f"{arguments.config}: {error}") from None
    return given or PAPERS[0]


def require_word(flag: str, text: str) -> None:
    """Refuse what an empty shell variable leaves."""
    if not text.strip():
        raise ValueError(f"{flag}: expected a name, got {text!r}: leave the flag out for the "
                         "default")


def read_file(path: Path | None) -> dict[str, Any]:
    """Return the content of a TOML or JSON file, {} where there is none to read.

    Raises
    ------
    ValueError
        It cannot be read, or is something else.
    """
    if path is None:
        return {}
    from simulator.runs.files import read_settings
    return read_settings(path)


def require_memory(configs: "Iterable[Config]") -> None:
    """Raise ValueError if a run of one of these settings does not fit into memory."""
    from simulator.experiments import experiment_module
    from simulator.runs.machine import physical_memory
    most = physical_memory()
    for config in configs:
        need = experiment_module(config.MODEL).cost(config).memory
        if need > most:
            sizes = ", ".join(f"{name}={value}" for name, value in config.to_dict().items()
                              if name in ("d", "m"))
            raise ValueError(f"{sizes}: expected a run that fits into memory, got one of "
                             f"{need / 2**30:.3g} GiB: this machine has {most / 2**30:.3g} GiB")


def flat(path: Path | None, content: dict[str, Any]) -> dict[str, Any]:
    """Return ``content`` if it holds numbers and words alone, or raise ValueError."""
    for key, value in content.items():
        if isinstance(value, (dict, list)):
            raise ValueError(f"{path}: {key}: expected a number or a word, got "
                             f"{'a table' if isinstance(value, dict) else 'a list'}")
    return content
