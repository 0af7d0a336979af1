"""The leaves cover the ball, and no point of a leaf is outside its intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.checker.problem import ExactNetwork, Problem, Unproven
from simulator.certificates.checker.tree import parts

from planted.certificates import filling
from planted.proofs import leaf, random_cuts

NONE = np.zeros(0)


def bare(*cuts):
    return leaf(NONE, NONE, np.zeros(1), np.zeros(2), cuts)


def problem(W, ball, bias=0.1):
    return Problem.of(ExactNetwork.of(W, bias), np.zeros(W.shape[1]), 1.0, ball)


@pytest.mark.parametrize("kind", [L2Ball, LinfBall])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 6), d=st.integers(1, 3))
def test_every_point_of_the_ball_is_in_a_leaf_and_inside_its_intervals(kind, seed, m, d):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((m, d)) * rng.choice([1e-6, 1.0, 1e6])
    ball = kind(rng.uniform(0.1, 1.0))
    leaves = [leaf(NONE, NONE, np.zeros(1), np.zeros(d), cuts)
              for cuts in random_cuts(rng, W, ball.radius, 3)]
    S = filling(ball, d, rng, 300) @ W.T
    held = np.zeros(len(S), bool)
    slack = 1e-12 * ball.radius * np.abs(W).sum()
    for part in parts(problem(W, ball), leaves, np.arange(m)):
        inside = np.ones(len(S), bool)
        for neuron, side, limit in zip(part.leaf.cut_neurons, part.leaf.cut_sides,
                                       part.leaf.cut_limits):
            inside &= side * S[:, neuron] <= side * limit
        assert np.all(S[inside] >= part.low.nearest() - slack)
        assert np.all(S[inside] <= part.high.nearest() + slack)
        assert not (part.is_empty and inside.any())
        held |= inside
    assert held.all()


@pytest.mark.parametrize("kind", [L2Ball, LinfBall])
def test_a_parallel_neuron_is_cut_as_the_first(kind):
    W = np.array([[1.0, 0.5], [2.0, 1.0], [-3.0, -1.5]])
    below = next(part for part in parts(problem(W, kind(1.0)), [
        bare((0, 1.0, 0.25)), bare((0, -1.0, 0.25))], np.arange(3)) if part.number == 0)
    np.testing.assert_allclose(below.high.nearest()[:2], [0.25, 0.5], rtol=1e-12)
    np.testing.assert_allclose(below.low.nearest()[2], -0.75, rtol=1e-12)


@pytest.mark.parametrize("leaves, why", [
    ([bare((0, 1.0, 0.1))], "one side alone"),
    ([bare((0, 1.0, 0.1)), bare((0, 1.0, 0.1))], "one side alone"),
    ([bare((0, 1.0, 0.1)), bare((0, -1.0, 0.2))], "2 half-spaces"),
    ([bare((0, 1.0, 0.1)), bare((1, -1.0, 0.1))], "2 half-spaces"),
    ([bare(), bare()], "as many cuts as the leaves beside it"),
    ([bare(), bare((0, 1.0, 0.1)), bare((0, -1.0, 0.1))], "as many cuts"),
    ([bare((0, 1.0, 0.1)), bare((0, -1.0, 0.1), (1, 1.0, 0.3))], "one side alone"),
    ([bare((0, 1.0, 0.1)), bare((0, -1.0, 0.1)), bare((0, -1.0, 0.1))], "as many cuts")])
def test_leaves_that_are_no_tree_prove_nothing(leaves, why):
    W = np.array([[1.0, 0.5], [0.5, 1.0]])
    with pytest.raises(Unproven, match=why):
        list(parts(problem(W, L2Ball(1.0)), leaves, np.arange(2)))


def test_a_neuron_without_weights_can_be_cut():
    W = np.array([[0.0, 0.0], [0.5, 1.0]])
    for kind in (L2Ball, LinfBall):
        both = {part.number: part.is_empty for part in parts(problem(W, kind(1.0)), [
            bare((0, 1.0, -0.5)), bare((0, -1.0, -0.5))], np.arange(2))}
        assert both == {0: True, 1: False}
