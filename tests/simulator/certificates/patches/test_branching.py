"""Branching: halves cover their box, cuts are sound and tight, the bracket closes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.certificates.patches.bounds import attack_patches, tighten
from simulator.certificates.patches.branching import branch, halves, neurons_to_split
from simulator.networks.smoothed_relu_cnn import smoothed_relu

from planted.patch_certificates import ROUND, SEEDS, case, certified, filling, problem_of, trained

# --- soundness ----------------------------------------------------------------------------


@settings(max_examples=40)
@given(seed=SEEDS, d=st.integers(1, 3))
def test_the_halves_of_a_box_cover_it_and_are_sound(seed, d):
    W, X, y, rho, radius, rng = case(seed, m=3, d=d, P=1)
    problem = problem_of(W, X[0], 0, 1, 3.0, rho, radius)
    points = filling(radius, d, rng)
    moved = points @ problem.W.T
    terms = smoothed_relu(problem.T[0] + moved, 3.0, rho)
    values = terms[:, :3].sum(axis=1) - terms[:, 3:].sum(axis=1)
    boxes = problem.whole(np.zeros((1, 6)))
    for depth in range(4):
        neurons = 3 + rng.integers(0, 3, len(boxes.patch))
        neurons[np.diag(problem.gram)[neurons] == 0.0] = 4
        boxes = halves(problem, boxes, neurons)
        tighten(problem, boxes, np.full(len(boxes.patch), np.inf), steps=8, curved=True)
        covered = np.zeros(len(points), dtype=bool)
        for c in range(len(boxes.patch)):
            inside = ((moved >= boxes.low[c]) & (moved <= boxes.high[c])).all(axis=1)
            covered |= inside
            assert np.all(boxes.bounds[c] <= values[inside] + ROUND)
        assert covered.all()


# --- tightness ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_branching_closes_the_bracket(seed):
    W, X, y, rho, radius, _ = case(seed, m=4, d=3, P=3)
    found = certified(W, 3.0, rho, X, y, radius, boxes=4000, target=np.inf)
    # the tolerance of the search, 1e-3 (1 + |margin|), and its rounding
    assert found.upper[0] - found.margins[0] <= 1.1e-3 * (1.0 + abs(found.upper[0]))


def test_branching_alone_is_no_worse_than_the_bound_it_branches_from():
    W, X, y = trained(robust=True, P=5, n=1)
    alone = certified(W, 3.0, 2.0, X, y, 1.3, methods=("branching",), boxes=40, target=np.inf)
    from_quadratic = certified(W, 3.0, 2.0, X, y, 1.3, methods=("quadratic", "branching"),
                               boxes=40, target=np.inf)
    assert np.array_equal(alone.margins, from_quadratic.margins)


# --- the search ---------------------------------------------------------------------------


def test_branching_raises_the_lower_and_lowers_the_upper_bounds():
    W, X, y, rho, radius, _ = case(3, m=6, d=6, P=4)
    problem = problem_of(W, X[0], 0, 1, 3.0, rho, 2.0 * radius)
    upper, attack = attack_patches(problem)
    whole = problem.whole(attack)
    tighten(problem, whole, upper, 50, curved=True)
    before, reached = whole.bounds.copy(), upper.copy()
    lower = branch(problem, whole, upper, attack, 200, np.inf, 1e-6)
    assert np.all(lower >= before) and np.all(upper <= reached) and np.all(lower <= upper)
    assert np.sum(upper - lower) < 0.2 * np.sum(reached - before)


def test_a_few_boxes_a_patch_close_what_small_neurons_leave_open():
    """Two rivals worth splitting among many small ones, whose multipliers the halves keep."""
    rng = np.random.default_rng(0)
    W = 0.1 / np.sqrt(20) * rng.standard_normal((2, 8, 20))
    W[0, 0, [0, 3]] = 0.84, -1.24  # onto u_0, u_1, v_0, v_1: 0, 1, 2, 3
    W[0, 1, [2, 3]] = 0.3, -0.3
    W[1, 0, [1, 2]] = 0.79, -1.26
    W[1, 1, [1, 2]] = 0.42, -0.14
    X = 0.05 * rng.standard_normal((8, 20))
    X[:, 2] += 0.98
    problem = problem_of(W, X, 0, 1, 3.0, 2.0, 1.0)
    upper, attack = attack_patches(problem)
    whole = problem.whole(attack)
    tighten(problem, whole, upper, 100, curved=True)
    gap = np.sum(upper - whole.bounds)
    lower = branch(problem, whole, upper, attack, 10 * len(X), np.inf, 1e-6)
    assert np.sum(upper - lower) < 0.5 * gap


def test_where_nothing_can_be_split_the_bound_stays_what_it_is():
    """The rival is linear wherever the ball goes; bounds of one step of ascent are not tight."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((2, 4, 3))
    W[1] = [4.0, 0.0, 0.0]
    X = np.array([[3.0, 0.0, 0.0], [3.0, 1.0, 0.0]])
    problem = problem_of(W, X, 0, 1, 3.0, 0.5, 0.3)
    upper, attack = attack_patches(problem)
    whole = problem.whole(rng.standard_normal(attack.shape))
    tighten(problem, whole, upper, 1, curved=False)
    assert np.all(whole.bounds < upper - 1e-3)
    lower = branch(problem, whole, upper, attack, 50, np.inf, 1e-6)
    assert np.array_equal(lower, whole.bounds)


