"""The bracket holds the truth between its ends, uses what it knows, and repeats itself."""

import numpy as np
import pytest
from scipy.stats import beta

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.suites import strong_attacks
from simulator.balls import L2Ball, LinfBall, PatchL2Ball
from simulator.heartbeat import listening
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch, Perturbation
from simulator.robustness import critical_radius
from simulator.robustness.bracket import PASSES, bracket
from simulator.robustness.critical_radius import critical_interval

BALLS = (L2Ball, LinfBall)
ATTACKS = {"fgm": FGM(), "pgd": PGD(10, ("zero", "random"))}
RADII = [0.05, 0.15, 0.3, 0.6]
both_balls = pytest.mark.parametrize("kind", BALLS)


def small_network(seed=0, d=2, m=8):
    rng = np.random.default_rng(seed)
    return SymmetricReLU(rng.standard_normal((m, d)), 0.5)


def samples(network, n=30, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, network.weights.shape[1]))
    y = np.where(network.forward(X) > 0.0, 1.0, -1.0)
    y[::10] *= -1.0  # some that are wrong without any perturbation
    return Batch(X, y)


def run(network, batch, ball, radii=RADII, **options):
    adversary = Adversary(ball, ATTACKS, strong=options.pop("strong", {}))
    return bracket(network, batch, adversary, radii=radii,
                   **{"steps": 60, "root_steps": 60, "boxes": 40} | options)


@both_balls
@pytest.mark.parametrize("seed", range(3))
def test_the_truth_of_the_plane_lies_inside(kind, seed):
    """Robust accuracy on a grid that fills the disc (the square) is between the two ends."""
    network = small_network(seed)
    batch = samples(network)
    axis = np.linspace(-1.0, 1.0, 61)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    turn = np.linspace(0.0, 2.0 * np.pi, 721)
    grid = np.concatenate([grid, 2.0 * np.stack([np.cos(turn), np.sin(turn)], 1)])
    for found in run(network, batch, kind(1.0)):
        points = kind(found.radius).project(found.radius * grid)
        robust = [np.all(network.margins(x + points, np.full(len(points), label)) > 0.0)
                  for x, label in zip(batch.X, batch.y)]
        # the grid misses a thin sliver at worst: a certified sample has none
        assert found.certified <= np.mean(robust)
        unbroken = np.char.find(found.decided_by, "broken") < 0
        assert np.all(np.array(robust)[np.char.find(found.decided_by, "certified") >= 0])
        assert found.attacked == unbroken.mean()
        assert found.width == pytest.approx(found.attacked - found.certified, abs=1e-12)
        assert found.width <= 1.5 / 30  # in the plane few boxes decide nearly everything


def test_the_interval_is_the_exact_binomial_one():
    found = run(small_network(), samples(small_network()), L2Ball(1.0), [0.15])[0]
    k, u, n = round(found.certified * 30), round(found.attacked * 30), found.samples
    assert n == 30
    assert found.low == pytest.approx(beta.ppf(0.025, k, n - k + 1), abs=1e-10)
    assert found.high == pytest.approx(beta.ppf(0.975, u + 1, n - u), abs=1e-10)
    wide = run(small_network(), samples(small_network()), L2Ball(1.0), [0.15],
               confidence=0.99)[0]
    assert wide.low < found.low <= found.certified <= found.attacked <= found.high < wide.high


@both_balls
def test_shares_fall_with_the_radius_and_every_sample_names_its_judge(kind):
    network = small_network(3, d=6, m=30)
    batch = samples(network, 20)
    found = run(network, batch, kind(1.0), strong=strong_attacks(np.ones(6), steps=5))
    assert [entry.radius for entry in found] == RADII
    for smaller, larger in zip(found, found[1:]):
        assert smaller.certified >= larger.certified and smaller.attacked >= larger.attacked
        broken = np.char.startswith(smaller.decided_by, "broken")
        assert np.array_equal(smaller.decided_by[broken], larger.decided_by[broken])
    known = {"open", "certified: linear", "certified: separable", "certified: shared",
             "certified: own", "certified: quadratic", "certified: branching", "broken: search",
             "broken: clean",
             *(f"broken: {name}" for name in (*ATTACKS, *strong_attacks(np.ones(6))))}
    if kind is LinfBall:  # bounds of an l2 ball
        known -= {"certified: own", "certified: shared"}
    assert set(np.concatenate([entry.decided_by for entry in found])) <= known
    assert np.all(found[0].decided_by[::10] == "broken: clean")


