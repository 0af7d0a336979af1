"""Options shared by the commands: how preset, file and flags become one config."""

import argparse
from pathlib import Path
from typing import Any, NoReturn

from simulator.experiments import PAPERS, paper, preset, preset_names

__all__ = ["Parser", "add_config_options", "flat", "merged", "read_file", "require_memory",
           "settings_of"]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def add_config_options(parser: argparse.ArgumentParser, default_preset: str = "desk") -> None:
    """Add the options that choose the settings of a run."""
    parser.add_argument("--paper", "--model", metavar="NAME", dest="model",
                        help=f"{', '.join(entry.name for entry in PAPERS)} (default: "
                             f"{PAPERS[0].name})")
    parser.add_argument("--preset", metavar="NAME",
                        help=f"{', '.join(preset_names())} (default: "
                             f"{default_preset}); every paper has smoke and desk")
    parser.add_argument("--config", metavar="FILE", type=Path,
                        help="settings in TOML, or the config.json of a run")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[],
                        help="one setting; numbers may be expressions, as in m=20*d")
    parser.add_argument("--seed", metavar="N", help="seed of every random stream")
    parser.add_argument("--dtype", metavar="TYPE", help="float64 or float32")
    parser.add_argument("--threads", metavar="N", help="BLAS and Numba threads")
    parser.set_defaults(default_preset=default_preset)


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
    name = arguments.preset or base or arguments.default_preset
    model = stored.pop("model", None)
    chosen = paper((model or PAPERS[0].name) if arguments.model is None else arguments.model)
    if model and chosen.model != model:
        raise ValueError(f"{arguments.config}: expected a run of model {chosen.model}, got one "
                         f"of {model}")
    settings = preset(name, chosen.name) | stored
    for text in arguments.set:
        key, equals, value = text.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise ValueError(f"--set {text}: expected KEY=VALUE")
        settings[key.strip()] = value.strip()
    for flag in ("seed", "dtype", "threads"):
        if getattr(arguments, flag) is not None:
            settings[flag] = getattr(arguments, flag)
    return settings


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


def require_memory(config: Any) -> None:
    """Raise ValueError if a run of these settings does not fit into memory."""
    from simulator.experiments import experiment_module
    from simulator.runs.machine import physical_memory
    need = experiment_module(config.MODEL).cost(config).memory
    if need > physical_memory():
        sizes = ", ".join(f"{name}={value}" for name, value in config.to_dict().items()
                          if name in ("d", "m"))
        raise ValueError(f"{sizes}: expected a run that fits into memory, got one of "
                         f"{need / 2**30:.3g} GiB: this machine has "
                         f"{physical_memory() / 2**30:.3g} GiB")


def flat(path: Path | None, content: dict[str, Any]) -> dict[str, Any]:
    """Return ``content`` if it holds numbers and words alone, or raise ValueError."""
    for key, value in content.items():
        if isinstance(value, (dict, list)):
            raise ValueError(f"{path}: {key}: expected a number or a word, got "
                             f"{'a table' if isinstance(value, dict) else 'a list'}")
    return content
