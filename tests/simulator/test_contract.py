"""The contract: every class of the project keeps it, and every broken one is caught by its rule."""

import re

import numpy as np
import pytest

from simulator.attacks.directions import FixedDirections, Universal
from simulator.attacks.gradient import FGM, PGD, AdaptivePGD
from simulator.attacks.paired import PairedPatchSearch
from simulator.attacks.patches import PatchSearch
from simulator.attacks.search import FeatureGreedy, RandomSearch
from simulator.attacks.through import ThroughSmoothedGates
from simulator.balls import L2Ball, LinfBall, PatchL2Ball
from simulator.contract import (ATTACK_RULES, DATA_RULES, NETWORK_RULES, ContractError,
                                check_attack, check_data, check_network)
from simulator.data.patches import PatchData
from simulator.data.sparse_coding import SparseCoding, random_dictionary, random_signs
from simulator.losses import logistic_loss, logistic_residual
from simulator.networks.linear import LinearClassifier
from simulator.networks.linearized import LinearizedReLU
from simulator.networks.low_rank import LowRankUpdate
from simulator.networks.masked import MaskedReLU
from simulator.networks.polynomials import (Polynomial, SymmetricCubic, SymmetricQuadratic,
                                            coefficients)
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch, Perturbation

RNG = np.random.default_rng(1)
M, D, N = 9, 6, 5
W, DW, MASK = RNG.standard_normal((M, D)), RNG.standard_normal((M, D)), RNG.random((M, D)) < 0.6
X, Y = RNG.standard_normal((N, D)), np.array([1.0, -1.0, -1.0, 1.0, 1.0])
PATCHES, CLASSES = RNG.standard_normal((N, 4, D)), np.array([0, 1, 1, 0, 1])
PLAIN = SymmetricReLU(W, 0.7)
CNN = SmoothedReLUCNN(RNG.standard_normal((2, 3, D)), 3, 0.8)


def drawn(count):
    return 0.3 * np.random.default_rng(2).standard_normal(count)