@both_balls
def test_a_huge_problem_is_given_one_factor_a_sample(kind, monkeypatch):
    network = small_network(3, d=6, m=30)
    batch = samples(network, 20)
    dear = run(network, batch, kind(1.0))
    monkeypatch.setattr("simulator.robustness.bracket.HUGE", 0.0)
    cheap = run(network, batch, kind(1.0))
    for less, more in zip(cheap, dear):
        assert not set(less.decided_by) & {"certified: own", "certified: quadratic",
                                           "certified: branching"}
        assert less.certified <= more.certified and less.attacked >= more.attacked
    assert cheap[0].certified > 0.0


def test_curvatures_that_lean_to_a_sample_decide_before_the_dual_climbs(monkeypatch):
    """Alone they certify most of what all bounds do, and nothing else."""
    rng = np.random.default_rng(0)
    network = SymmetricReLU(np.repeat(np.eye(24), 2, axis=0) + 0.1
                            + 0.1 * rng.standard_normal((48, 24)), 0.35)
    X = np.where(rng.random((20, 24)) < 0.1, 1.0, 0.0) + np.eye(24)[:20]
    batch = Batch(X, np.where(network.forward(X) > 0.0, 1.0, -1.0))
    radii = [0.6, 0.8, 1.0]
    whole = run(network, batch, L2Ball(1.0), radii)
    monkeypatch.setattr("simulator.robustness.bracket.TOGETHER", {L2Ball: ()})
    monkeypatch.setattr("simulator.robustness.bracket._Court.climb", lambda *_: iter(()))
    monkeypatch.setattr("simulator.robustness.bracket._Court.branch", lambda *_: iter(()))
    alone = np.array([entry.decided_by for entry in run(network, batch, L2Ball(1.0), radii)])
    certified, all_bounds = (np.char.startswith(decided, "certified") for decided in (
        alone, np.array([entry.decided_by for entry in whole])))
    assert set(alone[certified]) == {"certified: own"}
    assert np.all(all_bounds[certified]) and 2 * certified.sum() > all_bounds.sum()


def test_the_search_breaks_what_no_attack_was_asked_to_break():
    network, nothing = small_network(), {"nothing": _Nothing()}
    batch = samples(network)
    found = bracket(network, batch, Adversary(L2Ball(1.0), nothing), radii=[0.6], boxes=40,
                    root_steps=60)[0]
    full = run(network, batch, L2Ball(1.0), [0.6])[0]
    assert found.attacked == full.attacked < 0.9
    assert "broken: search" in found.decided_by


class _Nothing:
    def perturb(self, network, X, y, ball, rng):
        return Perturbation(np.zeros_like(X), 0)


def test_equal_arguments_give_equal_decisions():
    network = small_network(2, d=6, m=40)
    batch = samples(network, 15)
    first, again = (run(network, batch, L2Ball(1.0), boxes=4) for _ in range(2))
    for one, other in zip(first, again):
        assert one.numbers() == other.numbers()
        assert np.array_equal(one.decided_by, other.decided_by)


def test_single_precision_networks_are_judged_in_double():
    network = small_network(1, d=4, m=12)
    single = SymmetricReLU(network.weights.astype(np.float32), network.bias)
    batch = samples(network, 12)
    found = run(single, Batch(batch.X.astype(np.float32), batch.y.astype(np.float32)),
                L2Ball(1.0))
    assert all(entry.certified <= entry.attacked for entry in found)


@both_balls
def test_the_critical_radius_lies_in_its_interval(kind):
    """In the plane the interval closes around the radius at which half are broken."""
    network = small_network()
    batch = samples(network, 31)
    found = run(network, batch, kind(1.0))
    low, high = critical_interval(network, batch, Adversary(kind(0.3), ATTACKS), brackets=found,
                                  steps=60)
    assert 0.0 < low < high < np.inf
    at_low, at_high = run(network, batch, kind(1.0), [low, high])
    assert at_low.certified > 0.5 and at_high.attacked <= 0.5
    alone = critical_interval(network, batch, Adversary(kind(0.3), ATTACKS), brackets=(), steps=60)
    assert alone[0] <= high and low <= alone[1]


def test_what_is_wrong_at_once_has_the_radius_zero():
    network = small_network()
    batch = samples(network)
    wrong = Batch(batch.X, -batch.y)
    assert critical_interval(network, wrong, Adversary(L2Ball(0.1), ATTACKS), brackets=()) == (0.0,
                                                                                               0.0)


def test_a_smoothed_network_has_no_bracket():
    network = SymmetricReLU(small_network().weights, 0.5, smoothing=0.2)
    with pytest.raises(ValueError, match="expected no smoothing"):
        bracket(network, samples(network), Adversary(L2Ball(0.1), ATTACKS), radii=[0.1])


