"""Robustness of one sample in a box, as a VNN-LIB property: what verifiers are asked.

A property describes a counterexample, so "sat" means broken and "unsat" robust: the input is in
the box ``|x'_j - x_j| <= radius``, and the output is wrong,

    one output f:  y f <= 0          K outputs:  F_j >= F_y for some j != y,

a tie counting as wrong, as it does everywhere here. The ends of the box are rounded outward, to 17
digits: "unsat" is then about the whole ball, in real arithmetic, and a point of the box outside of
it is at most that rounding away.

VNN-LIB has linear constraints alone in the tools that read it, so there is no property of an l2
ball. The box of the same radius contains the ball, and that of radius / sqrt(d) lies in it.
"""

from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

import numpy as np

from simulator.checks import (require_array, require_choice, require_finite, require_int,
                              require_real)

__all__ = ["VERSIONS", "box_property"]

VERSIONS = ("1.0", "2.0")
DIGITS = 17
UP, DOWN = (Context(prec=DIGITS, rounding=rounding) for rounding in (ROUND_CEILING, ROUND_FLOOR))
FLOAT = np.dtype(np.float64)


def box_property(x: np.ndarray, radius: float, label: int, *, classes: int = 0,
                 version: str = "1.0", dtype: str = "float32", about: str = "") -> str:
    """Return the text of a property: the box holds a point on which the network is wrong.

    Parameters
    ----------
    x : ndarray, shape (d,) or (P, d)
        The sample. In version 1.0 its coordinates are numbered row by row.
    radius : float
        Of the box, at least 0.
    label : int
        The right answer: -1 or +1 of a network with one output, else a class from 0 on.
    classes : int
        Outputs of the network; 0 is one output f, whose sign is the label.
    version : "1.0" or "2.0"
        Of VNN-LIB. 1.0 is what the verifiers of VNN-COMP read; 2.0 declares the network's input
        and output by shape and type.
    dtype : "float32" or "float64"
        Of the network, for version 2.0.
    about : str
        A line for the reader, put in front as a comment.

    Raises
    ------
    TypeError, ValueError
        Numbers that are not finite, a label that is none, an unknown version or type.
    """
    array = np.asarray(x)
    point = require_finite("x", require_array("x", array, (None,) * array.ndim, dtype=FLOAT))
    require_choice("version", version, VERSIONS)
    require_choice("dtype", dtype, ("float32", "float64"))
    margin = Decimal(require_real("radius", radius, low=0.0))
    if classes:
        require_int("label", label, low=0, high=classes - 1)
    elif label not in (-1, 1):
        raise ValueError(f"label: expected -1 or 1 of a network with one output, got {label}")
    inputs, outputs = _names(version, point.shape, max(classes, 1))
    lines = [f"; {line}" for line in (*about.splitlines(), "sat: a counterexample; unsat: robust")]
    lines += _declared(version, inputs, outputs, point.shape, dtype)
    for name, value in zip(inputs, map(Decimal, point.ravel().tolist())):
        lines += [f"(assert (<= {name} {_literal(UP.add(value, margin))}))",
                  f"(assert (>= {name} {_literal(DOWN.subtract(value, margin))}))"]
    lines.append(_wrong(outputs, label) if classes else
                 f"(assert ({'<=' if label > 0 else '>='} {outputs[0]} 0.0))")
    return "\n".join(lines) + "\n"


def _names(version: str, shape: tuple[int, ...], outputs: int) -> tuple[list[str], list[str]]:
    """What inputs and outputs are called."""
    if version == "1.0":
        return ([f"X_{j}" for j in range(int(np.prod(shape)))],
                [f"Y_{j}" for j in range(outputs)])
    return ([f"X[{','.join(map(str, (0, *place)))}]" for place in np.ndindex(shape)],
            [f"Y[0,{j}]" for j in range(outputs)])


def _declared(version: str, inputs: list[str], outputs: list[str], shape: tuple[int, ...],
              dtype: str) -> Iterator[str]:
    if version == "1.0":
        yield from (f"(declare-const {name} Real)" for name in (*inputs, *outputs))
        return
    reads = ",".join(map(str, (1, *shape)))
    yield "(vnnlib-version <2.0>)"
    yield (f"(declare-network f (declare-input X {dtype} [{reads}]) "
           f"(declare-output Y {dtype} [1,{len(outputs)}]))")


def _wrong(outputs: list[str], label: int) -> str:
    """Some other output is not below that of the label."""
    others = [f"(>= {name} {outputs[label]})" for name in outputs if name != outputs[label]]
    if len(others) == 1:
        return f"(assert {others[0]})"
    return f"(assert (or {' '.join(f'(and {other})' for other in others)}))"


def _literal(value: Decimal) -> str:
    """Digits with a point and without an exponent, which not every reader knows."""
    text = format(value if value else Decimal(0), "f")
    return text if "." in text else f"{text}.0"
