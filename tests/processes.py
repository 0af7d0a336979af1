"""Commands and scripts in processes of their own, where the process is what is tested.

``python -m processes simulate ...`` is ``purify simulate ...`` with brief attacks, which are most
of a small run; so are its workers' attacks. Elsewhere ``main(flags)`` of a command is called in
the process of the tests: a start costs a second or two.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import simulator
from scripts import cli

from small import shorten_attacks

ROOT = Path(simulator.__file__).parents[1]


def environment(**variables):
    """What a process needs to find this project and what its tests share."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    return os.environ | {"PYTHONPATH": paths} | variables


def start(*flags, variables={}, **options):
    """Begin a ``purify`` command with brief attacks; give its process, whose errors are piped."""
    return subprocess.Popen([sys.executable, "-m", "processes", *flags], text=True,
                            stderr=subprocess.PIPE, env=environment(**variables), **options)


def run_script(*words, **options):
    """Run Python with these words to its end; give what it said and returned."""
    return subprocess.run([sys.executable, *words], text=True, capture_output=True,
                          env=environment(), **options)


if __name__ == "__main__":
    shorten_attacks(SimpleNamespace(setattr=setattr))
    sys.exit(cli.main())
