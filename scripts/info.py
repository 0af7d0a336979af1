"""``purify info``: what the bits of a run depend on besides its settings."""

import json
import os
import sys
from collections.abc import Sequence

from scripts.options import Parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the environment."""
    parser = Parser(prog="purify info", description=__doc__)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    arguments = parser.parse_args(argv)
    from simulator.runs.folder import environment
    facts = environment(os.cpu_count() or 1)
    if arguments.format == "json":
        print(json.dumps(facts, indent=2))
    else:
        for name, value in facts.items():
            text = ", ".join(value) if isinstance(value, list) else value
            print(f"{name:<10} {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
