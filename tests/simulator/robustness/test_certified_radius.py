"""The certified radius of each sample: that of a grid, found by bisection."""

import numpy as np
import pytest

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.margins import certify, certify_inputs
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch
from simulator.robustness import certified_radius
from simulator.robustness.certified_radius import certified_radii
from simulator.robustness.tails import order

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


@pytest.mark.parametrize("method", ["separable", "shared"])
def test_bisection_finds_what_a_scan_finds(method):
    """Also of "shared": the few samples of a radius have the curvatures of all."""
    rng = np.random.default_rng(3)
    d = 16
    network = SymmetricReLU(np.eye(d) + 0.05 * rng.standard_normal((d, d)), 0.3)
    X = np.where(rng.random((25, d)) < 0.3, 1.0, 0.0)
    X[:, 0] = 1.0
    batch = Batch(X, np.ones(25))
    tried = []
    found = certified_radii(network, batch, L2Ball(1.0), radii=RADII, methods=(method,),
                            tick=lambda number, keep: tried.append(number))
    held = np.array([certify(network, batch, L2Ball(r), methods=(method,)).margins > 0.0
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


@pytest.mark.parametrize("kind, radii", [(L2Ball, RADII), (LinfBall, 0.3 * RADII)])
@pytest.mark.parametrize("level", [0.6, 0.9, 1.0])
def test_dear_bounds_decide_the_radius_of_a_level(kind, radii, level):
    rng = np.random.default_rng(9)
    network = SymmetricReLU(np.eye(12) + 0.15 * rng.standard_normal((12, 12)), 0.2)
    X = np.where(rng.random((20, 12)) < 0.4, 1.0, 0.0)
    X[:, 0] = 1.0
    batch, options = Batch(X, np.ones(20)), {"radii": radii, "methods": ("linear",), "steps": 60}
    cheap, asked = certified_radii(network, batch, kind(1.0), **options), []
    found = certified_radii(network, batch, kind(1.0), dear=("quadratic",), level=level,
                            tick=lambda number, keep: asked.append(number), **options)
    # every sample at every radius; what a bound leaves open it leaves open at larger radii
    both = [certify(network, batch, kind(r), methods=("linear", "quadratic"), steps=60).margins
            for r in radii]
    shares = np.logical_and.accumulate(np.array(both) > 0.0).mean(axis=1)
    best = radii[np.flatnonzero(shares >= level)[-1]]
    place = order(level, len(X)) - 1
    assert np.sort(found)[place] == best > np.sort(cheap)[place]
    assert np.all(found >= cheap)
    assert len(asked) < len(radii) * len(X) / 10


@pytest.mark.parametrize("level", [0.5, 0.9, 1.0])
def test_what_lies_beyond_a_level_can_be_left(level, monkeypatch):
    """The radius of the level is the same, other samples are only asked as far as it takes."""
    monkeypatch.setattr(certified_radius, "AT_ONCE", 4)
    rng = np.random.default_rng(3)
    network = SymmetricReLU(np.eye(16) + 0.05 * rng.standard_normal((16, 16)), 0.3)
    X = np.where(rng.random((30, 16)) < 0.3, 1.0, 0.0)
    X[:, 0] = 1.0
    batch = Batch(X, np.ones(30))
    whole, some = (certified_radii(network, batch, L2Ball(1.0), radii=RADII, level=level,
                                   beyond=beyond, methods=("separable",))
                   for beyond in (True, False))
    place = order(level, 30) - 1
    assert np.sort(some)[place] == np.sort(whole)[place]
    assert np.all(some <= whole) and np.any(some < whole)
    below = whole < np.sort(whole)[place]
    assert np.array_equal(some[below], whole[below]) and below.any() == (level < 1.0)
    middle = RADII[len(RADII) // 2 - 1]
    assert np.array_equal(some >= middle, whole >= middle)


@pytest.mark.parametrize("beyond", [True, False])
@pytest.mark.parametrize("together", [3, 64])
@pytest.mark.parametrize("cheap", ["separable", "shared"])
def test_an_interrupted_search_goes_on_to_the_same_radii(cheap, together, beyond, monkeypatch):
    monkeypatch.setattr(certified_radius, "AT_ONCE", together)
    rng = np.random.default_rng(3)
    network = SymmetricReLU(np.eye(16) + 0.05 * rng.standard_normal((16, 16)), 0.3)
    X = np.where(rng.random((9, 16)) < 0.3, 1.0, 0.0)
    X[:, 0] = 1.0
    batch, kept = Batch(X, np.ones(9)), []
    options = {"radii": RADII, "methods": (cheap,), "dear": ("quadratic",), "steps": 40,
               "beyond": beyond}
    whole = certified_radii(network, batch, L2Ball(1.0),
                            tick=lambda number, keep: kept.append(keep()), **options)
    assert len(kept) > 3
    assert any((saved["left"] < len(RADII)).any() for saved in kept)  # single samples were asked
    for number, saved in enumerate(kept, start=1):
        rest = []
        again = certified_radii(network, batch, L2Ball(1.0), saved=saved,
                                tick=lambda number, keep: rest.append(number), **options)
        assert np.array_equal(again, whole)
        assert rest == list(range(number + 1, len(kept) + 1))


def test_no_bound_is_asked_for_what_is_broken(monkeypatch):
    """Nor dear ones about many: where few decide they are asked about those first."""
    rng = np.random.default_rng(9)
    network = SymmetricReLU(np.eye(12) + 0.15 * rng.standard_normal((12, 12)), 0.2)
    X = np.where(rng.random((40, 12)) < 0.4, 1.0, 0.0)
    X[:, 0] = 1.0
    batch, asked = Batch(X, np.ones(40)), []

    def seen(inputs, start, methods, effort):
        asked.append((methods, len(inputs)))
        margins = np.add(*inputs.margins(inputs.descended()))
        assert np.all(margins > 0.0)
        return certify_inputs(inputs, start, methods, effort)

    monkeypatch.setattr(certified_radius, "certify_inputs", seen)
    found = certified_radii(network, batch, L2Ball(1.0), radii=RADII, methods=("linear",),
                            dear=("own", "quadratic"), level=0.9, beyond=False)
    dear = [number for methods, number in asked if methods == ("own", "quadratic")]
    assert np.isfinite(found).any() and dear and set(dear) == {1}
    first = [methods for methods, _ in asked].index(("own", "quadratic"))
    assert not any(methods == ("linear",) for methods, _ in asked[first:first + 2])


@pytest.mark.parametrize("options, name", [
    ({"radii": [0.2, 0.1]}, "radii"), ({"radii": [0.1], "methods": ("guess",)}, "methods"),
    ({"radii": [0.1], "dear": ("guess",)}, "dear"), ({"radii": [0.1], "level": 0.2}, "level")])
def test_what_makes_no_sense_is_named(options, name):
    with pytest.raises(ValueError, match=name):
        certified_radii(one_feature(), Batch(np.ones((1, 6)), np.ones(1)), L2Ball(1.0), **options)
