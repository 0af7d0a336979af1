"""Numbers written as arithmetic on other settings: ``m = 20*d``, ``tau = 0.5/sqrt(k)``.

A tiny evaluator over Python's own syntax tree: numbers, names of settings, ``+ - * / // % **``,
a sign, the functions below, and a choice by a word, ``0.5/sqrt(k) if norm == "l2" else 0.02``.
Nothing else is looked at, nothing is executed.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

__all__ = ["FUNCTIONS", "MAX_SIZE", "evaluate", "names_in", "resolve"]

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "round": round, "sqrt": math.sqrt, "log": math.log, "exp": math.exp, "floor": math.floor,
    "ceil": math.ceil, "min": min, "max": max, "abs": abs}

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
    ast.Pow: operator.pow, ast.USub: operator.neg, ast.UAdd: operator.pos}

MAX_LENGTH = 200
MAX_SIZE = 1e15  # no setting is larger; also keeps 9**9**9 from being computed


def evaluate(text: str, value_of: Callable[[str], float],
             word_of: Callable[[str], str] | None = None) -> float:
    """Return the value of an expression.

    Parameters
    ----------
    text : str
        For example ``"round(d**0.45)"``.
    value_of : callable
        Returns the number a name stands for; raises KeyError if there is none.
    word_of : callable or None
        Returns the word that a name stands for in a comparison; None: there are no words.

    Raises
    ------
    ValueError
        The text is not such an expression, or its value is not a finite number.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"expected at most {MAX_LENGTH} characters, got {len(text)}")
    try:
        value: float = _value(_tree(text), value_of, word_of, text)
        finite = math.isfinite(value)
    except (ZeroDivisionError, OverflowError, RecursionError) as error:
        raise ValueError(f"{text!r} has no value: {error}") from None
    if not finite:
        raise ValueError(f"{text!r} has no finite value")
    return value


def names_in(text: str) -> frozenset[str]:
    """Return the settings that an expression depends on.

    Raises
    ------
    ValueError
        The text is no expression.
    """
    return frozenset(node.id for node in ast.walk(_tree(text))
                     if isinstance(node, ast.Name) and node.id not in FUNCTIONS)


@lru_cache(1000)  # a sweep resolves the same few expressions for each of its runs
def _tree(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(f"expected a number or an expression, got {text!r}") from None


def _value(node: ast.expr, value_of: Callable[[str], float],
           word_of: Callable[[str], str] | None, text: str) -> Any:
    def part(inner: ast.expr) -> Any:
        return _value(inner, value_of, word_of, text)

    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value
    if isinstance(node, ast.Name):
        return value_of(node.id)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = part(node.left), part(node.right)
        if isinstance(node.op, ast.Pow) and abs(left) > 1 and right * math.log10(abs(left)) > 15:
            raise OverflowError(f"the power is larger than {MAX_SIZE:g}")
        result = _OPERATORS[type(node.op)](left, right)
        if isinstance(result, complex):
            raise ValueError(f"{text!r} has no real value")
        return result
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](part(node.operand))
    if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords
            and node.func.id in FUNCTIONS):
        parts = [part(argument) for argument in node.args]
        try:
            return FUNCTIONS[node.func.id](*parts)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{text!r} has no value: {error}") from None
    if isinstance(node, ast.IfExp) and word_of is not None:
        return part(node.body if _holds(node.test, word_of, text) else node.orelse)
    raise ValueError(f"expected numbers, settings, + - * / // % ** and "
                     f"{', '.join(FUNCTIONS)}, got {text!r}")


def _holds(test: ast.expr, word_of: Callable[[str], str], text: str) -> bool:
    """Whether a setting is the word it is compared with: all that a choice may ask."""
    if (isinstance(test, ast.Compare) and isinstance(test.left, ast.Name)
            and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)
            and isinstance(test.comparators[0], ast.Constant)
            and isinstance(test.comparators[0].value, str)):
        return word_of(test.left.id) == test.comparators[0].value
    raise ValueError('expected a choice such as 1 if norm == "l2" else 2, got '
                     f"{text!r}")


def resolve(settings: Mapping[str, Any], texts: frozenset[str],
            check: Callable[[str, Any], Any] = lambda name, value: value) -> dict[str, Any]:
    """Replace every expression by its value, in whatever order they need each other.

    Parameters
    ----------
    settings : mapping of str to number or str
        Strings are expressions, except those of the settings named in ``texts``.
    texts : frozenset of str
        Settings that are words, not numbers.
    check : callable
        Called with (name, value) as soon as a value is known, before another expression uses
        it; returns the value to use or raises.

    Raises
    ------
    ValueError
        A bad expression, an unknown name in one, or settings defined by each other.
    """
    done: dict[str, Any] = {}
    open_names: list[str] = []

    def word_of(name: str) -> str:
        if name not in settings or name not in texts:
            raise ValueError(f"{name!r} is not a setting that is a word")
        return str(settings[name])

    def value_of(name: str) -> Any:
        if name in done and name not in texts:
            return done[name]
        if name not in settings or name in texts:
            raise ValueError(f"{name!r} is not a number setting")
        if name in open_names:
            raise ValueError(f"{' -> '.join([*open_names, name])}: settings defined by each other")
        value = settings[name]
        if isinstance(value, str):
            open_names.append(name)
            try:
                value = evaluate(value, value_of, word_of)
            except ValueError as error:
                raise error if isinstance(error, _Named) else _Named(f"{name}: {error}") from None
            open_names.pop()
        try:
            done[name] = check(name, value)
        except ValueError as error:
            raise _Named(str(error)) from None
        return done[name]

    for name, value in settings.items():
        if name in texts:
            done[name] = check(name, value)
        else:
            value_of(name)
    return done


class _Named(ValueError):
    """An error that already names the setting it is about."""
