"""The one training loop: its step is the formula, it resumes exactly and it stops on NaN."""

import math

import numpy as np
import pytest
import threadpoolctl

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.balls import L2Ball, LinfBall
from simulator.bias_schedules import LinearThenConstant, TrackingNorm
from simulator.data.batches import FreshBatches, TrainingSet
from simulator.data.sparse_coding import SparseCoding
from simulator.errors import Diverged
from simulator.heartbeat import listening
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch, Perturbation
from simulator.randomness import Role, stream
from simulator.training import train

from references import symmetric_relu as naive

DATA = SparseCoding(6, 2, noise=0.3)
BATCHES = FreshBatches(DATA, 8, seed=3)


def network(smoothing=0.0, sampled=False, seed=0, dtype=np.float64):
    return SymmetricReLU.initialise(5, 6, 0.5, np.random.default_rng(seed), 0.2, smoothing,
                                    sampled, dtype)


# --- one step -----------------------------------------------------------------------------


@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_a_clean_step_is_gradient_descent(smoothing, weight_decay):
    net = network(smoothing)
    W, batch = net.weights.copy(), BATCHES.batch(4)
    seen = []
    train(net, BATCHES, learning_rate=0.7, start=4, stop=5, weight_decay=weight_decay,
          after_step=lambda *step: seen.append(step))
    loop = (W, 0.2, batch.X, batch.y, weight_decay, smoothing)
    # sums of a few dozen terms in another order
    assert np.allclose(net.weights, W - 0.7 * naive.weight_gradient(*loop), rtol=0, atol=1e-13)
    assert seen == [(5, pytest.approx(naive.loss(*loop), rel=1e-13))]


@pytest.mark.parametrize("ball, formula", [(L2Ball(0.4), naive.fgm_l2),
                                           (LinfBall(0.2), naive.fgm_linf)], ids=["l2", "linf"])
def test_an_adversarial_step_is_the_same_step_on_the_perturbed_inputs(ball, formula):
    net = network()
    W, batch = net.weights.copy(), BATCHES.batch(0)
    train(net, BATCHES, learning_rate=0.7, steps=1, weight_decay=0.1,
          adversary=Adversary(ball, FGM()))
    gradient = naive.margin_gradient(W, 0.2, batch.X, batch.y)
    X = batch.X + formula(gradient, ball.radius)
    step = naive.weight_gradient(W, 0.2, X, batch.y, 0.1)
    assert np.allclose(net.weights, W - 0.7 * step, rtol=0.0, atol=1e-13)
    clean = naive.weight_gradient(W, 0.2, batch.X, batch.y, 0.1)
    assert np.abs(step - clean).max() > 1e-3  # the attack mattered


@pytest.mark.parametrize("options", [{}, {"smoothing": 0.3, "sampled": True}],
                         ids=["plain", "with noise"])
def test_two_updates_a_batch_are_a_clean_step_and_an_adversarial_one(options):
    net, by_hand, ball, losses = network(**options), network(**options), L2Ball(0.4), []
    train(net, BATCHES, learning_rate=0.7, steps=3, weight_decay=0.1, clean_first=True,
          adversary=Adversary(ball, FGM()), after_step=lambda step, loss: losses.append(loss))
    for step in range(3):
        batch, noise = BATCHES.batch(step), stream(0, Role.SMOOTHING_NOISE, step)
        by_hand.gradient_step(batch.X, batch.y, 0.7, 0.1, noise)
        delta = ball.project(FGM().perturb(by_hand, batch.X, batch.y, ball).delta)
        loss = by_hand.gradient_step(batch.X + delta, batch.y, 0.7, 0.1, noise)
        assert losses[step] == pytest.approx(loss, rel=1e-13)
    # within a training neurons without an open gate catch up with their decay: another last bit
    assert np.allclose(net.weights, by_hand.weights, rtol=0, atol=1e-14)