def test_a_bracket_gives_plain_numbers():
    network = small_network()
    for found in run(network, samples(network), L2Ball(0.15), [0.05, 0.15], boxes=10):
        row = found.numbers()
        assert list(row) == ["radius", "certified", "attacked", "low", "high", "samples"]
        assert all(type(value) in (int, float) for value in row.values())


def test_the_radii_of_an_interval_are_counted_on():
    """Its bar never goes back: what certifies begins where what breaks ended."""
    network, told = small_network(), []
    critical_interval(network, samples(network), Adversary(L2Ball(0.15), ATTACKS), brackets=(),
                      tick=lambda step, keep: told.append(step))
    assert told == list(range(1, len(told) + 1))


@pytest.mark.parametrize("radii, options, message", [
    ([0.2, 0.1], {}, r"radii: expected ascending order, got \[0.2, 0.1\]"),
    ([0.1, 0.1], {}, "radii: expected ascending"), ([-0.1], {}, "radii: expected at least 0"),
    ([0.1], {"confidence": 1.5}, "confidence: expected at most 1"),
    ([0.1], {"boxes": 0}, "boxes: expected at least 1"),
    ([0.1], {"seconds": -1.0}, "seconds: expected at least 0")])
def test_bad_arguments_are_named(radii, options, message):
    with pytest.raises(ValueError, match=message):
        run(small_network(), samples(small_network()), L2Ball(1.0), radii, **options)


def test_no_samples_are_refused():
    batch = Batch(np.empty((0, 2)), np.empty(0))
    with pytest.raises(ValueError, match="at least one sample"):
        run(small_network(), batch, L2Ball(1.0))


class Enough(Exception):
    pass


@both_balls
@pytest.mark.parametrize("calls", [4, 16, *(pytest.param(calls, marks=pytest.mark.slow)
                                            for calls in (1, 9))])
def test_a_bracket_stopped_anywhere_goes_on_to_the_same_decisions(kind, calls):
    network = small_network(2, d=6, m=40)
    batch = samples(network, 12)
    options = {"strong": strong_attacks(np.ones(6), steps=3), "boxes": 4}
    whole = run(network, batch, kind(1.0), **options)
    kept, places = [], []

    def stop(passes, keep):
        places.append(passes)
        kept.append(keep())
        if len(kept) == calls:
            raise Enough

    with pytest.raises(Enough):
        run(network, batch, kind(1.0), tick=stop, **options)
    assert places == sorted(places)
    resumed = run(network, batch, kind(1.0), saved=kept[-1],
                  tick=lambda passes, keep: places.append(passes), **options)
    assert places[-1] == PASSES * len(RADII)
    for one, other in zip(whole, resumed):
        assert one.numbers() == other.numbers()
        assert np.array_equal(one.decided_by, other.decided_by)


@both_balls
def test_neurons_that_never_open_change_no_decision(kind):
    network = small_network(2, d=6, m=40)
    batch = samples(network, 10)
    dead = np.random.default_rng(0).standard_normal((60, 6))
    reach = np.abs(batch.X @ dead.T).max(axis=0) + RADII[-1] * kind(1.0).dual_norm(dead)
    weights = np.vstack([dead[:30] * (0.4 / reach[:30, None]), network.weights,
                         dead[30:] * (0.49 / reach[30:, None])])
    few, many = (run(one, batch, kind(1.0), boxes=4)
                 for one in (network, SymmetricReLU(weights, network.bias)))
    for one, other in zip(few, many):
        assert one.numbers() == other.numbers()
        assert np.array_equal(one.decided_by, other.decided_by)
        assert np.array_equal(one.lower, other.lower)


@pytest.mark.parametrize("calls", [2, 5, 8])
def test_an_interval_stopped_anywhere_ends_the_same(calls):
    network = small_network(2, d=6, m=40)
    batch, adversary = samples(network, 15), Adversary(L2Ball(0.15), ATTACKS)
    whole, kept = critical_interval(network, batch, adversary, brackets=(), steps=40), []

    def stop(step, keep):
        kept.append(keep())
        if len(kept) == calls:
            raise Enough

    with pytest.raises(Enough):
        critical_interval(network, batch, adversary, brackets=(), steps=40, tick=stop)
    assert critical_interval(network, batch, adversary, brackets=(), steps=40,
                             saved=kept[-1]) == whole


