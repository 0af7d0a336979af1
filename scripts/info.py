"""``purify info``: what the bits of a run depend on besides its settings, and what lies where."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from scripts.command import guarded, show
from scripts.options import Parser, add_format_option

__all__ = ["facts", "main", "parser"]

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the environment."""
    return guarded("purify info", lambda: _info(parser().parse_args(argv)), own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify info", description=__doc__)
    add_format_option(built, "the facts")
    return built


def _info(arguments: argparse.Namespace) -> int:
    found = facts()
    if arguments.format == "json":
        from simulator.runs.files import json_text
        show(json_text(found))
    else:
        width = max(map(len, found)) + 2
        show("\n".join(f"{name:<{width}}{_words(value)}" for name, value in found.items()))
    return 0


def facts() -> dict[str, Any]:
    """Return the environment, the threads a run may take, and where caches lie."""
    import numba

    from simulator.runs.environment import environment
    given = {name: os.environ[name] for name in THREADS if os.environ.get(name)}
    return environment(numba.get_num_threads()) | {
        "thread variables": [f"{name}={value}" for name, value in given.items()],
        "kernel cache": _kernel_cache(), "figure cache": _figure_cache()}


def _kernel_cache() -> str:
    """The folder of the compiled kernels of the networks; those of others lie like it."""
    from simulator.networks import sparse_passes
    places = {str(kernel.stats.cache_path) for kernel in vars(sparse_passes).values()
              if getattr(getattr(kernel, "stats", None), "cache_path", None)}
    return ", ".join(sorted(places)) or "none: every process compiles its own"


def _figure_cache() -> str:
    from theory.drawing.style import cache_folder
    return cache_folder()


def _words(value: Any) -> str:
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)


if __name__ == "__main__":
    sys.exit(main())
