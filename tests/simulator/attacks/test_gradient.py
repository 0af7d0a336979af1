"""Laws of the attacks: feasible, never believed, exact where the answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import Universal
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.search import RandomSearch
from simulator.attacks.suites import standard_attacks
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch, Perturbation

from references import symmetric_relu as naive

D, N = 8, 30
BALLS = (L2Ball, LinfBall)


def fresh():
    return np.random.default_rng(5)


def random_network(m=24, d=D, bias=0.8, smoothing=0.0, seed=0):
    W = 0.5 * np.random.default_rng(seed).standard_normal((m, d))
    return SymmetricReLU(W, bias, smoothing)


def feature_network(mixture=0.1):
    """Each neuron holds one feature and a dense mixture that votes for the label +1."""
    return SymmetricReLU(np.eye(D) + mixture * np.ones((D, D)), 0.3)


def samples(n=N, d=D, seed=1):
    """Inputs with labels that a network gets right (see :func:`right`)."""
    return np.random.default_rng(seed).standard_normal((n, d))


def right(network, X):
    """The labels the network itself would give."""
    return np.where(network.margins(X, np.ones(len(X))) >= 0.0, 1.0, -1.0)


NETWORKS = {"plain": random_network(), "smooth": random_network(smoothing=0.3),
            "features": feature_network(),
            "linear": LinearClassifier(np.linspace(-1.0, 2.0, D))}
ATTACKS = {"universal": Universal(np.ones(D)), "fgm": FGM(), "pgd": PGD(10),
           "pgd everywhere": PGD(5, ("zero", "random", "universal"), 2, np.ones(D)),
           "random": RandomSearch(12)}

every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
both_balls = pytest.mark.parametrize("kind", BALLS)


# --- laws of every attack -----------------------------------------------------------------


@every_network
@every_attack
@both_balls
def test_radius_zero_changes_nothing_bit_for_bit(network, attack, kind):
    X = samples()
    y = right(network, X)
    delta = attack.perturb(network, X, y, kind(0.0), fresh()).delta
    assert np.array_equal(delta, np.zeros((N, D)))
    found = worst_case(network, Batch(X, y), Adversary(kind(0.0), {"attack": attack}))
    clean = network.margins(X, y)
    assert np.array_equal(found.margins, clean)
    assert np.array_equal(found.margins_of["attack"], clean)
    assert np.array_equal(found.delta, np.zeros((N, D)))


@every_network
@every_attack
@both_balls
def test_a_perturbation_is_feasible(network, attack, kind):
    X = samples()
    for radius in (1e-9, 0.2, 3.0, 1e6):
        delta = attack.perturb(network, X, right(network, X), kind(radius), fresh()).delta
        assert delta.shape == X.shape and np.all(np.isfinite(delta))
        assert np.all(kind(radius).norm(delta) <= radius * (1.0 + 1e-12))


@every_attack
@both_balls
def test_single_precision_stays_single_and_feasible(attack, kind):
    network = SymmetricReLU(NETWORKS["plain"].weights.astype(np.float32), 0.8)
    X = samples().astype(np.float32)
    delta = attack.perturb(network, X, right(network, X).astype(np.float32), kind(0.2),
                           fresh()).delta
    assert delta.dtype == np.float32
    assert np.all(kind(0.2).norm(delta) <= 0.2 * (1.0 + 1e-6))  # eps = 1.2e-7


@every_attack
def test_attacks_leave_their_inputs_alone(attack):
    network, X = NETWORKS["plain"], samples()
    y = right(network, X)
    kept = X.copy(), y.copy(), network.weights.copy()
    attack.perturb(network, X, y, L2Ball(0.5), fresh())
    assert all(map(np.array_equal, (X, y, network.weights), kept))


@every_attack
def test_integer_inputs_are_attacked_like_the_same_floats(attack):
    network = NETWORKS["plain"]
    X = np.random.default_rng(0).integers(-2, 3, (N, D))
    y = right(network, X)
    whole = attack.perturb(network, X, y, L2Ball(0.5), fresh()).delta
    floats = attack.perturb(network, X.astype(float), y, L2Ball(0.5), fresh()).delta
    assert np.array_equal(whole, floats)


class Scaled:
    """The same classifier with margins and gradients multiplied by a positive number."""

    def __init__(self, network, factor):
        self.network, self.factor = network, factor

    def margins(self, X, y):
        return self.factor * self.network.margins(X, y)

    def margin_gradient(self, X, y):
        return self.factor * self.network.margin_gradient(X, y)


@pytest.mark.parametrize("attack", [FGM(), PGD(8)], ids=["fgm", "pgd"])
@pytest.mark.parametrize("name", ["plain", "smooth", "linear"])
@both_balls
def test_tiny_gradients_are_attacked_like_large_ones(attack, name, kind):
    network, X = NETWORKS[name], samples()
    y = right(network, X)
    wanted = attack.perturb(network, X, y, kind(0.4), fresh())
    exact = attack.perturb(Scaled(network, 2.0**-996), X, y, kind(0.4), fresh())
    # a power of two rounds nothing: additive guards fail here, and losses below 1e-8 fool them
    assert np.array_equal(exact.delta, wanted.delta)
    assert exact.zero_gradients == wanted.zero_gradients
    for factor in (1e-300, 1e-12, 1e300):
        rounded = attack.perturb(Scaled(network, factor), X, y, kind(0.4), fresh())
        # each gradient entry is rounded once; eight steps add up a few ulps
        assert np.allclose(rounded.delta, wanted.delta, rtol=1e-11, atol=1e-14)


# --- the single attacks -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "smooth"])
def test_fgm_is_the_formula_of_the_paper(name):
    network, X = NETWORKS[name], samples(12)
    y = right(network, X)
    gradient = naive.margin_gradient(network.weights, network.bias, X, y, network.smoothing)
    assert np.count_nonzero(gradient)
    for kind, formula in ((L2Ball, naive.fgm_l2), (LinfBall, naive.fgm_linf)):
        delta = FGM().perturb(network, X, y, kind(0.7), fresh()).delta
        assert np.allclose(delta, formula(gradient, 0.7), rtol=0.0, atol=1e-13)


@both_balls
@pytest.mark.parametrize("attack", [
    FGM(), PGD(1), PGD(20), PGD(7, ("random",)), Universal(NETWORKS["linear"].weights)],
    ids=["fgm", "pgd 1", "pgd 20", "pgd random", "universal"])
def test_on_a_linear_network_the_attack_is_exact(attack, kind):
    network, X = NETWORKS["linear"], samples()
    y = right(network, X)
    ball = kind(0.3)
    found = attack.perturb(network, X, y, ball, fresh())
    worst = network.margins(X + found.delta, y)
    # by duality the margin falls by radius ||w||_*, and no further
    exact = network.margins(X, y) - 0.3 * ball.dual_norm(network.weights[None])[0]
    assert np.allclose(worst, exact, rtol=0.0, atol=1e-13)


@both_balls
def test_random_search_stays_above_the_exact_answer(kind):
    network, X = NETWORKS["linear"], samples()
    y = right(network, X)
    ball = kind(0.3)
    found = RandomSearch(60).perturb(network, X, y, ball, fresh())
    fall = network.margins(X, y) - network.margins(X + found.delta, y)
    exact = 0.3 * ball.dual_norm(network.weights[None])[0]
    assert np.all(fall <= exact * (1.0 + 1e-12))
    assert fall.mean() > 0.4 * exact  # 60 trials in 8 dimensions find a fair share


@every_network
@both_balls
@pytest.mark.parametrize("radius", [0.05, 0.5, 2.0])
def test_pgd_from_zero_is_never_weaker_than_fgm_on_any_sample(network, kind, radius):
    X = samples()
    y = right(network, X)
    margins = [network.margins(X + attack.perturb(network, X, y, kind(radius), fresh()).delta, y)
               for attack in (PGD(5), FGM())]
    assert np.all(margins[0] <= margins[1])
    assert np.all(margins[0] <= network.margins(X, y))


@pytest.mark.parametrize("network", [NETWORKS["plain"], NETWORKS["smooth"]],
                         ids=["plain", "smooth"])
@both_balls
def test_fgm_is_stronger_than_random_on_average(network, kind):
    X, ball = samples(), kind(0.2)
    y = right(network, X)
    fgm = network.margins(X + FGM().perturb(network, X, y, ball, fresh()).delta, y)
    rng = fresh()
    blind = [network.margins(X + ball.draw(rng, X.shape), y).mean() for _ in range(20)]
    assert fgm.mean() < min(blind)


@both_balls
def test_more_starts_and_restarts_are_never_weaker(kind):
    network, X = NETWORKS["plain"], samples()
    y = right(network, X)
    attacks = [PGD(4), PGD(4, ("zero", "random")), PGD(4, ("zero", "random"), 3),
               PGD(4, ("zero", "random", "universal"), 3, np.ones(D))]
    margins = [network.margins(X + attack.perturb(network, X, y, kind(0.8), fresh()).delta, y)
               for attack in attacks]
    for weaker, stronger in zip(margins, margins[1:]):
        assert np.all(stronger <= weaker)
    assert margins[-1].mean() < margins[0].mean()


@pytest.mark.parametrize("attack", [PGD(4, ("random",), 2), RandomSearch(6)],
                         ids=["pgd", "search"])
def test_random_starts_depend_on_the_given_generator_only(attack):
    network, X = NETWORKS["plain"], samples()
    y = right(network, X)
    first = attack.perturb(network, X, y, L2Ball(0.5), np.random.default_rng(1)).delta
    np.random.seed(0)  # the global state is nobody's business
    again = attack.perturb(network, X, y, L2Ball(0.5), np.random.default_rng(1)).delta
    other = attack.perturb(network, X, y, L2Ball(0.5), np.random.default_rng(2)).delta
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("attack", [FGM(), PGD(4), Universal(np.ones(D))],
                         ids=["fgm", "pgd", "universal"])
def test_attacks_without_randomness_draw_nothing(attack):
    network, X = NETWORKS["plain"], samples()
    rng = fresh()
    attack.perturb(network, X, right(network, X), L2Ball(0.5), rng)
    assert rng.random() == fresh().random()


@both_balls
def test_the_universal_attack_looks_at_labels_only(kind):
    y = np.array([1.0, -1.0, 1.0])
    direction = np.linspace(-1.0, 2.0, D)
    attack = Universal(direction)
    deltas = [attack.perturb(None, X, y, kind(0.5), None).delta
              for X in (samples(3), samples(3, seed=9))]
    assert np.array_equal(*deltas)
    assert np.array_equal(deltas[0][0], -deltas[0][1])
    assert np.array_equal(deltas[0][0], deltas[0][2])
    assert np.allclose(deltas[0][1] @ direction,
                       0.5 * kind(1.0).dual_norm(direction[None])[0], rtol=1e-14)


class MarginsOnly:
    """A network that cannot be differentiated."""

    def __init__(self, network):
        self.network = network

    def margins(self, X, y):
        return self.network.margins(X, y)


@both_balls
def test_random_search_needs_no_gradient_and_improves_with_trials(kind):
    network, X = NETWORKS["plain"], samples()
    y = right(network, X)
    margins = [network.margins(X + RandomSearch(trials).perturb(
        MarginsOnly(network), X, y, kind(0.5), fresh()).delta, y) for trials in (1, 5, 40)]
    assert np.all(margins[0] <= network.margins(X, y))
    assert margins[2].mean() < margins[1].mean() < margins[0].mean()


@both_balls
def test_random_search_alternates_fresh_points_and_shrinking_steps_from_the_best(kind):
    network, X = NETWORKS["plain"], samples(5)
    y, ball, rng = right(network, X), kind(0.5), fresh()
    best, least = np.zeros_like(X), network.margins(X, y)
    for trial in range(12):
        points = ball.draw(rng, X.shape)
        if trial % 2:
            points = ball.project(best + 10.0 ** (-trial / 12) * points)
        for row, margin in enumerate(network.margins(X + points, y)):
            if margin < least[row]:
                best[row], least[row] = points[row], margin
    found = RandomSearch(12).perturb(network, X, y, ball, fresh())
    assert np.array_equal(found.delta, best)


def test_zero_gradients_are_counted_and_give_no_perturbation():
    network = SymmetricReLU(np.eye(D), 1.0)
    X = np.zeros((6, D))
    X[4:, 0] = 3.0  # only these two open a gate
    y = np.ones(6)
    for attack in (FGM(), PGD(5)):
        found = attack.perturb(network, X, y, L2Ball(0.5), fresh())
        assert found.zero_gradients == 4
        assert np.array_equal(found.delta[:4], np.zeros((4, D)))
        assert np.allclose(found.delta[4:], -0.5 * np.eye(D)[[0, 0]], atol=1e-15)
    # each sample counts once, from however many starts the attack was blind
    blind = SymmetricReLU(np.eye(D), 100.0)
    everywhere = PGD(2, ("zero", "random", "universal"), 3, np.ones(D))
    assert everywhere.perturb(blind, X, y, L2Ball(0.5), fresh()).zero_gradients == 6
    for attack in (Universal(np.ones(D)), RandomSearch(3)):
        assert attack.perturb(network, X, y, L2Ball(0.5), fresh()).zero_gradients == 0


def test_a_negative_zero_gradient_is_a_zero_gradient():
    found = FGM().perturb(LinearClassifier(np.zeros(D)), samples(4), -np.ones(4), L2Ball(1.0),
                          fresh())
    assert found.zero_gradients == 4
    assert np.array_equal(found.delta, np.zeros((4, D)))


# --- brute force --------------------------------------------------------------------------


def disc(radius, rings, spokes):
    """Points of a disc no further than ``radius (1/rings + pi/spokes)`` from any of its points."""
    rho, phi = np.meshgrid(radius * np.arange(rings + 1) / rings,
                           2.0 * np.pi * np.arange(spokes) / spokes)
    return np.column_stack([(rho * np.cos(phi)).ravel(), (rho * np.sin(phi)).ravel()])


@pytest.mark.parametrize("smoothing", [0.0, 0.3], ids=["plain", "smooth"])
def test_pgd_and_a_fine_grid_find_the_same_worst_margin_in_the_plane(smoothing):
    network = random_network(m=6, d=2, bias=0.3, smoothing=smoothing, seed=3)
    X = samples(8, 2)
    y = right(network, X)
    radius, rings, spokes = 0.8, 40, 240
    points = disc(radius, rings, spokes)
    grid = np.array([network.margins(x + points, np.full(len(points), label)).min()
                     for x, label in zip(X, y)])
    attack = PGD(50, ("zero", "random"), restarts=8)
    found = attack.perturb(network, X, y, L2Ball(radius), fresh())
    pgd = network.margins(X + found.delta, y)
    # |f(x) - f(x')| <= sum ||w_i|| ||x - x'||: no true margin is below the grid's by more than
    lipschitz = np.linalg.norm(network.weights, axis=1).sum()
    assert np.all(pgd >= grid - lipschitz * radius * (1.0 / rings + np.pi / spokes))
    # and nine starts reach the grid's minimum up to the last step of the walk,
    # a step of length 2.5 radius / 50, whose effect is second order on the sphere: 1 % of
    # the range
    assert np.all(pgd <= grid + 0.01 * lipschitz * radius)


def test_pgd_reaches_the_corner_a_grid_finds_in_the_cube():
    network = random_network(m=6, d=3, bias=0.3, seed=4)
    X = samples(8, 3)
    y = right(network, X)
    axis = np.linspace(-0.6, 0.6, 13)
    points = np.array(np.meshgrid(axis, axis, axis)).reshape(3, -1).T
    grid = np.array([network.margins(x + points, np.full(len(points), label)).min()
                     for x, label in zip(X, y)])
    attack = PGD(40, ("zero", "random"), restarts=8)
    found = attack.perturb(network, X, y, LinfBall(0.6), fresh())
    pgd = network.margins(X + found.delta, y)
    # grid points are 0.1 apart, so at most 0.05 sqrt(3) from any point of the cube
    lipschitz = np.linalg.norm(network.weights, axis=1).sum()
    assert np.all(pgd >= grid - 0.05 * np.sqrt(3.0) * lipschitz)
    assert np.all(pgd <= grid + 0.01 * 0.6 * lipschitz)


def test_a_large_radius_breaks_every_sample():
    network, X = feature_network(), samples()
    y = right(network, X)
    X = X[network.margins(X, y) > 0.0]
    y = right(network, X)
    assert len(X) > 10
    for kind in BALLS:
        found = worst_case(network, Batch(X, y), Adversary(kind(1e3),
                                                           standard_attacks(np.ones(D), 10)))
        assert found.accuracy("clean") == 1.0
        assert found.accuracy() == 0.0


# --- the worst case -----------------------------------------------------------------------


class Fixed:
    """An attack that returns what it was told to."""

    def __init__(self, delta, zero_gradients=0):
        self.delta, self.zero_gradients = delta, zero_gradients

    def perturb(self, network, X, y, ball, rng):
        return Perturbation(self.delta[:len(X)], self.zero_gradients)


@both_balls
def test_a_lying_attack_is_projected_and_scored_again(kind):
    network, X = NETWORKS["plain"], samples()
    y = right(network, X)
    ball = kind(0.1)
    lie = 1e3 * FGM().perturb(network, X, y, ball, fresh()).delta
    found = worst_case(network, Batch(X, y), Adversary(ball, {"lie": Fixed(lie, 3)}))
    assert np.all(ball.norm(found.delta) <= 0.1 * (1.0 + 1e-12))
    assert np.array_equal(found.margins_of["lie"], network.margins(X + ball.project(lie), y))
    assert found.zero_gradients == {"lie": 3}
    assert np.any(found.margins < found.margins_of["clean"])


@both_balls
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_attack_cannot_win_by_an_infinite_perturbation(kind, bad):
    network, X = NETWORKS["linear"], samples()
    y = right(network, X)
    ball = kind(0.1)
    lie = np.zeros((N, D))
    lie[:, 0] = bad
    found = worst_case(network, Batch(X, y), Adversary(ball, {"lie": Fixed(lie)}))
    assert np.all(ball.norm(found.delta) <= 0.1 * (1.0 + 1e-12))
    exact = network.margins(X, y) - 0.1 * ball.dual_norm(network.weights[None])[0]
    assert np.all(found.margins >= exact - 1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_margin_that_becomes_nan_under_attack_counts_as_broken():
    class Fragile:
        """Right on the clean inputs, NaN as soon as one of them is moved."""

        def margins(self, X, y):
            return np.where(np.all(X == 1.0, axis=1), 1.0, np.nan)

    X = np.ones((4, 2))
    found = worst_case(Fragile(), Batch(X, np.ones(4)), Adversary(L2Ball(0.5),
                                                                  {"move": Fixed(0.1 * X)}))
    assert found.accuracy("move") == 0.0
    assert found.accuracy() == 0.0  # the worst of all is never better than one attack


@both_balls
def test_the_worst_case_is_the_least_margin_of_all_attacks(kind):
    network, X = NETWORKS["smooth"], samples()
    y = right(network, X)
    found = worst_case(network, Batch(X, y), Adversary(kind(0.3), ATTACKS))
    assert list(found.margins_of) == ["clean", *ATTACKS]
    assert np.array_equal(found.margins, np.min(list(found.margins_of.values()), axis=0))
    # the stored perturbation gives the stored margin (same rows, so the same bits)
    assert np.array_equal(network.margins(X + found.delta, y), found.margins)
    for name, margins in found.margins_of.items():
        assert found.accuracy(name) == np.mean(margins > 0.0)
        assert found.accuracy() <= found.accuracy(name)


def test_an_attack_that_helps_the_network_is_ignored():
    network, X = NETWORKS["linear"], samples()
    y = right(network, X)
    help_ = -FGM().perturb(network, X, y, L2Ball(0.1), fresh()).delta
    found = worst_case(network, Batch(X, y), Adversary(L2Ball(0.1), {"help": Fixed(help_)}))
    assert np.all(found.margins_of["help"] > found.margins)
    assert np.array_equal(found.margins, network.margins(X, y))
    assert np.array_equal(found.delta, np.zeros((N, D)))


def test_a_margin_of_zero_is_not_right():
    found = worst_case(LinearClassifier(np.zeros(2)), Batch(np.ones((3, 2)), np.ones(3)),
                       Adversary(L2Ball(1.0), {}))
    assert found.accuracy() == found.accuracy("clean") == 0.0


@given(chunk=st.integers(1, 40))
def test_chunks_are_attacked_one_after_another(chunk):
    network, X = NETWORKS["plain"], samples(17)
    y = right(network, X)
    attacks = {"fgm": FGM(), "pgd": PGD(3)}
    whole = worst_case(network, Batch(X, y), Adversary(L2Ball(0.3), attacks))
    parts = worst_case(network, Batch(X, y), Adversary(L2Ball(0.3), attacks, chunk=chunk))
    # the last bits of a product depend on its rows; three steps keep that below 1e-12
    assert np.allclose(parts.margins, whole.margins, rtol=0.0, atol=1e-12)
    assert np.allclose(parts.delta, whole.delta, rtol=0.0, atol=1e-12)
    assert parts.zero_gradients == whole.zero_gradients
    assert parts.margins_of.keys() == whole.margins_of.keys()


def test_zero_gradients_add_up_over_chunks():
    network, X = SymmetricReLU(np.eye(D), 100.0), samples(10)
    found = worst_case(network, Batch(X, np.ones(10)), Adversary(L2Ball(0.3), {"fgm": FGM()},
                                                                 chunk=3))
    assert found.zero_gradients == {"fgm": 10}


class LinearOnPatches:
    """``f(x) = <w, x>`` on inputs of shape (P, d)."""

    def __init__(self, weights):
        self.weights = weights

    def margins(self, X, y):
        return y * np.einsum("npd,pd->n", X, self.weights)

    def margin_gradient(self, X, y):
        return y[:, None, None] * np.broadcast_to(self.weights, X.shape)


@both_balls
def test_inputs_of_several_patches_are_attacked_together(kind):
    rng = np.random.default_rng(0)
    w, X = rng.standard_normal((3, 4)), rng.standard_normal((5, 3, 4))
    network, y, ball = LinearOnPatches(w), np.array([1.0, -1.0, 1.0, 1.0, -1.0]), kind(0.2)
    attacks = {"universal": Universal(w), "fgm": FGM(), "pgd": PGD(4), "random": RandomSearch(5)}
    found = worst_case(network, Batch(X, y), Adversary(ball, attacks))
    exact = network.margins(X, y) - 0.2 * ball.dual_norm(w[None])[0]
    assert found.delta.shape == X.shape
    for name in ("universal", "fgm", "pgd"):
        assert np.allclose(found.margins_of[name], exact, rtol=0.0, atol=1e-13)
    assert np.all(found.margins_of["random"] >= exact - 1e-13)


# --- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("make, error, message", [
    (lambda: PGD(0), ValueError, "steps: expected at least 1, got 0"),
    (lambda: PGD(1.5), TypeError, "steps: expected an integer"),
    (lambda: PGD(restarts=0), ValueError, "restarts: expected at least 1"),
    (lambda: PGD(starts=()), ValueError, "starts: expected at least one of zero, random"),
    (lambda: PGD(starts=("here",)), ValueError, "starts: expected one of zero, random, universal"),
    (lambda: PGD(starts=("universal",)), ValueError, "direction: expected a vector, got None"),
    (lambda: RandomSearch(0), ValueError, "trials: expected at least 1"),
])
def test_bad_attacks_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("change, message", [
    (dict(chunk=0), "chunk: expected at least 1"),
    (dict(attacks={"clean": FGM()}), 'attacks: expected other names, got "clean"'),
    (dict(X=np.ones((0, 2)), y=np.ones(0)), "batch: expected at least one sample"),
    (dict(y=np.ones(3)), r"y: expected shape \(4,\), got \(3,\): one label per sample"),
    (dict(y=np.zeros(4)), r"y: expected labels -1 and \+1"),
    (dict(X=np.ones((4, 3))), r"X: expected shape \(any, 2\), got \(4, 3\)"),
    (dict(attacks={"bad": Fixed(np.ones((4, 3)))}),
     r"perturbation of bad: expected shape \(4, 2\), got \(4, 3\)"),
    (dict(attacks={"off": Universal(np.ones(3))}),
     r"direction: expected shape \(2,\), got \(3,\): the shape of one input"),
])
def test_bad_input_of_the_worst_case_is_named(change, message):
    given = dict(X=np.ones((4, 2)), y=np.ones(4), attacks={}, chunk=1000) | change
    with pytest.raises(ValueError, match=message):
        worst_case(LinearClassifier(np.ones(2)), Batch(given["X"], given["y"]),
                   Adversary(L2Ball(1.0), given["attacks"], chunk=given["chunk"]))