def test_what_the_bracket_decided_is_not_asked_again(monkeypatch):
    network = small_network()
    batch, adversary = samples(network, 31), Adversary(L2Ball(0.3), ATTACKS)
    found = run(network, batch, L2Ball(1.0))
    asked = []

    def counted(inputs, *others):
        asked.append(len(inputs))
        return certify_inputs(inputs, *others)

    certify_inputs = critical_radius.certify_inputs
    monkeypatch.setattr(critical_radius, "certify_inputs", counted)
    alone = critical_interval(network, batch, adversary, brackets=(), steps=60)
    without, asked[:] = sum(asked), []
    knowing = critical_interval(network, batch, adversary, brackets=found, steps=60)
    assert sum(asked) < without
    assert abs(knowing[0] - alone[0]) <= 0.1 * alone[1]


def test_an_interval_beyond_the_first_ball_is_found_with_all_neurons():
    """Its first ball is twice that of the adversary, where these neurons are closed."""
    network = SymmetricReLU(np.array([[1.0, 0.0], [0.0, 0.1]]), 0.2)
    batch = Batch(np.array([[9.0, 0.0], [8.0, 0.0]]), np.ones(2))
    low, high = critical_interval(network, batch, Adversary(L2Ball(0.01), ATTACKS), brackets=(),
                                  steps=60)
    assert low <= 7.8 <= high * 1.05 and low > 6.0 and high < 9.5


def test_what_another_bracket_saved_is_refused():
    network, kept = small_network(), []
    run(network, samples(network, 5), L2Ball(1.0), [0.1],
        tick=lambda passes, keep: kept.append(keep()))
    with pytest.raises(ValueError, match=r"saved: expected broken of shape \(1, 6\), got \(1, 5\)"):
        run(network, samples(network, 6), L2Ball(1.0), [0.1], saved=kept[-1])


def test_a_bracket_is_heard_and_can_be_stopped_between_any_two_steps():
    network, beats = small_network(), []
    batch = samples(network, 5)

    def stop():
        beats.append(1)
        if len(beats) == 3:
            raise Enough

    with listening(lambda: beats.append(1)):
        run(network, batch, L2Ball(1.0), [0.1])
    assert len(beats) > 20
    beats.clear()
    with listening(stop), pytest.raises(Enough):
        run(network, batch, L2Ball(1.0), [0.1])


def test_a_bracket_is_one_line_in_print():
    found = run(small_network(), samples(small_network()), L2Ball(1.0), [0.15])[0]
    assert repr(found).startswith("Bracket(radius=0.15, certified=0.") and len(repr(found)) < 120


class Own:
    """A network of somebody's own, with margins and no more."""

    weights = np.ones((1, 2))

    def margins(self, X, y):
        return y * X.sum(axis=1)


@pytest.mark.parametrize("network, adversary, radii, message", [
    (Own(), Adversary(L2Ball(1.0)), [0.1], "network: expected a SymmetricReLU, got Own: the cert"),
    (small_network(), 0.1, [0.1], "adversary: expected an Adversary such as .*, got 0.1"),
    (small_network(), L2Ball(0.1), [0.1], "write Adversary"),
    (small_network(), Adversary(PatchL2Ball(0.1)), [0.1], "expected L2Ball, LinfBall"),
    (small_network(), Adversary(L2Ball(0.1)), 0.1, "radii: expected a sequence of radii")])
def test_a_slip_is_one_line(network, adversary, radii, message):
    with pytest.raises(TypeError, match=message):
        bracket(network, samples(small_network()), adversary, radii=radii)


@both_balls
def test_every_decision_has_its_bound_and_its_counterexample(kind):
    network = small_network(3, d=6, m=30)
    batch = samples(network, 20)
    for found in run(network, batch, kind(1.0)):
        certified, broken = (np.char.startswith(found.decided_by, word)
                             for word in ("certified", "broken"))
        assert np.all(found.lower[certified] > 0.0) and np.all(found.upper[broken] <= 0.0)
        assert np.all(found.lower <= found.upper)
        assert np.all(kind(1.0).norm(found.delta) <= found.radius)
        reached = network.margins(batch.X + found.delta, batch.y)
        met = np.isfinite(found.upper)
        np.testing.assert_allclose(reached[met], found.upper[met], atol=1e-9)
        assert certified.any() and broken.any()


def test_what_rounding_could_turn_over_is_neither_certified_nor_broken():
    """In float64 one sample of each seems right and one wrong; their clean margins are not zero."""
    x = np.array([[1e4, 1e4]])
    network = SymmetricReLU(np.array([[1e4, -1e4 * (1.0 - 2.0**-52)]]), 0.0)
    for y in (-1.0, 1.0):
        found = run(network, Batch(x, np.array([y])), L2Ball(1.0), [0.0, 1e-14])
        assert [entry.decided_by[0] for entry in found] == ["open", "open"]
