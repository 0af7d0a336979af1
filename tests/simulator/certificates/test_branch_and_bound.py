"""The search finds the worst margin, cuts soundly and keeps its budgets."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.balls import L2Ball, LinfBall
from simulator.certificates import relaxation
from simulator.certificates.branch_and_bound import _reach, search
from simulator.certificates.relaxation import Relaxation

from planted.certificates import BALLS, ROUND, case, filling


@pytest.mark.parametrize("seed", range(6))
def test_branch_and_bound_finds_the_worst_margin_of_the_disc(seed):
    network, X, y, radius, rng = case(seed, 10, 2, n=1)
    ball = L2Ball(radius)
    problem = Relaxation.of_sample(network.weights, y[0] * (network.weights @ X[0]),
                                   network.bias, ball)
    found = search(problem, np.zeros(2), 4000, target=np.inf, tolerance=0.02)
    points = filling(ball, 2, rng)
    least = network.margins(X[0] + points, np.full(len(points), y[0])).min()
    assert found.finished and found.upper - found.lower <= 0.02 + ROUND
    assert found.lower <= least + ROUND and found.upper <= least + 0.02
    reached = network.margins(X + y[0] * found.delta, y)[0]
    assert reached == pytest.approx(found.upper, abs=1e-9)
    assert np.linalg.norm(found.delta) <= radius * (1.0 + 1e-12)


@pytest.mark.parametrize("kind", BALLS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_half_space_shrinks_intervals_soundly(kind, seed):
    rng = np.random.default_rng(seed)
    ball = kind(1.0)
    V, w = rng.standard_normal((5, 3)), rng.standard_normal(3)
    v = rng.uniform(-1.0, 1.0) * ball.dual_norm(w[None])[0]
    points = filling(ball, 3, rng)
    points = points[points @ w <= v]
    if len(points):
        assert np.all((points @ V.T).max(axis=0) <= _reach(V, w, v, ball) + ROUND)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_eta_shrinks_an_interval_more(seed):
    rng = np.random.default_rng(seed)
    ball = LinfBall(0.7)
    V, w = rng.standard_normal((6, 5)), rng.standard_normal(5) * np.array([1.0, 1.0, 0.0, 1.0, 1.0])
    v = rng.uniform(-1.0, 1.0) * 0.7 * np.abs(w).sum()
    found = _reach(V, w, v, ball)
    for eta in np.linspace(0.0, 5.0, 400):
        assert np.all(found <= 0.7 * np.abs(V - eta * w).sum(axis=1) + eta * v + ROUND)


def test_the_budgets_are_kept():
    network, X, y, _, _ = case(7, 200, 20, n=1)
    problem = Relaxation.of_sample(network.weights, y[0] * (network.weights @ X[0]),
                                   network.bias, L2Ball(1.0))

    def run(boxes, seconds=float("inf")):
        return search(problem, np.zeros(20), boxes, seconds, np.inf, root_steps=20, box_steps=5)

    small, same, large = run(7), run(7), run(41)
    assert small.boxes in (7, 8) and large.boxes in (41, 42)
    assert (small.lower, small.upper) == (same.lower, same.upper)
    assert small.lower <= large.lower <= large.upper <= small.upper
    assert not small.finished
    began = time.perf_counter()
    found = run(10**9, 0.3)
    assert time.perf_counter() - began < 3.0  # a loaded machine; one box more at most
    assert not found.finished and found.lower <= found.upper


@pytest.mark.parametrize("large", [0, 10**9])
def test_a_hopeless_search_ends_early_with_a_bound_that_holds(large, monkeypatch):
    monkeypatch.setattr(relaxation, "LARGE", large)
    rng = np.random.default_rng(4)
    W = rng.standard_normal((60, 12))
    x = rng.standard_normal(12)
    problem = Relaxation.of_sample(W, W @ x, 0.5, L2Ball(1.5))
    patient = search(problem, np.zeros(12), boxes=40, target=np.inf, root_steps=50)
    assert patient.boxes >= 40  # asked for the margin itself, it goes on
    found = search(problem, patient.delta, boxes=60, target=patient.upper - 0.01, root_steps=50)
    assert not found.finished and found.boxes < 60
    points = L2Ball(1.5).project(rng.standard_normal((500, 12)))
    assert found.lower <= min(problem.margin(point) for point in points)


@pytest.mark.parametrize("ahead, boxes", [(0.9, 1), (0.4, 5)], ids=["far", "near"])
def test_few_boxes_are_not_spent_where_the_root_ends_far_from_the_target(ahead, boxes, monkeypatch):
    """``ahead`` is how far the target is on the way from the bound of the root to the best attack:
    above half of it is far.
    """
    monkeypatch.setattr(relaxation, "LARGE", 0)
    rng = np.random.default_rng(4)
    W = rng.standard_normal((60, 12))
    problem = Relaxation.of_sample(W, W @ rng.standard_normal(12), 0.5, L2Ball(1.5))
    known = search(problem, np.zeros(12), boxes=40, target=np.inf, root_steps=300)
    root = search(problem, known.delta, boxes=1, target=np.inf, root_steps=300)
    target = root.lower + ahead * (root.upper - root.lower)
    found = search(problem, known.delta, boxes=4, target=target, root_steps=300)
    assert found.boxes == boxes and found.lower <= found.upper
