"""The one guard around every command: whatever goes wrong is one line and an exit code.

Results go to stdout through :func:`show`, progress and messages to stderr. Exit codes: 0 ok, 1 a
claim failed or a certificate does not verify (and nothing else), 2 bad input or a place that cannot
be used, 3 diverged or (``sweep``, ``verify``) some run is not done, 130 interrupted. With
PURIFY_TRACEBACK=1 in the environment an error also shows where it came from.

Only the standard library is imported here, and little of it: an interrupt must find the guard in
place before NumPy and Numba begin to load.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from types import FrameType

__all__ = ["explained", "guarded", "ready", "show", "tell"]

LOG = logging.getLogger("purify")
OK, FAILED, BAD_INPUT, DIVERGED, INTERRUPTED = 0, 1, 2, 3, 130
SIGNALS = tuple(map(int, (signal.SIGINT, signal.SIGTERM)))
FOUNDATIONS = Path(__file__).resolve().parent.parent  # holds scripts, simulator and theory


def guarded(name: str, work: Callable[[], int], own: bool) -> int:
    """Do the work of a command; return its exit code, whatever happens.

    Parameters
    ----------
    name : str
        Of the command, as it begins an error line: ``purify simulate``.
    work : callable
        Returns the exit code.
    own : bool
        The process is this command's: it also answers signals, until it ends.
    """
    if own:
        _take_process()
    try:
        with _messages(), _numbers_warn_once():
            code = work()
    except KeyboardInterrupt:
        tell(f"{name}: interrupted")
        code = INTERRUPTED
    except SystemExit as leaving:  # argparse has said why
        code = leaving.code if isinstance(leaving.code, int) else BAD_INPUT
        if _flushed(name) and not own:
            raise
    except Exception as error:
        if os.environ.get("PURIFY_TRACEBACK"):
            import traceback
            traceback.print_exc()
        code, words = explained(error)
        tell(f"{name}: {'' if code == INTERRUPTED else 'error: '}{words}")
    return code if _flushed(name) else BAD_INPUT


def ready() -> None:
    """Load what computes; from here on an interrupt is an exception that can be cleaned up after.

    Before, nothing is half done, and an exception inside a loading module may be swallowed or
    come out as another: there an interrupt leaves at once.
    """
    import simulator.runs.stages  # noqa: F401  (NumPy, Numba and SciPy with it)
    if signal.getsignal(signal.SIGINT) is _leave:
        for number in SIGNALS:
            signal.signal(number, _interrupt)


def show(text: str) -> None:
    """Print a result on stdout; a reader who has closed the pipe wants no more of it.

    Raises
    ------
    RunError
        It cannot be written: the disk is full, for example.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _to_nowhere()
    except OSError as error:
        from simulator.errors import RunError
        _to_nowhere()
        raise RunError(f"standard output: cannot be written: {error.strerror}") from None


def tell(line: str) -> None:
    """Print a message on stderr, beside a bar if one is shown; never fails."""
    try:
        if "tqdm" in sys.modules and sys.stderr.isatty():
            from tqdm import tqdm
            with tqdm.external_write_mode(sys.stderr):
                print(line, file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):  # closed, or there is none
        pass


def explained(error: Exception) -> tuple[int, str]:
    """Return exit code and message of an error, in one line."""
    if isinstance(error, ImportError):
        return BAD_INPUT, _shadowed() or _line(error)
    from simulator.errors import Diverged, RunError, Stopped
    if isinstance(error, Stopped):
        return INTERRUPTED, "interrupted"
    if isinstance(error, Diverged):
        return DIVERGED, _line(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return BAD_INPUT, f"{place}{error.strerror or _line(error)}"
    if isinstance(error, MemoryError):
        return BAD_INPUT, f"out of memory: {_line(error) or 'expected a smaller size'}"
    if isinstance(error, RecursionError):
        return BAD_INPUT, "expected settings, got something nested too deep"
    if isinstance(error, OverflowError):
        return BAD_INPUT, f"a number is too large: {_line(error)}"
    if isinstance(error, (RunError, TypeError, ValueError)):
        return BAD_INPUT, _line(error)
    return BAD_INPUT, (f"{type(error).__name__}: {_line(error)} (not foreseen: "
                       "PURIFY_TRACEBACK=1 shows where)")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _shadowed() -> str | None:
    """Say which of our packages was found in another place than beside this one, if any."""
    for name in ("simulator", "theory", "scripts"):
        module = sys.modules.get(name)
        if module is None:
            continue
        found = Path(module.__file__ or next(iter(module.__path__), "")).resolve()
        if FOUNDATIONS not in found.parents:
            return (f"{name}: expected the package in {FOUNDATIONS}, found {found}, which shadows "
                    "it: rename that, or take its folder out of PYTHONPATH")
    return None


def _take_process() -> None:
    """Answer signals, write to any terminal, and draw whatever a notebook has set for itself."""
    os.environ.pop("MPLBACKEND", None)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without the letters
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, _leave)


class _Interrupted(KeyboardInterrupt):
    """An interrupt that ends in an exit code.

    Of a KeyboardInterrupt itself that left an ``exec`` of text, as in a namedtuple, Python kills
    the process by the signal at its end, although it was answered.
    """


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _Interrupted


def _leave(number: int, frame: FrameType | None) -> None:
    """Leave at once: nothing is half done."""
    os.write(2, b"purify: interrupted\n")
    os._exit(INTERRUPTED)


class _Lines(logging.Handler):
    """Log records as lines on stderr, whatever stderr is by then."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(self.format(record))


@contextmanager
def _messages() -> Iterator[None]:
    """Show what the library logs."""
    if any(isinstance(handler, _Lines) for handler in LOG.handlers):
        yield
        return
    handler, level = _Lines(), LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(level)


@contextmanager
def _numbers_warn_once() -> Iterator[None]:
    """Keep every warning to a line; those of NumPy wait for the end.

    A run whose numbers overflow diverges, and says so better than NumPy does.
    """
    import warnings
    waiting: dict[str, None] = {}

    def line(message: Warning | str, category: type[Warning], filename: str, lineno: int,
             file: object = None, line: str | None = None) -> None:
        text = " ".join(str(message).split())
        if issubclass(category, RuntimeWarning):
            waiting[text] = None
        else:
            LOG.warning("warning: %s", text)

    with warnings.catch_warnings():
        warnings.showwarning = line
        yield
    if waiting:
        LOG.warning("warning: %s", "; ".join(waiting))


def _flushed(name: str) -> bool:
    """Write out what is left for stdout; False, with a line, where it cannot be written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _to_nowhere()
    except OSError as error:
        _to_nowhere()
        tell(f"{name}: error: standard output: cannot be written: {error.strerror}")
        return False
    except (ValueError, AttributeError):  # closed, or there is none
        pass
    return True


def _to_nowhere() -> None:
    """Let stdout end in nothing, so that no later flush fails again."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # not a file of the system
        pass
