"""Arrays that may not be written to are as good as others, wherever arrays enter.

They come from memory maps, shared memory and other libraries. A network trains its weights in
place, so it takes a copy of those.
"""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.suites import standard_attacks, strong_attacks
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball, LinfBall, PatchL2Ball
from simulator.features import correlations, cosines, decompose, feature_metrics, purification
from simulator.networks.linear import LinearClassifier
from simulator.networks.linearized import LinearizedReLU
from simulator.networks.low_rank import LowRankUpdate
from simulator.networks.masked import MaskedReLU
from simulator.networks.polynomials import Polynomial, SymmetricCubic
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk.empirical import empirical_ntk
from simulator.ntk.measures import distance
from simulator.protocols import Batch
from simulator.robustness.accuracy import accuracy_curves
from simulator.robustness.bracket import bracket
from simulator.robustness.critical_radius import critical_radius
from simulator.tickets.dynamics import Dynamics
from simulator.tickets.masks import lottery_mask, magnitude_mask, snip_mask
from simulator.tickets.swaps import greedy_swaps, propose_swaps

N, D, M, P = 12, 6, 15, 3
ORIGIN = SymmetricReLU(np.random.default_rng(1).standard_normal((M, D)), 0.2)

# name -> weights' shape, network of these weights
NETWORKS = {
    "plain": ((M, D), lambda W: SymmetricReLU(W, 0.2)),
    "smoothed": ((M, D), lambda W: SymmetricReLU(W, 0.2, smoothing=0.1)),
    "low rank": ((M + D, 2), lambda W: LowRankUpdate(
        SymmetricReLU(ORIGIN.weights.astype(W.dtype), 0.2), W)),
    "masked": ((M, D), lambda W: MaskedReLU(W, frozen(W > -0.5), 0.2)),
    "sparse": ((M, D), lambda W: MaskedReLU(W, frozen(W > 0.5), 0.2, sparse=True)),
    "linearized": ((M, D), lambda W: LinearizedReLU(ORIGIN, weights=W)),
    "linear": ((D,), LinearClassifier),
    "polynomial": ((D + D * (D + 1) // 2,), lambda W: Polynomial(D, 2, W)),
    "cubic": (None, lambda W: SymmetricCubic(frozen(np.ones(D)))),
    "patches": ((2, M, D), lambda W: SmoothedReLUCNN(W, 3, 0.5)),
}


def frozen(array):
    """The same array, read-only."""
    array = np.array(array)
    array.flags.writeable = False
    return array


def samples(name, dtype):
    rng = np.random.default_rng(0)
    shape = (N, P, D) if name == "patches" else (N, D)
    wrong = 0.0 if name == "patches" else -1.0  # classes count from 0
    return (rng.standard_normal(shape).astype(dtype),
            np.where(rng.random(N) < 0.5, wrong, 1.0).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float64, pytest.param(np.float32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_read_only_arrays_computes_and_trains_the_same(name, dtype):
    shape, make = NETWORKS[name]
    weights = None if shape is None else (
        0.3 * np.random.default_rng(2).standard_normal(shape)).astype(dtype)
    if name == "linearized":
        weights = weights.astype(np.float64)
    X, y = samples(name, dtype)
    ball = PatchL2Ball(0.3) if name == "patches" else L2Ball(0.3)
    results = []
    for guard in (np.array, frozen):
        W, inputs, labels = guard(weights) if shape else None, guard(X), guard(y)
        network = make(W)
        found = [network.margins(inputs, labels), network.margin_gradient(inputs, labels)]
        found.append(FGM().perturb(network, inputs, labels, ball, np.random.default_rng(3)).delta)
        if name != "linear":  # it is solved for, not trained
            found.append(PGD(3, ("zero", "random")).perturb(network, inputs, labels, ball,
                                                            np.random.default_rng(3)).delta)
            network.gradient_step(inputs, labels, 0.1, 0.01)
        found.append(network.weights)
        results.append(found)
        assert np.array_equal(inputs, X) and np.array_equal(labels, y)
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("ball", [L2Ball(0.3), LinfBall(0.3), PatchL2Ball(0.3)])
def test_a_ball_takes_read_only_gradients(ball):
    G = np.random.default_rng(0).standard_normal((N, P, D))
    for ask in (ball.norm, ball.dual_norm, ball.steepest, ball.project):
        assert np.array_equal(ask(frozen(G)), ask(G))


def test_features_and_kernels_take_read_only_arrays():
    rng = np.random.default_rng(0)
    W, V, X = (rng.standard_normal((M, D)) for _ in range(3))
    dictionary, y = np.linalg.qr(rng.standard_normal((D, D)))[0], np.ones(M)
    results = []
    for guard in (np.array, frozen):
        parts = decompose(guard(W), guard(dictionary), guard(np.ones(D)))
        kernel = guard(empirical_ntk(SymmetricReLU(guard(W), 0.2), guard(X)))
        results.append([
            feature_metrics(parts), cosines(guard(W), guard(V)).tolist(),
            correlations(parts, guard(X), guard(y), guard(dictionary)),
            purification(guard(W), guard(V), guard(np.arange(M))), kernel.tolist(),
            distance(kernel, guard(np.eye(M)))])
    assert results[0] == results[1]


@pytest.mark.parametrize("ball", [L2Ball(0.2), LinfBall(0.1)], ids=["l2", "linf"])
def test_attacks_and_certificates_take_read_only_samples(ball):
    """Through the bracket: every bound, and every attack of both suites."""
    rng = np.random.default_rng(4)
    W, (X, y) = rng.standard_normal((M, D)), samples("plain", np.float64)
    results = []
    for guard in (np.array, frozen):
        network, direction = SymmetricReLU(guard(W), 0.2), guard(np.ones(D))
        adversary = Adversary(ball, standard_attacks(direction, 3),
                              strong=strong_attacks(direction, guard(np.eye(D))))
        batch = Batch(guard(X), guard(y), None)
        found = worst_case(network, batch, adversary)
        (both,) = bracket(network, batch, adversary, radii=[ball.radius], boxes=5, steps=20,
                          root_steps=50)
        curves = accuracy_curves(network, batch, adversary, radii=[0.1, 0.3])
        results.append([found.delta, both.certified, both.attacked, *curves.values(),
                        critical_radius(network, batch, adversary).value])
        assert np.array_equal(batch.X, X)
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


def test_a_search_for_a_mask_takes_read_only_arrays():
    rng = np.random.default_rng(0)
    W, X, mask = rng.standard_normal((M, D)), rng.standard_normal((4, D)), rng.random((M, D)) < 0.5
    swaps = propose_swaps(mask, 20, rng)
    results = [greedy_swaps(Dynamics(guard(W), 0.2, guard(X)), guard(mask), guard(swaps))
               for guard in (np.array, frozen)]
    assert np.array_equal(results[0][0], results[1][0]) and results[0][1] == results[1][1]


def test_masks_take_read_only_arrays():
    rng = np.random.default_rng(0)
    W, G = rng.standard_normal((2, M, D))
    for make in (lambda guard: magnitude_mask(guard(W), 0.4),
                 lambda guard: lottery_mask(guard(W), 0.4),
                 lambda guard: snip_mask(guard(W), guard(G), 0.4)):
        assert np.array_equal(make(frozen), make(np.array))
