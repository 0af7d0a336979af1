"""What the commands show while they compute, and how they are stopped."""

import logging
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from scripts.command import SIGNALS

if TYPE_CHECKING:
    from simulator.runs.config import Config
    from simulator.sweeps.local import Outcome

__all__ = ["Progress", "Stop", "shown"]

LOG = logging.getLogger("purify")
EVERY = 10.0  # seconds between lines where there is no bar


class Progress:
    """A bar on a terminal, a line every few seconds elsewhere; stops a run on Ctrl-C.

    The first SIGINT or SIGTERM stops the run where it can be resumed, with a checkpoint.
    """

    def __enter__(self) -> "Progress":
        from tqdm import tqdm
        self.bar = tqdm(unit="step", disable=not sys.stderr.isatty(), file=sys.stderr)
        self.shown = time.monotonic()
        self.stop = Stop().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()
        self.stop.__exit__(*error)

    def require_time(self) -> None:
        """Raise Stopped if a signal has come: what listens at heartbeats, where nothing is kept."""
        from simulator.errors import Stopped
        if self.stop():
            raise Stopped

    def __call__(self, step: int, total: int, what: str) -> None:
        self.require_time()
        self.bar.total = total
        self.bar.set_description(what, refresh=False)
        self.bar.update(step - self.bar.n)
        if self.bar.disable and time.monotonic() - self.shown > EVERY:
            self.shown = time.monotonic()
            LOG.info("step %d of %d, %s", step, total, what)


class Stop:
    """Answers whether SIGINT or SIGTERM has come; a second one does what it did before."""

    def __enter__(self) -> "Stop":
        self.asked = False
        self.before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(number, self.before[number])

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self.asked


def shown(total: int, settled: int, outcomes: "Iterable[Outcome]",
          describe: "Callable[[Config], str]") -> "Iterator[Outcome]":
    """Pass the outcomes of runs on and show how far they are: a bar, or lines now and then."""
    from tqdm import tqdm
    told, count = 0.0, settled
    with tqdm(total=total, initial=count, unit="run", file=sys.stderr,
              disable=not sys.stderr.isatty()) as bar:
        for outcome in outcomes:
            yield outcome
            count += outcome.state != "unfinished"
            bar.update(outcome.state != "unfinished")
            what = describe(outcome.config)
            if outcome.error:
                LOG.warning("%s: %s: %s", what, outcome.state, outcome.error)
            elif bar.disable and (time.monotonic() - told > EVERY or count == total):
                told = time.monotonic()
                LOG.info("%d of %d, last %s: %s", count, total, what, outcome.state)
