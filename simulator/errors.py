"""What can go wrong with a run, in one place: each message is one line for the user."""

__all__ = ["Busy", "Damaged", "Diverged", "NotInvertible", "RunError", "Stopped", "Unavailable"]


class RunError(Exception):
    """A run folder cannot be used as asked."""


class Damaged(RunError):
    """A file is truncated, has wrong bits, or is of another kind."""


class Busy(RunError):
    """Another process works in the folder."""


class Unavailable(RunError):
    """A disk does not do as asked: it is full, read-only or gone. Another day it may."""


class Diverged(RuntimeError):
    """The loss became NaN, infinite, or more than a thousand times that of a blind guess.

    Attributes
    ----------
    step : int
        The step at which it was seen; the weights are bad by then.
    loss : float
    """

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(f"training diverged at step {step}: loss {loss:g}")
        self.step = step
        self.loss = loss


class Stopped(Exception):
    """Raised by whoever listens to a run, to stop it where it can be resumed."""


class NotInvertible(ValueError):
    """A ticket's kernel has no inverse to machine precision: there is no norm to bound in."""
