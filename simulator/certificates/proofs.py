"""What a certificate rests on, so that somebody else can check it.

A proof names multipliers; any multipliers give a sound bound, so whoever reads them needs neither
trust in the prover nor its luck. All numbers are in the units of the network and of the input as
they were given, seen from ``y x``: ``t_i = y <w_i, x>``, ``s_i = <w_i, delta>`` and the margin at
``x + y delta`` is ``sum_i S_b(t_i + s_i)``.

In a leaf, with ``low_i <= s_i <= high_i`` from the ball and the leaf's cuts,

    margin  >=  sum_i min_{low_i <= s <= high_i} [S_b(t_i + s) - a_i s + mu_i s^2]
                + min_{||delta|| <= r} [delta^T P delta + <c, delta>] - r^2 (lam, or sum_k lam_k),

``P = diag(lam) - sum_i mu_i w_i w_i^T`` positive semidefinite, ``c = sum_i a_i w_i``. For any
delta_0 the second minimum is at least

    -delta_0^T P delta_0 - r ||2 P delta_0 + c||_*.

With mu = 0 and lam = 0 it is ``-r ||c||_*``.

A proof may split the weights of its neurons into core and rest, ``w_i = g_i + e_i``. With
``z = <g_i, delta>`` and ``n = <e_i, delta>`` the terms of the sum are

    min of S_b(t_i + z + n) - k_i z - a_i n + mu_i n^2
        over |z| <= r ||g_i||_*, |n| <= r ||e_i||_*, low_i <= z + n <= high_i,

``P = diag(lam) - sum_i mu_i e_i e_i^T`` and ``c = sum_i k_i g_i + a_i e_i``. Where nothing is core
that is the bound above.

Neurons that are not named have a_i = 0 and mu_i = 0
(they are closed in the whole ball) or, in ``linear``, a_i = 1 and mu_i = 0.

The separable bound has no leaves but one number, lam: see :mod:`simulator.certificates.separable`.
"""

from dataclasses import dataclass, field

import numpy as np

__all__ = ["Leaf", "Proof"]


@dataclass(frozen=True, repr=False)
class Leaf:
    """One part of the ball, and the multipliers that bound the margin in it.

    Attributes
    ----------
    cut_neurons : ndarray of int, shape (k,)
        The half-spaces that cut the part out, from the root of the tree down: neurons of the
        network, of which ``<w, delta>`` is limited.
    cut_sides : ndarray, shape (k,)
        +1: ``<w, delta> <= limit``; -1: ``<w, delta> >= limit``.
    cut_limits : ndarray, shape (k,)
    slopes, curvatures : ndarray, shape (q,)
        a_i and mu_i of the proof's ``neurons``.
    lam : ndarray, shape (1,) for l2 or (d,) for l_inf
    point : ndarray, shape (d,)
        delta_0.
    empty : int
        A neuron of the network whose interval is empty there, so that nothing is to be shown; -1
        where there is none.
    core_slopes : ndarray, shape (q,), or (0,)
        k_i; (0,) stands for k = a.
    """

    cut_neurons: np.ndarray
    cut_sides: np.ndarray
    cut_limits: np.ndarray
    slopes: np.ndarray
    curvatures: np.ndarray
    lam: np.ndarray
    point: np.ndarray
    empty: int = -1
    core_slopes: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __repr__(self) -> str:
        what = "empty" if self.empty >= 0 else f"q={len(self.slopes)}"
        return f"Leaf({len(self.cut_neurons)} cuts, {what})"


@dataclass(frozen=True, repr=False)
class Proof:
    """Why the margin of one sample is at least ``lower`` in the whole ball.

    Attributes
    ----------
    method : str
        "linear", "separable", "shared", "quadratic", "branching" or "exact".
    lower : float
    linear : ndarray of int
        Neurons that count as linear in the whole ball: a_i = 1.
    neurons : ndarray of int, shape (q,)
        Neurons with multipliers of their own.
    leaves : tuple of Leaf
        Their cuts part the ball: a tree in which each cut has both of its sides.
    lam : float
        Of "separable" alone; NaN otherwise.
    cores : ndarray of int, shape (c,)
        Which weights of its neurons are core: places ``i d + j`` in the (q, d) of them.
    """

    method: str
    lower: float
    linear: np.ndarray
    neurons: np.ndarray
    leaves: tuple[Leaf, ...]
    lam: float = float("nan")
    cores: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __repr__(self) -> str:
        return f"Proof({self.method}: margin >= {self.lower:.4g}, {len(self.leaves)} leaves)"