def test_a_half_space_shrinks_the_other_intervals_as_far_as_it_can():
    """The largest ``<w_j, delta>`` in the cut ball, found among many points of the plane."""
    rng = np.random.default_rng(2)
    turn = np.linspace(0.0, 2.0 * np.pi, 40001)
    for _ in range(10):
        W = np.zeros((2, 2, 2))
        W[1] = rng.standard_normal((2, 2))
        problem = problem_of(W, np.zeros((1, 2)), 0, 1, 3.0, 1.0, 1.5)
        boxes = problem.whole(np.zeros((1, 4)))
        cut = rng.uniform(-0.9, 0.9) * problem.reach[2]  # where neuron 2 is cut
        boxes.activations[0, 2] = -cut
        both = halves(problem, boxes, np.array([2]))
        circle = 1.5 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        chord = np.linspace(*1.5 * np.stack(_ends(W[1, 0], cut / 1.5)), 1001)
        points = np.concatenate([circle, chord])
        moved = points @ problem.W.T
        for c, side in enumerate((1.0, -1.0)):
            inside = moved[side * (moved[:, 2] - cut) <= 1e-9, 3]
            # a step of the circle is 2.4e-4 long, and nearly flat at a maximum
            np.testing.assert_allclose(both.high[c, 3], inside.max(), atol=1e-3)
            np.testing.assert_allclose(both.low[c, 3], inside.min(), atol=1e-3)


def _ends(w, v):
    """The two points of the unit circle with ``<w, x> = v``."""
    norm = np.linalg.norm(w)
    along, across = v * w / norm ** 2, np.array([-w[1], w[0]]) / norm
    rest = np.sqrt(1.0 - (v / norm) ** 2)
    return along + rest * across, along - rest * across


def test_the_neuron_to_split_is_the_direction_of_the_gaps():
    rival = np.array([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.99, 0.1]])
    W, X = np.stack([np.ones((3, 3)), rival]), np.zeros((4, 3))
    problem = problem_of(W, X, 0, 1, 3.0, 1.0, 1.0)
    boxes = problem.whole(np.zeros((4, 6)))
    boxes.gaps[:, 3:] = [[1.5, 1.0, 0.9], [2.5, 1.0, 0.9], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    boxes.high[3] = 0.0  # dead in the whole box
    # without gaps: the largest chord error, that of the longest neuron
    assert neurons_to_split(problem, boxes).tolist() == [4, 3, 3, -1]
