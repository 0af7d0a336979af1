"""Rules of a contract, and the one line that says which was broken."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Broken", "ContractError", "Rule", "expect", "expect_equal", "expect_methods",
           "expect_near", "obeyed"]

ROUNDINGS = 1e3  # how many eps of its largest number a result may be off


class Rule(NamedTuple):
    """One sentence of the contract.

    Attributes
    ----------
    name : str
    holds : callable
        Takes the case; raises what :func:`expect` raises where the rule is broken.
    why : str
        What goes wrong without it.
    source : str
        Where it is written.
    """

    name: str
    holds: Callable[[Any], None]
    why: str
    source: str


class ContractError(AssertionError):
    """A rule of the contract is broken.

    Attributes
    ----------
    rule : str
        Name of the rule.
    """

    def __init__(self, subject: Any, rule: Rule, found: str) -> None:
        super().__init__(f"{type(subject).__name__}: {rule.name}: {found}: {rule.why} "
                         f"({rule.source})")
        self.rule = rule.name


class Broken(Exception):
    """Expected and got, on the way to the rule that knows why."""


def obeyed(subject: Any, rules: tuple[Rule, ...], case: Any) -> tuple[str, ...]:
    """Return the names of the rules if all hold, or raise ContractError at the first broken."""
    for rule in rules:
        try:
            with np.errstate(all="ignore"):
                rule.holds(case)
        except Broken as broken:
            raise ContractError(subject, rule, str(broken)) from None
        except ContractError:
            raise
        except Exception as error:  # whatever a foreign class does is told in one line
            raise ContractError(subject, rule, f"expected an answer, got {type(error).__name__}: "
                                f"{error}") from error
    return tuple(rule.name for rule in rules)


def expect(holds: Any, expected: str, got: Any) -> None:
    """Raise Broken with what was expected and what came."""
    if not holds:
        raise Broken(f"expected {expected}, got {got}")


def expect_methods(subject: Any, names: tuple[str, ...]) -> None:
    """Expect an object, not its class, with these methods."""
    expect(not isinstance(subject, type), "an object", f"the class {subject!r}")
    for name in names:
        expect(callable(getattr(subject, name, None)), f"a method {name}", "none")


def expect_equal(got: np.ndarray, wanted: np.ndarray, what: str) -> None:
    """Expect the same shape and the same numbers, NaN included."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    same = got.shape == wanted.shape and np.array_equal(got, wanted, equal_nan=True)
    expect(same, what, "other numbers" if got.shape == wanted.shape else f"shape {got.shape}")


def expect_near(got: Any, wanted: Any, what: str, dtype: Any = np.float64) -> None:
    """Equal up to rounding of the largest number."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    expect(got.shape == wanted.shape, f"{what}, shape {wanted.shape}", f"shape {got.shape}")
    scale = float(np.abs(wanted).max(initial=0.0)) + float(np.abs(got).max(initial=0.0))
    error = float(np.abs(got - wanted).max(initial=0.0))
    expect(error <= ROUNDINGS * float(np.finfo(dtype).eps) * scale, what,
           f"numbers that are off by {error:.2g}")
