"""The parts of the ball: whether the leaves leave nothing out, and how far each s_i goes in each.

The cuts of the leaves must form a tree: below every node all leaves are cut by the same
half-space and its complement, or there is one leaf, which is not cut any more. Then every point
of the ball lies in a leaf. Along the way down the intervals of the ``s_k = <w_k, delta>`` shrink:
in the ball with ``<w, delta> <= v``, for any eta >= 0,

    <w_k, delta>  =  <w_k - eta w, delta> + eta <w, delta>  <=  r ||w_k - eta w||_* + eta v.

The right side is convex in eta. Its minimiser is sought in float64, where nothing depends on it,
and the right side is evaluated exactly, roots rounded up.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from simulator.certificates.checker.exact import Exact, root_up
from simulator.certificates.checker.problem import Problem, Unproven, dual_norms_up
from simulator.certificates.proofs import Leaf
from simulator.heartbeat import beat

__all__ = ["Part", "parts"]


class Part(NamedTuple):
    """A leaf with the intervals of some neurons in it.

    Attributes
    ----------
    leaf : Leaf
    number : int
        Its place among the leaves.
    low, high : Exact, shape (k,)
        ``low <= <w_i, delta> <= high`` in the part.
    """

    leaf: Leaf
    number: int
    low: Exact
    high: Exact

    @property
    def is_empty(self) -> bool:
        """True where an interval has no point: neither has the part, then."""
        return bool((self.high < self.low).any())


def parts(problem: Problem, leaves: Sequence[Leaf], neurons: np.ndarray) -> Iterator[Part]:
    """Go down the tree of the cuts, and return the leaves with their intervals.

    Parameters
    ----------
    problem : Problem
    leaves : sequence of Leaf
    neurons : ndarray of int, shape (k,)
        Of which intervals are wanted; those of the cuts are among them.

    Raises
    ------
    Unproven
        The leaves do not cover the ball.
    """
    place = {int(neuron): at for at, neuron in enumerate(neurons)}
    cutter = _Cutter(problem, neurons)
    reach = problem.reach[neurons]
    todo: list[tuple[list[int], int, Exact, Exact]] = [(list(range(len(leaves))), 0, -reach, reach)]
    while todo:
        beat()
        numbers, depth, low, high = todo.pop()
        if len(numbers) == 1 and len(leaves[numbers[0]].cut_neurons) == depth:
            yield Part(leaves[numbers[0]], numbers[0], low, high)
            continue
        neuron, limit, below, above = _halves(leaves, numbers, depth)
        v = Exact.of(limit)
        for side, half in ((1, below), (-1, above)):
            ends = cutter.cut(neuron, side, limit, low, high)
            at = np.arange(len(neurons)) == place[neuron]
            lower, upper = ends
            if side > 0:
                upper = upper.minimum(v).where(at, upper)
            else:
                lower = lower.maximum(v).where(at, lower)
            todo.append((half, depth + 1, lower, upper))


def _halves(leaves: Sequence[Leaf], numbers: list[int],
            depth: int) -> tuple[int, float, list[int], list[int]]:
    """The cut of a node, and the leaves on each of its sides; both sides must be there."""
    cuts = set()
    sides: dict[float, list[int]] = {1.0: [], -1.0: []}
    for number in numbers:
        leaf = leaves[number]
        if len(leaf.cut_neurons) <= depth:
            raise Unproven(f"leaf {number}: expected as many cuts as the leaves beside it, got "
                           f"{depth}: the leaves are no tree")
        cuts.add((int(leaf.cut_neurons[depth]), float(leaf.cut_limits[depth])))
        sides[float(leaf.cut_sides[depth])].append(number)
    if len(cuts) > 1:
        raise Unproven(f"leaf {numbers[0]}: cut {depth}: expected one half-space and its "
                       f"complement, got {len(cuts)} half-spaces: the leaves are no tree")
    if not (sides[1.0] and sides[-1.0]):
        raise Unproven(f"leaf {numbers[0]}: cut {depth}: expected leaves on both sides, got one "
                       "side alone: the leaves leave out a part of the ball")
    neuron, limit = cuts.pop()
    return neuron, limit, sides[1.0], sides[-1.0]


class _Cutter:
    """Half-spaces of one problem, and what they do to the intervals of some of its neurons."""

    def __init__(self, problem: Problem, neurons: np.ndarray) -> None:
        self.problem = problem
        self.V, self.floats = problem.network.W[neurons], problem.network.weights[neurons]
        self.squares = problem.network.squares[neurons]
        self.products = cache(self._products)

    def _products(self, neuron: int) -> Exact:
        """``<w_k, w>`` of all k with the weights of one neuron."""
        return self.V @ self.problem.network.W[neuron]

    def cut(self, neuron: int, side: int, limit: float, low: Exact,
            high: Exact) -> tuple[Exact, Exact]:
        """Shrink intervals to the half-space ``side <w, delta> <= side limit``."""
        most = self._most(neuron, side, side * limit, 1)
        least = -self._most(neuron, side, side * limit, -1)
        return low.maximum(least), high.minimum(most)

    def _most(self, neuron: int, side: int, v: float, sign: int) -> Exact:
        """At least ``sign <w_k, delta>`` in the half-space ``<side w, delta> <= v``, all k."""
        problem, turn = self.problem, side * sign
        with np.errstate(all="ignore"):  # any number will do, the better ones give less
            eta = (self._eta_l2(neuron, turn, v) if problem.is_l2
                   else _eta_linf(turn * self.floats, problem.network.weights[neuron], v,
                                  problem.ball.radius))
            eta = np.where(np.isfinite(eta), np.maximum(eta, 0.0), 0.0)
        exact = Exact.of(eta)
        if problem.is_l2:
            twice = exact + exact if turn > 0 else -(exact + exact)
            square = (self.squares - twice * self.products(neuron)
                      + exact * exact * problem.network.squares[neuron])
            norms = root_up(square)
        else:
            w = Exact(exact.numbers[:, None], exact.scale) * problem.network.W[neuron]
            norms = dual_norms_up(self.V - w if turn > 0 else self.V + w, False)
        return (problem.r * norms + exact * Exact.of(v)).raised(problem.grid)

    def _eta_l2(self, neuron: int, turn: int, v: float) -> np.ndarray:
        """Where ``r ||w_k - eta w|| + eta v`` is least: a quadratic equation."""
        square = float(self.problem.network.squares[neuron].nearest())
        along = turn * self.products(neuron).nearest() / square
        cosine = v / (self.problem.ball.radius * np.sqrt(square))
        if not abs(cosine) < 1.0:
            return along
        across = np.sqrt(np.maximum(self.squares.nearest() - along ** 2 * square, 0.0))
        return along - across * cosine / np.sqrt((1.0 - cosine ** 2) * square)


def _eta_linf(V: np.ndarray, w: np.ndarray, v: float, radius: float) -> np.ndarray:
    """Where ``r ||w_k - eta w||_1 + eta v`` is least: at a quotient ``w_kj / w_j``, or at 0.

    The slope there is ``v + r sum_j |w_j| sign(eta - w_kj / w_j)``, which ascends.
    """
    some = w != 0.0
    if not some.any():
        return np.zeros(len(V))
    quotients, weight = V[:, some] / w[some], radius * np.abs(w[some])
    order = np.argsort(quotients, axis=1)
    slopes = v - weight.sum() + 2.0 * np.cumsum(weight[order], axis=1)
    first = np.argmax(slopes >= 0.0, axis=1)
    best = np.take_along_axis(quotients, order, axis=1)[np.arange(len(V)), first]
    return np.where(slopes[:, -1] >= 0.0, best, 0.0)
