"""Certificates are sound (nothing in the ball lands below them) and tight where they can be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.search import RandomSearch
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball
from simulator.certificates.branch_and_bound import search
from simulator.certificates.margins import METHODS, certify
from simulator.certificates.relaxation import Relaxation
from simulator.certificates.shared import STEPS
from simulator.heartbeat import listening
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.certificates import BALLS, ROUND, all_bounds, case, filling


@pytest.mark.parametrize("kind", BALLS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 12), d=st.integers(1, 3),
       pure=st.booleans())
def test_no_point_of_the_ball_is_below_a_certificate(kind, seed, m, d, pure):
    network, X, y, radius, rng = case(seed, m, d, n=2, pure=pure)
    ball = kind(radius)
    bounds, certificates = all_bounds(network, X, y, ball)
    for n in range(len(X)):
        points = filling(ball, d, rng)
        least = network.margins(X[n] + points, np.full(len(points), y[n])).min()
        for name, bound in bounds.items():
            assert bound[n] <= least + ROUND, name
        assert certificates.margins[n] <= certificates.upper[n] + ROUND


@pytest.mark.parametrize("kind", BALLS)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pure=st.booleans())
def test_no_attack_lands_below_a_certificate(kind, seed, pure):
    network, X, y, radius, rng = case(seed, 40, 8, n=4, pure=pure)
    ball = kind(radius)
    attacks = {"fgm": FGM(), "pgd": PGD(40, ("zero", "random"), restarts=4),
               "random": RandomSearch()}
    attacked = worst_case(network, Batch(X, y), Adversary(ball, attacks))
    for delta in (None, attacked.delta):
        found = certify(network, Batch(X, y), ball, start=delta, methods=METHODS, boxes=4,
                        target=np.inf, steps=60, root_steps=60)
        for name, bound in found.margins_of.items():
            assert np.all(bound <= attacked.margins + ROUND), name


@pytest.mark.parametrize("kind", BALLS)
def test_a_ball_of_radius_zero_is_the_clean_margin(kind):
    network, X, y, _, _ = case(5, 12, 5)
    found = certify(network, Batch(X, y), kind(0.0), methods=METHODS, target=np.inf)
    np.testing.assert_allclose(found.margins, network.margins(X, y), atol=1e-8)


def test_a_dead_network_is_certified_at_zero_and_counted_as_wrong():
    network = SymmetricReLU(0.01 * np.eye(4), 1.0)
    found = certify(network, Batch(np.ones((2, 4)), np.ones(2)), L2Ball(0.5), methods=METHODS,
                    target=np.inf)
    np.testing.assert_allclose(found.margins, 0.0, atol=1e-9)
    assert found.accuracy() == 0.0


def test_methods_run_only_where_they_are_needed():
    network, X, y, _, _ = case(6, 30, 6, n=30, pure=True)
    y = np.where(network.forward(X) >= 0.0, 1.0, -1.0)
    found = certify(network, Batch(X, y), L2Ball(0.15), methods=("linear", "quadratic"))
    skipped = np.isnan(found.margins_of["quadratic"])
    assert np.all((found.margins_of["linear"] > 0.0)[skipped] | (found.upper <= 0.0)[skipped])
    assert set(found.method) <= {"linear", "quadratic", "none"}
    right = found.upper > 0.0
    assert found.accuracy() <= right.mean()
    reached = network.margins(X + found.delta, y)
    np.testing.assert_allclose(reached, found.upper, atol=1e-9)


@pytest.mark.parametrize("kind", BALLS)
def test_cheap_bounds_first_decide_no_less_than_dear_ones_alone(kind):
    network, X, y, _, _ = case(10, 30, 6, n=30, pure=True)
    y = np.where(network.forward(X) >= 0.0, 1.0, -1.0)
    batch, ball = Batch(X, y), kind(0.08)
    default = certify(network, batch, ball, boxes=20, root_steps=200)
    dear = certify(network, batch, ball, methods=("quadratic", "branching"), boxes=20,
                   root_steps=200)
    assert np.all((default.margins > 0.0) >= (dear.margins > 0.0))
    assert "linear" in default.method and {"shared", "quadratic"} & set(default.method)
    assert 0.0 < np.mean(default.margins > 0.0) < 1.0


def test_every_step_and_every_box_is_heard():
    """So that a run can be stopped within a fraction of a second, whatever the method."""
    network, X, y, _, _ = case(7, 60, 20, n=2)
    for name, least in (("linear", 100), ("separable", 2), ("shared", STEPS), ("quadratic", 2 * 50),
                        ("branching", 2 * 50 + 8)):
        beats = []
        with listening(lambda: beats.append(1)):
            certify(network, Batch(X, y), L2Ball(1.0), methods=(name,), target=np.inf, boxes=5,
                    steps=50, root_steps=50)
        assert len(beats) >= least, name


def test_a_certificate_is_shown_in_one_line():
    network, X, y, radius, _ = case(12, 12, 4)
    shown = repr(certify(network, Batch(X, y), L2Ball(radius), methods=("linear",)))
    assert shown.startswith("Certificates(n=3: ") and shown.endswith(" open, by linear)")
    problem = Relaxation.of_sample(network.weights, network.weights @ X[0], network.bias,
                                   L2Ball(radius))
    for value in (problem, problem.start(np.zeros(4)), search(problem, np.zeros(4), 3)):
        assert "\n" not in repr(value) and len(repr(value)) < 100


@pytest.mark.parametrize("arguments, message", [
    ({"methods": ("crown",)}, "methods: expected one of"),
    ({"boxes": 0}, "boxes: expected at least 1"),
    ({"target": -np.inf}, "target: expected a finite number"),
    ({"seconds": -1.0}, "seconds: expected at least 0"),
    ({"start": np.zeros((1, 2))}, "start: expected shape"),
    ({"steps": 0}, "steps: expected at least 1"),
    ({"root_steps": 0}, "root_steps: expected at least 1"),
])
def test_bad_arguments_are_named(arguments, message):
    network, X, y, radius, _ = case(8, 6, 3)
    with pytest.raises(ValueError, match=message):
        certify(network, Batch(X, y), L2Ball(radius), **arguments)


def test_a_sample_that_the_descent_breaks_is_not_climbed(monkeypatch):
    rng = np.random.default_rng(6)
    network = SymmetricReLU(rng.standard_normal((20, 8)), 0.5)
    X = rng.standard_normal((1, 8))
    batch = Batch(X, np.where(network.forward(X) > 0.0, 1.0, -1.0))
    steps, real = [], Relaxation.maximise

    def counted(self, start, number, *rest, **options):
        steps.append(number)
        return real(self, start, number, *rest, **options)

    monkeypatch.setattr(Relaxation, "maximise", counted)
    found = certify(network, batch, L2Ball(3.0), methods=("quadratic",), steps=50)
    whole = certify(network, batch, L2Ball(3.0), methods=("quadratic",), steps=50, target=np.inf)
    assert steps == [1, 50]
    assert found.upper[0] <= 0.0 and found.margins[0] <= whole.margins[0] <= whole.upper[0]
