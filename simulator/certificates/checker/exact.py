"""Arrays of dyadic rationals, ``number * 2**-scale``, with Python integers as numbers.

Every finite float64 is one, and sums, differences and products of them are again, so nothing is
ever rounded here but roots and quotients, each of them to the side that its name tells. Exponents
have no limits: nothing overflows or vanishes, at any scale of weights and inputs.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["Exact", "float_below", "quotient_up", "root_up"]

MANTISSA = 53  # bits of a float64
NOTHING = -4000  # exponent of 0: below that of any product of three floats
EXTRA = 64  # bits of a root beyond those of its square: their rounding is of no account


class Exact:
    """An array of dyadic rationals; a float array is taken as it is, without any rounding.

    Parameters
    ----------
    numbers : ndarray of int (dtype object), any shape
    scale : int
        The values are ``numbers * 2**-scale``.
    """

    def __init__(self, numbers: Any, scale: int) -> None:
        self.numbers = np.asarray(numbers, dtype=object)
        self.scale = scale

    @classmethod
    def of(cls, values: Any) -> "Exact":
        """Return finite floats as what they are."""
        values = np.asarray(values, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("exact numbers: expected finite floats, got NaN or infinity")
        fraction, exponent = np.frexp(values)
        mantissa = np.ldexp(fraction, MANTISSA).astype(np.int64)
        trailing = np.frexp((mantissa & -mantissa).astype(np.float64))[1] - 1  # zeros at the end
        trailing = np.where(mantissa == 0, 0, trailing)
        mantissa >>= trailing
        last = exponent.astype(np.int64) - MANTISSA + trailing  # exponent of the last bit
        lowest = int(last[mantissa != 0].min(initial=0))
        shift = np.where(mantissa == 0, 0, last - lowest)
        return cls(mantissa.astype(object) << shift.astype(object), -lowest)

    @classmethod
    def zeros(cls, *shape: int) -> "Exact":
        """Return zeros."""
        return cls(np.full(shape, 0, dtype=object), 0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.numbers.shape

    @property
    def T(self) -> "Exact":
        """The transposed matrix."""
        return Exact(self.numbers.T, self.scale)

    def at(self, scale: int) -> np.ndarray:
        """Return the numbers of a scale that is at least as fine as this one."""
        return np.asarray(self.numbers << (scale - self.scale), dtype=object)

    def _pair(self, other: "Exact") -> tuple[np.ndarray, np.ndarray, int]:
        scale = max(self.scale, other.scale)
        return self.at(scale), other.at(scale), scale

    def __add__(self, other: "Exact") -> "Exact":
        a, b, scale = self._pair(other)
        return Exact(a + b, scale)

    def __sub__(self, other: "Exact") -> "Exact":
        a, b, scale = self._pair(other)
        return Exact(a - b, scale)

    def __neg__(self) -> "Exact":
        return Exact(-self.numbers, self.scale)

    def __mul__(self, other: "Exact") -> "Exact":
        return Exact(self.numbers * other.numbers, self.scale + other.scale)

    def __matmul__(self, other: "Exact") -> "Exact":
        a, b = self.numbers, other.numbers
        if a.shape[-1] == 0:  # the sum of nothing
            return Exact.zeros(*a.shape[:-1], *b.shape[1:])
        return Exact(a @ b, self.scale + other.scale)

    def __getitem__(self, key: Any) -> "Exact":
        return Exact(self.numbers[key], self.scale)

    def __le__(self, other: "Exact") -> np.ndarray:
        a, b, _ = self._pair(other)
        return np.asarray(a <= b, dtype=bool)

    def __lt__(self, other: "Exact") -> np.ndarray:
        a, b, _ = self._pair(other)
        return np.asarray(a < b, dtype=bool)

    def __abs__(self) -> "Exact":
        return Exact(np.abs(self.numbers), self.scale)

    def sum(self, axis: int | None = None) -> "Exact":
        """Return the sum, of all or along an axis."""
        if self.numbers.size == 0 and axis is None:
            return Exact.zeros()
        return Exact(self.numbers.sum(axis=axis), self.scale)

    def minimum(self, other: "Exact") -> "Exact":
        """Return the smaller of each two."""
        a, b, scale = self._pair(other)
        return Exact(np.minimum(a, b), scale)

    def maximum(self, other: "Exact") -> "Exact":
        """Return the larger of each two."""
        a, b, scale = self._pair(other)
        return Exact(np.maximum(a, b), scale)

    def where(self, mask: np.ndarray, other: "Exact") -> "Exact":
        """Return these values where ``mask`` is true, ``other`` elsewhere."""
        a, b, scale = self._pair(other)
        return Exact(np.where(mask, a, b), scale)

    @property
    def exponent(self) -> int:
        """The least e with ``|value| < 2**e`` for all of them, far below any where all are 0."""
        longest = max((abs(number).bit_length() for number in self.numbers.ravel().tolist()),
                      default=0)
        return longest - self.scale if longest else NOTHING

    def raised(self, scale: int) -> "Exact":
        """Round up to multiples of ``2**-scale``."""
        if scale >= self.scale:
            return self
        return Exact(-(-self.numbers >> (self.scale - scale)), scale)

    def nearest(self) -> np.ndarray:
        """Return floats near the values, infinite where there are none; of no proof."""
        flat = [_near(number, self.scale) for number in self.numbers.ravel().tolist()]
        return np.array(flat, dtype=np.float64).reshape(self.shape)

    def fraction(self) -> Fraction:
        """Return a single value as a fraction."""
        number = int(self.numbers.item())
        return Fraction(number, 1 << self.scale) if self.scale >= 0 else Fraction(
            number << -self.scale)

    def __repr__(self) -> str:
        return f"Exact(shape={self.shape}, scale={self.scale})"


def root_up(square: Exact) -> Exact:
    """Return roots of values that are at least 0, rounded up."""
    scale = (square.scale + 1) // 2 + EXTRA
    flat = square.at(2 * scale).ravel().tolist()
    return Exact(np.array([_root(number) for number in flat], dtype=object).reshape(square.shape),
                 scale)


def quotient_up(numerator: Exact, denominator: Exact, scale: int) -> Exact:
    """Return ``numerator / denominator`` rounded up to ``2**-scale``; the denominator is > 0."""
    shift = scale + denominator.scale - numerator.scale
    above, below = numerator.numbers, denominator.numbers
    if shift >= 0:
        above = above << shift
    else:
        below = below << -shift
    return Exact(-(-above // below), scale)


def float_below(value: Fraction) -> float:
    """Return the largest float that is not above ``value``."""
    try:
        near = float(value)
    except OverflowError:
        return math.nextafter(math.inf, 0.0) if value > 0 else -math.inf
    return near if near <= value else math.nextafter(near, -math.inf)


def _root(number: int) -> int:
    """The root of an integer, rounded up."""
    root = math.isqrt(number)
    return root if root * root == number else root + 1


def _near(number: int, scale: int) -> float:
    shift = max(abs(number).bit_length() - MANTISSA, 0)
    try:
        return math.ldexp(float(number >> shift), shift - scale)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
