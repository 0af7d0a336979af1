"""The certified radius of each sample: that of a grid, found by bisection."""

import numpy as np
import pytest

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.margins import certify
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch
from simulator.robustness.certified_radius import certified_radii

RADII = np.arange(1, 25) * 0.05


def one_feature(d=6, bias=0.2):
    """Neuron 0 alone reads the label: a sample of size x breaks where x - r falls to the bias."""
    W = np.zeros((2, d))
    W[0, 0] = 1.0
    return SymmetricReLU(W, bias)


@pytest.mark.parametrize("kind", [L2Ball, LinfBall])
def test_the_radius_is_the_largest_below_the_truth(kind):
    network, sizes = one_feature(), np.array([0.22, 0.26, 0.415, 0.63, 0.9])
    X = np.zeros((5, 6))
    X[:, 0] = sizes
    found = certified_radii(network, Batch(X, np.ones(5)), kind(1.0), radii=RADII)
    # a margin of exactly 0 is not robust, and beyond the bias the output is 0
    truth = [max((r for r in RADII if r < size - 0.2), default=-np.inf) for size in sizes]
    np.testing.assert_allclose(found, truth)


def test_a_wrong_sample_is_certified_at_no_radius():
    X = np.array([[0.5] + [0.0] * 5])
    assert certified_radii(one_feature(), Batch(X, -np.ones(1)), L2Ball(1.0), radii=[0.0, 0.1])[
        0] == -np.inf
    assert certified_radii(one_feature(), Batch(X, np.ones(1)), L2Ball(1.0), radii=[0.0, 0.1])[
        0] == 0.1


def test_bisection_finds_what_a_scan_finds():
    rng = np.random.default_rng(3)
    d = 16
    network = SymmetricReLU(np.eye(d) + 0.05 * rng.standard_normal((d, d)), 0.3)
    X = np.where(rng.random((25, d)) < 0.3, 1.0, 0.0)
    X[:, 0] = 1.0
    batch = Batch(X, np.ones(25))
    tried = []
    found = certified_radii(network, batch, L2Ball(1.0), radii=RADII, methods=("separable",),
                            tick=lambda number, keep: tried.append(number))
    held = np.array([certify(network, batch, L2Ball(r), methods=("separable",)).margins > 0.0
                     for r in RADII])
    scan = np.where(held.any(axis=0), RADII[held.shape[0] - 1 - held[::-1].argmax(axis=0)], -np.inf)
    assert np.array_equal(found, scan)
    assert len(set(found)) > 3 and tried == list(range(1, len(tried) + 1))


def test_more_methods_never_certify_less():
    rng = np.random.default_rng(4)
    network = SymmetricReLU(rng.standard_normal((30, 10)) / 3.0, 0.6)
    X = rng.standard_normal((12, 10))
    batch = Batch(X, np.where(network.forward(X) > 0.0, 1.0, -1.0))
    shared, more = (certified_radii(network, batch, L2Ball(1.0), radii=RADII, methods=methods,
                                    boxes=20, steps=60, root_steps=60)
                    for methods in (("shared",), ("shared", "quadratic", "branching")))
    assert np.all(more >= shared) and np.any(more > shared)


def test_an_interrupted_search_goes_on_to_the_same_radii():
    rng = np.random.default_rng(3)
    network = SymmetricReLU(np.eye(16) + 0.05 * rng.standard_normal((16, 16)), 0.3)
    X = np.where(rng.random((9, 16)) < 0.3, 1.0, 0.0)
    X[:, 0] = 1.0
    batch, kept = Batch(X, np.ones(9)), []
    whole = certified_radii(network, batch, L2Ball(1.0), radii=RADII,
                            tick=lambda number, keep: kept.append(keep()))
    assert len(kept) > 3
    for number, saved in enumerate(kept, start=1):
        rest = []
        again = certified_radii(network, batch, L2Ball(1.0), radii=RADII, saved=saved,
                                tick=lambda number, keep: rest.append(number))
        assert np.array_equal(again, whole)
        assert rest == list(range(number + 1, len(kept) + 1))


@pytest.mark.parametrize("options, name", [
    ({"radii": [0.2, 0.1]}, "radii"), ({"radii": [0.1], "methods": ("guess",)}, "methods")])
def test_what_makes_no_sense_is_named(options, name):
    with pytest.raises(ValueError, match=name):
        certified_radii(one_feature(), Batch(np.ones((1, 6)), np.ones(1)), L2Ball(1.0), **options)
