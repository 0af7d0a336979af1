"""A sign of life between the pieces of a long computation.

An attack beats between its steps, a certificate between its boxes. Whoever runs them may listen,
to move a progress bar or to stop them by raising; nobody has to, and no argument is handed
through for it. A beat changes no number, so results do not depend on who listens.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["beat", "listening"]

_listener: ContextVar[Callable[[], None] | None] = ContextVar("listener", default=None)


def beat() -> None:
    """Tell the listener, if there is one, that the computation goes on; it may raise."""
    listener = _listener.get()
    if listener is not None:
        listener()


@contextmanager
def listening(listener: Callable[[], None]) -> Iterator[None]:
    """Let ``listener`` be called at every beat within; the one outside rests meanwhile."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