def test_a_clean_update_needs_one_that_somebody_perturbs():
    with pytest.raises(ValueError, match="clean_first: expected an adversary for the second"):
        train(network(), BATCHES, learning_rate=0.7, steps=1, clean_first=True)


def test_an_attack_of_radius_zero_is_clean_training():
    clean, attacked = network(), network()
    train(clean, BATCHES, learning_rate=0.5, steps=5)
    train(attacked, BATCHES, learning_rate=0.5, steps=5, adversary=Adversary(L2Ball(0.0), PGD(2)))
    assert np.array_equal(clean.weights, attacked.weights)


class Lying:
    """An attack that returns ten times what the ball allows."""

    def perturb(self, network, X, y, ball, rng):
        honest = FGM().perturb(network, X, y, ball, rng)
        return Perturbation(10.0 * honest.delta, honest.zero_gradients)


def test_a_lying_attack_is_projected():
    honest, lied_to = network(), network()
    train(honest, BATCHES, learning_rate=0.5, steps=3, adversary=Adversary(L2Ball(0.3), FGM()))
    train(lied_to, BATCHES, learning_rate=0.5, steps=3, adversary=Adversary(L2Ball(0.3), Lying()))
    # the projection brings the same direction back to the same radius, up to rounding
    assert np.allclose(honest.weights, lied_to.weights, rtol=0.0, atol=1e-12)


# --- many steps ---------------------------------------------------------------------------


def test_every_step_is_reported_in_order():
    seen = []
    train(network(), BATCHES, learning_rate=0.1, start=2, stop=7,
          after_step=lambda *step: seen.append(step))
    assert [step for step, _ in seen] == [3, 4, 5, 6, 7]
    assert all(0.0 < loss < 10.0 for _, loss in seen)