NETWORKS = {
    "plain": PLAIN,
    "without screening": SymmetricReLU(W, 0.7, screening=False),
    "smoothed": SymmetricReLU(W, 0.7, 0.3),
    "sampled": SymmetricReLU(W, 0.7, 0.3, sampled_smoothing=True),
    "uncentred": LinearizedReLU(PLAIN, weights=DW),
    "centred": LinearizedReLU(PLAIN, centred=True, weights=DW),
    "uncentred smoothed gates": LinearizedReLU(PLAIN, weights=DW, smoothing=1.5),
    "smoothed gates": LinearizedReLU(PLAIN, centred=True, weights=DW, smoothing=0.4),
    "linear": LinearClassifier(W[0]),
    "degree 2": Polynomial(D, 2, drawn(coefficients(D, 2))),
    "degree 3": Polynomial(D, 3, drawn(coefficients(D, 3))),
    "symmetric cubic": SymmetricCubic(random_signs(D, 3), random_dictionary(D, 4), drawn(4)),
    "symmetric quadratic": SymmetricQuadratic(random_signs(D, 3), random_dictionary(D, 4),
                                              drawn(3)),
    "low rank": LowRankUpdate(PLAIN, drawn((M + D, 2))),
    "low rank, smoothed": LowRankUpdate(SymmetricReLU(W, 0.7, 0.3), drawn((M + D, 2))),
    "low rank, sampled": LowRankUpdate(SymmetricReLU(W, 0.7, 0.3, True), drawn((M + D, 1))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_vectors_keeps_the_contract(name):
    assert len(check_network(NETWORKS[name], X, Y)) == len(NETWORK_RULES)
    assert np.array_equal(PLAIN.weights, W)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_ticket_keeps_the_contract_and_its_mask(sparse):
    check_network(MaskedReLU(W, MASK, 0.5, 1.3, sparse=sparse), X, Y, free=MASK)


@pytest.mark.parametrize("q", [2, 3, 4])
def test_the_patch_network_keeps_the_contract(q):
    check_network(SmoothedReLUCNN(CNN.weights, q, 0.8), PATCHES, CLASSES)


@pytest.mark.parametrize("attack", [
    FGM(), PGD(3, ("zero", "random")), AdaptivePGD(3), Universal(W[0]), RandomSearch(5),
    ThroughSmoothedGates(FGM()), FeatureGreedy(None)],
    ids=lambda attack: type(attack).__name__)
@pytest.mark.parametrize("ball", [L2Ball(0.4), LinfBall(0.2)], ids=["l2", "linf"])
def test_an_attack_keeps_the_contract(attack, ball):
    assert len(check_attack(attack, PLAIN, Batch(X, Y), ball)) == len(ATTACK_RULES)


@pytest.mark.parametrize("attack", [
    FGM(), FixedDirections(CNN.weights[:, 0]),
    PatchSearch(np.concatenate([np.eye(2, D), np.eye(2, D, 2)]), steps=2),
    PairedPatchSearch(np.eye(4, D), steps=2)],
    ids=lambda attack: type(attack).__name__)
@pytest.mark.parametrize("ball", [PatchL2Ball(0.4), LinfBall(0.2)], ids=["l2", "linf"])
def test_an_attack_on_patches_keeps_the_contract(attack, ball):
    check_attack(attack, CNN, Batch(PATCHES, CLASSES), ball)


@pytest.mark.parametrize("data", [
    SparseCoding(d=20, k=3), SparseCoding(12, 2, labeler=random_signs(12), noise=0.0),
    SparseCoding(12, 2, dictionary=random_dictionary(12)), SparseCoding(12, 2, label_margin=0.0),
    PatchData(8, np.ones(1), np.ones(3), jitter=0.2),
    PatchData(8, np.ones(1), np.ones(3), classes=3)], ids=repr)
def test_a_data_model_keeps_the_contract(data):
    assert len(check_data(data)) == len(DATA_RULES)


# --- the planted offenders ----------------------------------------------------------------


class Tanh:
    """A network of somebody else's: f(x) = sum_i tanh(<w_i, x>). It keeps the contract."""

    def __init__(self, weights=W):
        self.weights = np.array(weights)

    def outputs(self, X):
        return np.tanh(np.asarray(X, self.weights.dtype) @ self.weights.T)

    def margins(self, X, y):
        return np.asarray(y, self.weights.dtype) * self.outputs(X).sum(axis=1)

    def margin_gradient(self, X, y):
        slopes = 1.0 - self.outputs(X) ** 2
        return np.asarray(y, slopes.dtype)[:, None] * (slopes @ self.weights)

    def loss_gradient(self, X, y, weight_decay=0.0, rng=None):
        X, y = np.asarray(X, self.weights.dtype), np.asarray(y, self.weights.dtype)
        margins = self.margins(X, y)
        residual = -y * logistic_residual(margins) / len(X)
        gradient = ((1.0 - self.outputs(X) ** 2) * residual[:, None]).T @ X
        decay = 0.5 * weight_decay * float(np.sum(self.weights**2))
        return logistic_loss(margins) + decay, gradient + weight_decay * self.weights

    def gradient_step(self, X, y, learning_rate, weight_decay=0.0, rng=None):
        loss, gradient = self.loss_gradient(X, y, weight_decay, rng)
        self.weights -= learning_rate * gradient
        return loss


def test_a_network_that_inherits_nothing_keeps_the_contract():
    check_network(Tanh(), X, Y)


class NoStep(Tanh):
    gradient_step = None


class FlatGradient(Tanh):
    def margin_gradient(self, X, y):
        return super().margin_gradient(X, y).ravel()


class WritesIntoItsInputs(Tanh):
    def margins(self, X, y):
        if X.flags.writeable:
            X *= 0.5
        return super().margins(X, y)


class NeedsToWrite(Tanh):
    def margin_gradient(self, X, y):
        np.add(X, 0.0, out=X)
        return super().margin_gradient(X, y)


class RemembersCalls(Tanh):
    calls = 0

    def margins(self, X, y):
        self.calls += 1
        return super().margins(X, y) + 1e-3 * self.calls


class NormalisesTheBatch(Tanh):
    def margins(self, X, y):
        return super().margins(X, y) - super().margins(X, y).mean()


class AnotherGradientFromOnePass(Tanh):
    def margins_and_gradient(self, X, y):
        return self.margins(X, y), -self.margin_gradient(X, y)


class SumsTheLoss(Tanh):
    def loss_gradient(self, X, y, weight_decay=0.0, rng=None):
        loss, gradient = super().loss_gradient(X, y, weight_decay, rng)
        return loss * len(X), gradient * len(X)


class ForgetsTheSlope(Tanh):
    def margin_gradient(self, X, y):
        return np.asarray(y, self.weights.dtype)[:, None] * (np.ones((len(X), M),
                                                             self.weights.dtype) @ self.weights)


class ForgetsTheDecay(Tanh):
    def loss_gradient(self, X, y, weight_decay=0.0, rng=None):
        loss, gradient = super().loss_gradient(X, y, weight_decay, rng)
        return loss, gradient - weight_decay * self.weights


class StepsWithoutDecay(Tanh):
    def gradient_step(self, X, y, learning_rate, weight_decay=0.0, rng=None):
        loss = self.loss_gradient(X, y, weight_decay, rng)[0]
        self.weights -= learning_rate * self.loss_gradient(X, y)[1]
        return loss


class ReplacesItsWeights(Tanh):
    def gradient_step(self, X, y, learning_rate, weight_decay=0.0, rng=None):
        loss, gradient = self.loss_gradient(X, y, weight_decay, rng)
        self.weights = self.weights - learning_rate * gradient
        return loss


class HidesNaN(Tanh):
    def loss_gradient(self, X, y, weight_decay=0.0, rng=None):
        loss, gradient = super().loss_gradient(X, y, weight_decay, rng)
        return float(np.nan_to_num(loss)), gradient


class AlwaysDouble(Tanh):
    def margins(self, X, y):
        return super().margins(X, y).astype(np.float64)


@pytest.mark.parametrize("offender, rule, message", [
    (NoStep, "methods", "expected a method gradient_step, got none"),
    (FlatGradient, "shapes", r"margin_gradient: shape \(5, 6\), got \(30,\)"),
    (WritesIntoItsInputs, "inputs", "expected X as it was, got other numbers"),
    (NeedsToWrite, "read-only", "expected an answer, got ValueError"),
    (RemembersCalls, "repetition", "expected the same margins again"),
    (NormalisesTheBatch, "samples", "expected the margin a sample has alone"),
    (AnotherGradientFromOnePass, "one pass", r"the gradient of margin_gradient\(\)"),
    (SumsTheLoss, "mean loss", "expected the mean of the losses"),
    (ForgetsTheSlope, "margin gradient", "margins by X: the derivative"),
    (ForgetsTheDecay, "loss gradient", "the loss by the weights: the derivative"),
    (StepsWithoutDecay, "step", r"weights - learning_rate \* gradient"),
    (ReplacesItsWeights, "step", "changed in place, got a new array"),
    (HidesNaN, "NaN", "expected a loss of NaN"),
    (AlwaysDouble, "float32", "margins: float32 as the weights, got float64"),
], ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_network_is_caught_by_its_rule(offender, rule, message):
    with pytest.raises(ContractError, match=f"{offender.__name__}: {rule}: .*{message}") as caught:
        check_network(offender(), X, Y)
    assert caught.value.rule == rule
    assert re.search(r"\(simulator/.*\)$", str(caught.value))


class Kind(FGM):
    """FGM, to be broken."""


class NoPerturb:
    perturb = 3


class BareArray(Kind):
    def perturb(self, network, X, y, ball, rng):
        return super().perturb(network, X, y, ball, rng).delta


class Blind(Kind):
    def perturb(self, network, X, y, ball, rng):
        return Perturbation(np.zeros_like(X), len(X))


class PerturbsInPlace(Kind):
    def perturb(self, network, X, y, ball, rng):
        found = super().perturb(network, X, y, ball, rng)
        if X.flags.writeable:
            X += found.delta
        return found


class WantsToWrite(Kind):
    def perturb(self, network, X, y, ball, rng):
        X += 0.0
        return super().perturb(network, X, y, ball, rng)


class OwnNoise(Kind):
    generator = np.random.default_rng(5)

    def perturb(self, network, X, y, ball, rng):
        return Perturbation(ball.draw(self.generator, X.shape, X.dtype), 0)


class DoubleDelta(Kind):
    def perturb(self, network, X, y, ball, rng):
        found = super().perturb(network, X, y, ball, rng)
        return Perturbation(found.delta.astype(np.float64), found.zero_gradients)


@pytest.mark.parametrize("offender, rule, message", [
    (NoPerturb, "method", "expected a method perturb, got none"),
    (BareArray, "perturbation", r"expected a Perturbation\(delta, zero_gradients\), got ndarray"),
    (Blind, "ball", "expected a perturbation of at least one sample, got zero"),
    (PerturbsInPlace, "inputs", "expected X as it was"),
    (WantsToWrite, "read-only", "expected an answer, got ValueError"),
    (OwnNoise, "same seed", "expected the same delta"),
    (DoubleDelta, "float32", "expected delta of the dtype of X, float32, got float64"),
], ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_attack_is_caught_by_its_rule(offender, rule, message):
    with pytest.raises(ContractError, match=message) as caught:
        check_attack(offender(), PLAIN, Batch(X, Y), L2Ball(0.3))
    assert caught.value.rule == rule


class Coins:
    """Gaussian inputs with coins for labels. It keeps the contract."""

    def sample(self, n, rng, dtype=np.float64):
        return Batch(rng.standard_normal((n, 3)).astype(dtype), rng.choice([-1.0, 1.0], n))


class NoSample:
    sample = "none"


class OneSampleMore(Coins):
    def sample(self, n, rng, dtype=np.float64):
        return super().sample(n + 1, rng, dtype)


class OwnSeed(Coins):
    def sample(self, n, rng, dtype=np.float64):
        return super().sample(n, np.random.default_rng(0), dtype)


class DoubleData(Coins):
    def sample(self, n, rng, dtype=np.float64):
        return super().sample(n, rng)


class ZeroAndMinusOne(Coins):
    def sample(self, n, rng, dtype=np.float64):
        batch = super().sample(n, rng, dtype)
        return Batch(batch.X, np.minimum(batch.y, 0.0))


class MostlyOnes(Coins):
    def sample(self, n, rng, dtype=np.float64):
        return Batch(rng.standard_normal((n, 3)).astype(dtype), 2.0 * (rng.random(n) < 0.8) - 1.0)


def test_labels_of_a_told_law_keep_the_contract():
    check_data(Coins())
    check_data(MostlyOnes(), shares={1: 0.8, -1: 0.2})


@pytest.mark.parametrize("offender, rule, message", [
    (NoSample, "method", "expected a method sample"),
    (OneSampleMore, "batch", r"X: expected shape \(7, any\), got \(8, 3\)"),
    (OwnSeed, "same seed", "expected other inputs from another seed, got the same"),
    (DoubleData, "float32", "expected float32 inputs where asked for, got float64"),
    (ZeroAndMinusOne, "labels", r"expected labels -1 and \+1, or classes"),
    (MostlyOnes, "labels", r"label -1 with probability 0.5 \(\+- 0.067\), got a share of 0.2"),
], ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_data_model_is_caught_by_its_rule(offender, rule, message):
    with pytest.raises(ContractError, match=message) as caught:
        check_data(offender())
    assert caught.value.rule == rule


def test_every_rule_has_an_offender():
    for rules, test in ((NETWORK_RULES, test_a_broken_network_is_caught_by_its_rule),
                        (ATTACK_RULES, test_a_broken_attack_is_caught_by_its_rule),
                        (DATA_RULES, test_a_broken_data_model_is_caught_by_its_rule)):
        planted = {case[1] for case in test.pytestmark[0].args[1]}
        assert planted == {rule.name for rule in rules}


def test_a_class_instead_of_an_object_is_told():
    with pytest.raises(ContractError, match="expected an object, got the class"):
        check_network(Tanh, X, Y)


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="X: expected at least two samples, got 1"):
        check_network(Tanh(), X[:1], Y[:1])
    with pytest.raises(ValueError, match="batch: expected at least two samples, got 1"):
        check_attack(FGM(), PLAIN, Batch(X, Y)[:1], L2Ball(0.1))
