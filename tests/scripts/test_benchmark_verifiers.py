"""The peers of the case "certificates" themselves, where they are installed and load."""

import sys
import types

import numpy as np
import pytest

from scripts.benchmarking.peers import verifiers
from scripts.benchmarking.peers.verifiers import InertError, installed_peers, two_layers
from simulator.balls import L2Ball, LinfBall
from simulator.networks.symmetric_relu import SymmetricReLU

BALLS = pytest.mark.parametrize("ball", [L2Ball(0.3), LinfBall(0.1)], ids=["l2", "linf"])


@pytest.fixture(scope="module")
def present():
    return installed_peers(20, 20)


@pytest.fixture
def lirpa(present):
    if not present.bounds:
        pytest.skip("auto_LiRPA is not there")
    return present.bounds["auto_LiRPA"]


@pytest.fixture
def autoattack(present):
    if not present.attacks:
        pytest.skip("no AutoAttack is there")
    return present.attacks["AutoAttack"]


def network_and_samples(rng, d=5):
    """A small network and samples that it gets right; their margins are small beside radii."""
    network = SymmetricReLU(0.5 * rng.standard_normal((7, d)), 0.2)
    X = rng.standard_normal((6, d))
    return network, X, np.where(network.forward(X) > 0.0, 1.0, -1.0)


def test_the_two_layers_are_the_network(rng):
    network, X, _ = network_and_samples(rng)
    hidden, offset, outward = two_layers(network.weights, network.bias)
    outputs = np.maximum(X @ hidden.T + offset, 0.0) @ outward[0]
    assert outputs == pytest.approx(network.forward(X), abs=1e-12)


@BALLS
def test_lirpa_bounds_our_network_from_below(rng, lirpa, ball):
    network, X, y = network_and_samples(rng)
    lirpa.load(network.weights, network.bias)
    assert lirpa.forward(X) == pytest.approx(network.forward(X), abs=1e-5)
    bounds = {method: lirpa.bounds(method, X, y, ball) for method in lirpa.methods}
    least = np.min([network.margins(X + ball.project(ball.draw(rng, X.shape)), y)
                    for _ in range(200)], axis=0)
    for found in bounds.values():
        assert found.shape == (6,) and np.all(found <= least + 1e-5)
    assert np.all(bounds["alpha-CROWN"] >= bounds["CROWN"] - 1e-5)
    reach = ball.with_radius(1.0).dual_norm(network.weights) * ball.radius
    U = X @ network.weights.T
    low, high = (np.where(np.abs(U + side) > 0.2, np.abs(U + side) - 0.2, 0.0) * np.sign(U + side)
                 for side in (-reach, reach))
    assert bounds["IBP"] == pytest.approx(np.where(y > 0, low.sum(1), -high.sum(1)), abs=1e-4)


def test_lirpas_slopes_move_here(lirpa):
    lirpa.require_alive("alpha-CROWN")
    lirpa.require_alive("CROWN")


def test_slopes_that_cannot_move_are_noticed(lirpa, monkeypatch):
    torch, clamp = lirpa.torch, lirpa.torch.clamp

    def flat_at_its_ends(tensor, *given, **limits):
        """The clamp of torch 2.14: no gradient at the boundary itself."""
        clamped = clamp(tensor, *given, **limits)
        return torch.where(clamped == tensor, torch.where(
            (tensor > 0.0) & (tensor < 1.0), clamped, clamped.detach()), clamped)
    monkeypatch.setattr(torch, "clamp", flat_at_its_ends)
    with pytest.raises(InertError, match=r"the bound of CROWN, -2, towards -0.5, and it gives -2: "
                       r"they do not move with torch .*pip install 'torch<2.14'"):
        lirpa.require_alive("alpha-CROWN")
    lirpa.require_alive("IBP")


@BALLS
@pytest.mark.parametrize("d", [25, 5], ids=["square", "padded"])
def test_autoattack_finds_what_is_in_the_ball(rng, autoattack, ball, d):
    network, X, y = network_and_samples(rng, d)
    autoattack.load(network.weights, network.bias)
    assert autoattack.forward(X) == pytest.approx(network.forward(X), abs=1e-5)
    ball = ball.with_radius(4.0 * ball.radius)
    delta = autoattack.attack(X, y, ball)
    assert delta.shape == X.shape
    assert np.all(ball.norm(delta) <= ball.radius * (1.0 + 1e-4))
    broken = network.margins(X + ball.project(delta), y) < 0.0
    assert broken.any()
    # nothing is moved across where the steepest step alone is enough for any attack
    step = ball.steepest(-network.margin_gradient(X, y))
    assert np.all(broken[network.margins(X + step, y) < -1e-3])


def test_the_authors_package_is_asked_for_one_target_and_our_queries(rng, monkeypatch):
    torch = pytest.importorskip("torch")
    asked = {}

    class AutoAttack:
        """The interface of github.com/fra31/auto-attack."""

        def __init__(self, model, *, norm, eps, version, attacks_to_run, seed, device, verbose):
            asked.update(model=model, norm=norm, eps=eps, attacks=attacks_to_run)
            assert version == "custom" and device == "cpu" and not verbose
            self.apgd_targeted, self.fab, self.square = (types.SimpleNamespace() for _ in range(3))

        def run_standard_evaluation(self, x_orig, y_orig, bs):
            asked.update(targets=(self.apgd_targeted.n_target_classes, self.fab.n_target_classes),
                         queries=self.square.n_queries, labels=y_orig, bs=bs)
            logits = asked["model"](x_orig)
            assert logits.shape == (6, 4) and torch.all((x_orig >= 0.0) & (x_orig <= 1.0))
            return x_orig + asked["eps"] * (torch.arange(25).reshape(1, 5, 5) == 1)

    fake = types.ModuleType("autoattack")
    fake.AutoAttack = AutoAttack
    monkeypatch.setitem(sys.modules, "autoattack", fake)
    from scripts.benchmarking.peers.auto_attack import AutoAttack as Ours
    network, X, y = network_and_samples(rng)
    ours = Ours("autoattack", 77)
    ours.load(network.weights, network.bias)
    delta = ours.attack(X, y, L2Ball(0.25))
    assert delta == pytest.approx(np.tile([0.0, 0.25, 0.0, 0.0, 0.0], (6, 1)), abs=1e-5)
    assert asked["targets"] == (1, 1) and asked["queries"] == 77 and asked["norm"] == "L2"
    assert asked["attacks"] == ["apgd-ce", "apgd-t", "fab-t", "square"] and asked["bs"] == 6
    assert np.array_equal(asked["labels"].numpy(), y > 0.0)


def test_every_peer_is_asked_for_by_name():
    assert [peer.name for peer in verifiers.PEERS] == ["auto_LiRPA", "AutoAttack"]