def test_no_step_changes_no_weight():
    net = network()
    before = net.weights.copy()
    train(net, BATCHES, learning_rate=0.1, start=5, stop=5,
          after_step=lambda *step: pytest.fail("no step was taken"))
    assert np.array_equal(net.weights, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_run_in_two_parts_is_the_whole_run_bit_for_bit(dtype):
    # random starts, sampled smoothing and shuffling all draw from streams keyed by the step
    batches = TrainingSet(DATA, 20, 6, seed=1, dtype=dtype)
    options = dict(weight_decay=0.01, seed=9, schedule=LinearThenConstant(0.1, 0.01, 0.15),
                   adversary=Adversary(L2Ball(0.2), PGD(2, ("random",))))
    whole, parts = (network(0.2, True, dtype=dtype) for _ in range(2))
    train(whole, batches, learning_rate=0.3, steps=11, **options)
    train(parts, batches, learning_rate=0.3, steps=4, **options)
    train(parts, TrainingSet(DATA, 20, 6, seed=1, dtype=dtype), learning_rate=0.3, start=4,
          stop=11, **options)
    assert whole.weights.dtype == dtype
    assert np.array_equal(whole.weights, parts.weights)
    assert whole.bias == parts.bias


@pytest.mark.parametrize("options, sampled", [
    (dict(adversary=Adversary(L2Ball(0.3), PGD(1, ("random",)))), False), (dict(), True)],
    ids=["attack", "smoothing"])
def test_the_seed_decides_the_attack_and_the_noise(options, sampled):
    runs = []
    for seed in (0, 0, 1):
        net = network(0.3, sampled)
        train(net, BATCHES, learning_rate=0.3, steps=3, seed=seed, **options)
        runs.append(net.weights)
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


class Listening:
    """An attack that notes the first number of its generator and perturbs nothing."""

    def __init__(self):
        self.heard = []

    def perturb(self, network, X, y, ball, rng):
        self.heard.append(rng.random())
        return Perturbation(np.zeros_like(X), 0)


def test_each_step_has_streams_of_its_own_for_the_attack_and_for_the_noise():
    attack, noise = Listening(), []

    class Hearing(Noting):
        def gradient_step(self, X, y, learning_rate, weight_decay=0.0, rng=None):
            noise.append(rng.random())
            return 0.1

    train(Hearing(), BATCHES, learning_rate=0.1, start=2, stop=6, seed=5,
          adversary=Adversary(L2Ball(0.1), attack))
    for role, heard in ((Role.TRAINING_ATTACK, attack.heard), (Role.SMOOTHING_NOISE, noise)):
        assert heard == [stream(5, role, step).random() for step in range(2, 6)]


def test_full_batch_descent_with_a_small_step_lowers_the_loss_at_every_step():
    losses = []
    train(network(0.5), TrainingSet(DATA, 40, 40, seed=0), learning_rate=0.05, steps=40,
          after_step=lambda step, loss: losses.append(loss))
    assert np.all(np.diff(losses) < 0.0)


def test_anything_with_a_gradient_step_can_be_trained():
    classifier = LinearClassifier(np.zeros(6))
    batch = BATCHES.batch(0)
    train(classifier, BATCHES, learning_rate=0.5, steps=1, adversary=Adversary(L2Ball(0.1), FGM()))
    # at w = 0 the attack is blind and each sample pulls by y x / 2
    assert np.allclose(classifier.weights, 0.25 * (batch.y @ batch.X) / 8, atol=1e-15)


# --- bias schedules -----------------------------------------------------------------------


class Noting:
    """A network that notes the bias at each use."""

    def __init__(self):
        self.weights, self.bias, self.seen = np.zeros((1, 6)), -1.0, []

    def gradient_step(self, X, y, learning_rate, weight_decay=0.0, rng=None):
        self.seen.append(self.bias)
        return 0.1


def test_the_bias_is_set_before_each_step_and_once_after_the_last():
    net = Noting()
    train(net, BATCHES, learning_rate=1.0, start=2, stop=5,
          schedule=LinearThenConstant(0.0, 1.0, 3.5))
    assert net.seen == [2.0, 3.0, 3.5]
    assert net.bias == 3.5
    train(net, BATCHES, learning_rate=1.0, start=1, stop=1,
          schedule=LinearThenConstant(0.0, 1.0, 3.5))
    assert net.bias == 1.0


def test_without_a_schedule_the_bias_stays():
    net = network()
    train(net, BATCHES, learning_rate=0.1, steps=3)
    assert net.bias == 0.2


# --- divergence ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_huge_learning_rate_is_reported_as_divergence(dtype):
    net, seen = network(dtype=dtype), []
    with pytest.raises(Diverged, match=r"training diverged at step \d+: loss") as caught:
        train(net, FreshBatches(DATA, 8, 3, dtype), learning_rate=1e12, steps=50, weight_decay=0.1,
              after_step=lambda step, loss: seen.append(step))
    assert caught.value.step < 10
    assert not caught.value.loss < 1e3 * math.log(2.0)
    # the steps before it were reported, the bad one was not
    assert seen == list(range(1, caught.value.step + 1))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_nan_in_the_weights_stops_the_next_step(bad, weight_decay):
    net = network()

    def poison(step, loss):
        if step == 3:
            net.weights[1, 2] = bad

    with pytest.raises(Diverged) as caught:
        train(net, BATCHES, learning_rate=0.1, steps=10, weight_decay=weight_decay,
              after_step=poison)
    assert caught.value.step == 3
    assert not math.isfinite(caught.value.loss)


@pytest.mark.parametrize("loss, diverged", [
    (math.nan, True), (math.inf, True), (694.0, True), (693.0, False), (0.0, False)])
def test_a_loss_a_thousand_times_a_blind_guess_is_divergence(loss, diverged):
    class Given(Noting):
        def gradient_step(self, X, y, learning_rate, weight_decay=0.0, rng=None):
            return loss

    if diverged:  # 1000 log 2 = 693.1
        with pytest.raises(Diverged, match="step 0"):
            train(Given(), BATCHES, learning_rate=0.1, steps=1)
    else:
        train(Given(), BATCHES, learning_rate=0.1, steps=1)


# --- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("change, error, message", [
    (dict(learning_rate=0.0), ValueError, "learning_rate: expected more than 0.0"),
    (dict(learning_rate=np.nan), ValueError, "learning_rate: expected a finite number"),
    (dict(start=-1), ValueError, "start: expected at least 0"),
    (dict(start=3, stop=2), ValueError, "stop: expected at least 3, got 2"),
    (dict(stop=2.0), TypeError, "stop: expected an integer"),
    (dict(stop=None), ValueError, "steps, stop: expected one of the two, got neither"),
    (dict(steps=3), ValueError, "steps, stop: expected one of the two, got both"),
    (dict(adversary=FGM()), TypeError, "adversary: expected an Adversary such as"),
    (dict(adversary=L2Ball(0.1)), TypeError, r"write Adversary\(L2Ball\(radius=0.1\)\)"),
    (dict(adversary=Adversary(L2Ball(0.1))), ValueError, "expected one attack to train against"),
    (dict(data=0.1), TypeError, "data: expected a data model with sample"),
    (dict(data=Batch(np.ones((2, 3)), np.ones(2))), TypeError, "a finite set of samples is a Tr"),
    (dict(network=3), TypeError, "network: expected one with gradient_step, got a value of type"),
    (dict(threads=0), ValueError, "threads: expected at least 1"),
    (dict(batch_size=0), ValueError, "batch_size: expected at least 1"),
    (dict(schedule=0.1), TypeError, r"schedule: expected one such as TrackingNorm\(1.0\), got 0.1"),
    (dict(network=LinearClassifier(np.ones(6)), schedule=TrackingNorm(1.0)), TypeError,
     "schedule: expected None, .* a LinearClassifier has no bias"),
    (dict(weight_decay=-1.0), ValueError, "weight_decay: expected at least 0.0"),
    (dict(seed=-1), ValueError, "seed: expected at least 0"),
])
def test_bad_input_is_named(change, error, message):
    good = dict(network=network(), data=BATCHES, learning_rate=0.1, start=0, stop=1)
    with pytest.raises(error, match=message):
        train(**good | change)


