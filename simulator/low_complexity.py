"""Low-complexity learners on the data of a run: how robust can each of them be made?

Each learner is trained cleanly and adversarially by the one training loop, on the batches of the
run, over a small grid of hyper-parameters (learning rate, weight decay, radius of the adversarial
samples). To these come members that need no training: the exact minimisers of the linear robust
risk, and threshold-like cubics ``sum_j c t_j + t_j^3``. For each radius the best one on validation
samples is attacked on the run's test samples. What an attack leaves is an upper bound of robust
accuracy: an unfair advantage of the learner, not of the network it is held against.

    linear              <w, x>; the one-step attack is its exact worst case
    degree 2, degree 3  all polynomials (:mod:`simulator.networks.polynomials`)
    symmetric cubic     the four-parameter family that holds a best polynomial of degree 3,
                        trained with PGD, because FGM misjudges a cubic; and the three-parameter
                        one of degree 2, "symmetric quadratic"
    tangent kernel      the run's own network linearised at its initialisation, trained and
                        attacked through smoothed gates too

The polynomials with all coefficients stop at a hundred coordinates or so; the symmetric families,
in which a best polynomial lies, do not (:mod:`simulator.networks.polynomials`). `LEARNERS` are the
sets that a run can choose from.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import Universal
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.suites import standard_attacks
from simulator.attacks.through import ThroughSmoothedGates
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.checks import require_int, require_real
from simulator.errors import Diverged
from simulator.networks.linear import LinearClassifier, robust_linear
from simulator.networks.linearized import LinearizedReLU
from simulator.networks.polynomials import Polynomial, SymmetricCubic, SymmetricQuadratic
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Attack, Batch, Batches, Network
from simulator.training import train

__all__ = ["GRID", "LEARNERS", "RADII", "TRAINING_RADII", "Found", "Learner", "LearnerTask",
           "learners_of", "measure"]

GRID = ((0.5, 0.0), (2.0, 0.0), (2.0, 0.1))  # learning rate and weight decay, in natural units
RADII = (1.0, 1.25, 1.5, 1.75, 2.0)  # radii of the attacks, over tau
TRAINING_RADII = (1.0, 1.5)  # radii of adversarial training, over tau
THRESHOLDS = (0.0, 0.03, 0.1, 0.3)  # c of the cubics that need no training
EXACT_BATCHES = 20  # batches whose samples the exact linear minimiser sees
PROBES = 32
LEARNERS: Mapping[str, tuple[str, ...]] = {
    "all": ("linear", "degree 2", "degree 3", "symmetric cubic", "tangent kernel"),
    "symmetric": ("linear", "symmetric quadratic", "symmetric cubic"),
    "large": ("linear", "symmetric quadratic", "symmetric cubic", "tangent kernel")}


@dataclass(frozen=True)
class Learner:
    """One class of models that are linear in their weights.

    Attributes
    ----------
    name : str
    make : callable
        Returns the untrained model; its output is zero.
    training_attack : Attack
        Makes the samples of adversarial training.
    attacks : mapping of str to Attack
        Their worst case is the attacked accuracy.
    spread : int
        Over how many directions the square of its features spreads: the largest curvature of
        the loss is about ``E||features||^2 / (4 spread)``.
    known : tuple of Network
        Members that need no training.
    """

    name: str
    make: Callable[[], Network]
    training_attack: Attack
    attacks: Mapping[str, Attack]
    spread: int
    known: tuple[Network, ...] = ()


@dataclass(frozen=True)
class LearnerTask:
    """The data and the budget that all learners of a run share.

    Attributes
    ----------
    batches : Batches
        Training samples.
    validation, test : Batch
        Samples on which hyper-parameters are chosen, and accuracies reported.
    ball : L2Ball or LinfBall
        Of radius tau.
    steps : int
        Steps of each training.
    seed : int
    chunk : int
        Samples evaluated together.
    """

    batches: Batches
    validation: Batch
    test: Batch
    ball: L2Ball | LinfBall
    steps: int
    seed: int
    chunk: int = 1000

    def __post_init__(self) -> None:
        require_int("steps", self.steps, low=1)
        require_real("tau", self.ball.radius, low=0.0, open_low=True,
                     why="radii are multiples of it")

    @property
    def radii(self) -> list[float]:
        """Radii of the attacks."""
        return [share * self.ball.radius for share in RADII]


@dataclass(frozen=True)
class Found:
    """How robust a learner became by one way of training: a list entry for each radius.

    Attributes
    ----------
    learner : str
    training : "clean", "adversarial" or "known"
    accuracy : list of float
        Without attack.
    attacked : list of float
        Under the worst of all attacks.
    best : list of str
        The hyper-parameters that were best on the validation samples.
    """

    learner: str
    training: str
    accuracy: list[float]
    attacked: list[float]
    best: list[str]


def learners_of(origin: SymmetricReLU, labeler: np.ndarray, dictionary: np.ndarray | None,
                direction: np.ndarray, task: LearnerTask,
                names: Sequence[str] = LEARNERS["all"]) -> list[Learner]:
    """Return the learners that a network is held against.

    Parameters
    ----------
    origin : SymmetricReLU
        The network before training, which fixes the gates of the kernel; its smoothing, if it
        has any, is left out.
    labeler : ndarray, shape (d,)
        w*.
    dictionary : ndarray, shape (d, d), or None
        M; None is the identity.
    direction : ndarray, shape (d,)
        The dense direction ``M w*``.
    task : LearnerTask
    names : sequence of str
        Which; they are returned in this order.
    """
    d, dtype = len(labeler), origin.weights.dtype
    signs = np.sign(labeler)
    frozen = SymmetricReLU(origin.weights, origin.bias)
    standard = standard_attacks(direction)
    curved = PGD(3, ("zero", "universal"), direction=direction)
    gates = ThroughSmoothedGates(PGD(20, ("zero", "universal"), direction=direction))

    def cubic(weights: np.ndarray | None = None) -> SymmetricCubic:
        return SymmetricCubic(signs, dictionary, weights, dtype)

    def linear() -> Learner:
        return Learner("linear", lambda: LinearClassifier(np.zeros(d, dtype)), FGM(), standard, d,
                       _exact_linear(direction, task, dtype))

    def symmetric_cubic() -> Learner:
        known = tuple(cubic(np.array([c, 0.0, 0.0, 1.0], dtype)) for c in THRESHOLDS)
        return Learner("symmetric cubic", cubic, curved, standard, 2, known)

    made: dict[str, Callable[[], Learner]] = {
        "linear": linear,
        "degree 2": lambda: Learner("degree 2", lambda: Polynomial(d, 2, dtype=dtype), FGM(),
                                    standard, d),
        "degree 3": lambda: Learner("degree 3", lambda: Polynomial(d, 3, dtype=dtype), FGM(),
                                    standard, d),
        "symmetric quadratic": lambda: Learner(
            "symmetric quadratic", lambda: SymmetricQuadratic(signs, dictionary, dtype=dtype),
            FGM(), standard, 2),
        "symmetric cubic": symmetric_cubic,
        "tangent kernel": lambda: Learner(
            "tangent kernel", lambda: LinearizedReLU(frozen, centred=True),
            ThroughSmoothedGates(FGM(), (0.0, 1.0)), standard | {"gates": gates}, d)}
    return [made[name]() for name in names]


def _exact_linear(direction: np.ndarray, task: LearnerTask,
                  dtype: np.dtype) -> tuple[Network, ...]:
    """The dense direction, and the minimisers of the robust logistic risk."""
    some = [task.batches.batch(step) for step in range(EXACT_BATCHES)]
    whole = Batch(np.concatenate([batch.X for batch in some]),
                  np.concatenate([batch.y for batch in some]))
    exact = [robust_linear(whole, task.ball.with_radius(share * task.ball.radius)).weights
             for share in TRAINING_RADII]
    return tuple(LinearClassifier(w.astype(dtype)) for w in (direction, *exact))


def measure(learner: Learner, task: LearnerTask) -> Iterator[Found]:
    """Train one learner in every way and yield how robust it became."""
    ways = {"clean": _trained(learner, task, (0.0,)),
            "adversarial": _trained(learner, task, TRAINING_RADII),
            "known": ((f"member {number}", network)
                      for number, network in enumerate(learner.known))}
    for training, candidates in ways.items():
        # the untrained model, which is right nowhere, where every training diverged
        named = [("untrained", learner.make()), *candidates]
        if training != "known" or learner.known:
            yield _best(learner, training, named, task)


def _trained(learner: Learner, task: LearnerTask,
             shares: Sequence[float]) -> Iterator[tuple[str, Network]]:
    """Yield the models of the grid, with their hyper-parameters in words."""
    unit = _curvature(learner, task)
    for share in shares:
        adversary = Adversary(task.ball.with_radius(share * task.ball.radius),
                              learner.training_attack) if share > 0.0 else None
        for rate, decay in GRID:
            network = learner.make()
            try:
                with np.errstate(over="ignore", invalid="ignore"):  # told by Diverged
                    train(network, task.batches, learning_rate=rate / unit, steps=task.steps,
                          weight_decay=decay * unit, seed=task.seed, adversary=adversary)
            except Diverged:
                continue
            words = f"rate {rate / unit:.3g}, decay {decay * unit:.3g}"
            yield words + (f", radius {share:g} tau" if adversary else ""), network


def _curvature(learner: Learner, task: LearnerTask) -> float:
    """Return ``E||features||^2 / spread``, the unit of the grid's rates (inverse) and decays.

    At f = 0 the loss of one sample has the gradient ``-y features / 2``.
    """
    network, batch = learner.make(), task.batches.batch(0)
    squares = [np.sum(np.square(network.loss_gradient(batch.X[row:row + 1],
                                                      batch.y[row:row + 1])[1], dtype=np.float64))
               for row in range(min(PROBES, len(batch)))]
    return 4.0 * float(np.mean(squares)) / learner.spread


def _best(learner: Learner, training: str, named: Sequence[tuple[str, Network]],
          task: LearnerTask) -> Found:
    """Choose for each radius on the validation samples, and report on the test samples."""
    quick: dict[str, Attack] = {name: attack for name, attack in learner.attacks.items()
                                if isinstance(attack, Universal)}
    quick["pgd"] = PGD(10)
    learned = Found(learner.name, training, [], [], [])
    for index, radius in enumerate(task.radii):
        adversary = Adversary(task.ball.with_radius(radius), learner.attacks, seed=task.seed,
                              chunk=task.chunk)
        chooser = replace(adversary, attacks=quick)
        scores = [worst_case(network, task.validation, chooser, key=index).accuracy()
                  for _, network in named]
        words, network = named[int(np.argmax(scores))]
        result = worst_case(network, task.test, adversary, key=index)
        clean, attacked = result.accuracy("clean"), result.accuracy()
        learned.accuracy.append(clean)
        learned.attacked.append(attacked)
        learned.best.append(words)
    return learned