# --- the door for a notebook --------------------------------------------------------------


def test_a_data_model_gives_fresh_samples_of_the_dtype_of_the_weights():
    dtype = np.float32
    direct, wrapped = network(dtype=dtype), network(dtype=dtype)
    train(direct, FreshBatches(DATA, 7, 5, dtype), learning_rate=0.3, steps=4, seed=5)
    train(wrapped, DATA, learning_rate=0.3, steps=4, seed=5, batch_size=7)
    assert wrapped.weights.dtype == dtype
    assert np.array_equal(direct.weights, wrapped.weights)


def test_threads_are_limited_while_it_trains_and_free_again():
    def most():
        return max(pool["num_threads"] for pool in threadpoolctl.threadpool_info())

    seen = []
    with threadpoolctl.threadpool_limits(2):
        outside = most()
        train(network(), BATCHES, learning_rate=0.1, steps=1, threads=1,
              after_step=lambda *step: seen.append(most()))
        assert seen == [1] and most() == outside


def test_a_bar_is_shown_if_asked_for_and_changes_nothing(capsys):
    quiet, shown = network(), network()
    train(quiet, BATCHES, learning_rate=0.1, steps=3)
    assert capsys.readouterr().err == ""
    train(shown, BATCHES, learning_rate=0.1, steps=3, progress=True)
    assert "3/3" in capsys.readouterr().err
    assert np.array_equal(quiet.weights, shown.weights)


def test_every_step_of_training_is_heard():
    beats = []
    with listening(lambda: beats.append(1)):
        train(network(), BATCHES, learning_rate=0.1, steps=3)
    assert len(beats) == 3
