"""One patch run: standard and adversarial training from one start, and what withstands what.

The run of Li & Li (arXiv 2410.08503). From one random network go standard training, and the
adversarial trainings, each on from the one before: against a single gradient ascent step, against
PGD from a random start, against PGD from many starts in which every patch takes the worst
perturbation found for it. Each network is then attacked in seven ways, and certified.

The result holds, for each training t and attack a:

    summary   kappa, epsilon, and under t ``u``, ``v``, ``against_v`` (see :func:`correlations`),
              ``clean`` accuracy, accuracy under each attack and under the
              ``strongest_attack``, ``certified`` accuracy (of the first samples) and
              ``certified_radius``, the largest met at which .9 of them are certified (0 where
              fewer are right at all)
    history   rows of training, step, loss, u, v, against_v
    arrays    weights_start, weights_t (K, m, d); margins_t_a and margins_t_strongest (n,);
              margins_t_certified (few,), lower bounds; parts_t (16, P, 5), see
              :func:`parts_of`; labels (n,); features (2 K, d)

A run with races is one of :mod:`simulator.experiments.structured_features.races` instead: ``kappas`` (points,) and ``races``
(points, races, K, 4), and in the summary the fitted transition.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import PGD, Ascent
from simulator.attacks.patches import PatchSearch
from simulator.attacks.suites import patch_attacks
from simulator.attacks.through import InSpan
from simulator.attacks.worst_case import worst_case
from simulator.balls import PatchL2Ball
from simulator.certificates.patches.margins import certified_radius, patch_margins
from simulator.data.batches import TrainingSet
from simulator.data.patches import PatchData, random_features
from simulator.experiments.structured_features.config import TRAININGS, PatchConfig
from simulator.experiments.structured_features.races import (first_feature, fit_transition, kappas,
                                                             run_races)
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.protocols import Attack, Batch
from simulator.randomness import Role, stream
from simulator.runs.cost import PROCESS_BYTES, Cost
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run, write_run
from simulator.runs.stages import Arrays, Progress, Stage, Tick, run_stages, silent
from simulator.training import train

__all__ = ["CONFIG", "PatchSimulation", "check", "correlations", "cost", "parts_of", "simulate"]

CONFIG = PatchConfig
SHOWN_PERTURBATIONS = 16
CERTIFIED_SHARE = 0.9
LARGEST_RADIUS = 2.0  # times epsilon: nothing above it is tried
HALVINGS = 5
# Read off a run of the desk preset: activations and searches beside the products, and what a
# certificate of one patch of one sample costs, as if it were products.
BESIDE_PRODUCTS = 4.0
CERTIFICATE_FLOPS = 2e7
COLUMNS = ("loss", "u", "v", "against_v")


class PatchSimulation:
    """The objects of one run, built from its config.

    Parameters
    ----------
    config : PatchConfig

    Raises
    ------
    TypeError, ValueError
        Settings that do not fit together.
    """

    def __init__(self, config: PatchConfig) -> None:
        self.config = config
        features = None
        if config.features == "random":
            features = random_features(config.classes, config.d,
                                       stream(config.seed, Role.DICTIONARY))
        self.data = PatchData(
            config.d, np.full(config.robust_patches, config.alpha),
            np.full(config.nonrobust_patches, config.beta), config.classes, config.jitter,
            config.noise, features)
        self.ball = PatchL2Ball(config.epsilon)
        self.batches = TrainingSet(self.data, config.training_samples, config.training_samples,
                                   config.seed, np.dtype(config.dtype))

    @cached_property
    def test_set(self) -> Batch:
        """The samples of every reported accuracy."""
        return self.data.sample(self.config.test_samples,
                                stream(self.config.seed, Role.EVALUATION_DATA),
                                np.dtype(self.config.dtype))

    @cached_property
    def features(self) -> np.ndarray:
        """u and then v of all classes, shape (2 K, d)."""
        return np.concatenate([self.data.robust_features, self.data.nonrobust_features])

    @cached_property
    def attacks(self) -> dict[str, Attack]:
        """The attacks whose worst case is the strongest attack."""
        return patch_attacks(self.data.robust_features, self.data.nonrobust_features,
                             ascent=self.config.ascent_size, steps=self.config.attack_steps)

    @cached_property
    def adversary(self) -> Adversary:
        """Who attacks in the evaluation."""
        return Adversary(self.ball, self.attacks, seed=self.config.seed,
                         chunk=self.config.evaluation_chunk)

    def initial_network(self) -> SmoothedReLUCNN:
        """The network before training."""
        config = self.config
        return SmoothedReLUCNN.initialise(
            config.classes, config.m, config.d, config.init_scale, config.q, config.rho,
            stream(config.seed, Role.INITIALISATION), np.dtype(config.dtype))

    def network(self, weights: np.ndarray) -> SmoothedReLUCNN:
        """A network of this run with given weights."""
        return SmoothedReLUCNN(weights, self.config.q, self.config.rho)

    def trainings(self) -> list[tuple[str, int, int]]:
        """Name, first and last step of the trainings that take place.

        The adversarial ones share one count of steps, and so never a random stream.
        """
        found, last = [], 0
        for name in TRAININGS:
            steps = getattr(self.config, f"{name}_steps")
            if steps:
                found.append((name, last, last + steps))
                last += 0 if name == "standard" else steps
        return found

    def train(self, name: str, network: SmoothedReLUCNN, first: int, last: int,
              tick: Callable[[int], None]) -> Arrays:
        """Train in place; return the weights and the rows of the history."""
        config = self.config
        attack: Attack | None = {
            "standard": None,
            "one_step": Ascent(config.ascent_size),
            "pgd": InSpan(PGD(config.inner_steps, ("random",))),
            "multi_start": PatchSearch(steps=config.inner_steps, restarts=config.restarts)}[name]
        coarse = name in ("standard", "one_step")
        rows = []

        def after_step(step: int, loss: float) -> None:
            if step == last or step % config.record_every == 0:
                rows.append((step, loss, *correlations(network, self.data).values()))
            tick(step - first)

        train(network, self.batches,
              learning_rate=config.learning_rate if coarse else config.fine_learning_rate,
              start=first, stop=last, seed=config.seed,
              adversary=None if attack is None else Adversary(self.ball, attack),
              after_step=after_step)
        return {"weights": network.weights, "history": np.array(rows)}

    def attack(self, network: SmoothedReLUCNN) -> Arrays:
        """Attack the network on the test set; return margins and parts of perturbations."""
        test, few = self.test_set, slice(SHOWN_PERTURBATIONS)
        found = worst_case(network, test, self.adversary)
        parts = parts_of(found.delta[few], test.y[few], self.data)
        return {"margins_strongest": found.margins, "parts": parts} | {
            f"margins_{name}": margins for name, margins in found.margins_of.items()}

    def certify(self, network: SmoothedReLUCNN) -> Arrays:
        """Return lower bounds on the margins of the first samples, and the certified radius."""
        config, few = self.config, slice(self.config.certified_samples)
        model = (network.weights, network.q, network.rho, self.test_set.X[few],
                 self.test_set.y[few])
        found = patch_margins(*model, radius=config.epsilon, boxes=config.certificate_boxes)
        radius = certified_radius(*model, share=CERTIFIED_SHARE,
                                  high=LARGEST_RADIUS * config.epsilon, halvings=HALVINGS,
                                  boxes=config.certificate_boxes)
        return {"margins": found.margins, "radius": np.nan_to_num(radius)}


def correlations(network: SmoothedReLUCNN, data: PatchData) -> dict[str, float]:
    """Return what the network has learned of the features, as means over classes.

    ``u`` is ``max_r <w_ir, u_i>``, ``v`` is ``max_r <w_ir, v_i>``, and ``against_v``
    ``min_r <w_ir, v_j>`` for j != i: how strongly a class is inhibited by another one's feature.
    """
    onto_u = np.einsum("ird,jd->ijr", network.weights, data.robust_features)
    onto_v = np.einsum("ird,jd->ijr", network.weights, data.nonrobust_features)
    own = np.arange(network.classes)
    others = ~np.eye(network.classes, dtype=bool)
    return {"u": float(onto_u[own, own].max(axis=1).mean()),
            "v": float(onto_v[own, own].max(axis=1).mean()),
            "against_v": float(onto_v.min(axis=2)[others].mean())}


def parts_of(delta: np.ndarray, y: np.ndarray, data: PatchData) -> np.ndarray:
    """Decompose perturbations patch by patch.

    Parameters
    ----------
    delta : ndarray, shape (n, P, d)
    y : ndarray, shape (n,)
    data : PatchData

    Returns
    -------
    ndarray, shape (n, P, 5)
        Along -u_y, along the u_j it goes along most, along -v_y, along the v_j it goes along
        most (j != y), and the length of what is orthogonal to all features.
    """
    parts = np.empty((*delta.shape[:2], 5))
    rows = np.arange(len(y))
    rest = delta.astype(np.float64)
    for place, features in ((0, data.robust_features), (2, data.nonrobust_features)):
        along = delta @ features.T
        rest -= along @ features
        parts[..., place] = -along[rows, :, y]
        along[rows, :, y] = -np.inf
        parts[..., place + 1] = along.max(axis=2)
    parts[..., 4] = np.linalg.norm(rest, axis=2)
    return parts


def check(config: PatchConfig) -> None:
    """Raise TypeError or ValueError where settings do not fit together."""
    PatchSimulation(config)


def cost(config: PatchConfig) -> Cost:
    """Estimate a run: the matrix products of training and attacks, and the samples in memory."""
    item = 4 if config.dtype == "float32" else 8
    filters = config.classes * config.m
    inside = min(filters, config.d)  # attacks work in the span of the weights
    rows = float(config.training_samples) * config.patches
    step = 4.0 * rows * filters * config.d
    if config.races:
        # a race is over after a few hundred steps, however many it may take
        count = config.races * config.kappa_points
        steps = count * min(config.standard_steps, 300)
        memory = PROCESS_BYTES + 4.0 * rows * config.d * item
        return Cost(memory, step * steps, 0.0, (int(rows), filters, config.d), steps)
    search = 2.0 * rows * filters * inside * (2 * config.m + 2.0 * config.inner_steps * (
        1 + config.restarts)) * (config.classes - 1)
    steps = (config.standard_steps + config.one_step_steps + config.pgd_steps
             + config.multi_start_steps)
    training = (step * (steps + config.one_step_steps) + search * config.multi_start_steps
                + 4.0 * rows * filters * inside * config.inner_steps * config.pgd_steps)
    test = float(config.test_samples) * config.patches
    evaluation = 2.0 * test * filters * inside * (
        8.0 * config.attack_steps + 2 * config.m + 40) * (config.classes - 1)
    chunk = min(config.evaluation_chunk, config.test_samples) * config.patches
    memory = (PROCESS_BYTES + (test + 6.0 * max(rows, chunk)) * config.d * item
              + 3.0 * chunk * filters * item)
    proofs = CERTIFICATE_FLOPS * config.certified_samples * config.patches
    return Cost(memory, BESIDE_PRODUCTS * training,
                len(TRAININGS) * (BESIDE_PRODUCTS * evaluation + proofs),
                (int(rows), filters, config.d), steps)


def simulate(config: PatchConfig, folder: RunFolder | None = None,
             progress: Progress = silent) -> Run:
    """Do a run, from the folder's checkpoint if there is one; see :func:`run_stages`."""
    run = PatchSimulation(config)
    stages = _race_stages(config) if config.races else _stages(run)
    done = run_stages(config, stages, folder, progress)
    result = _race_result(config, done) if config.races else _result(run, done)
    return write_run(result, folder, sum(stage.steps for stage in stages))


def _stages(run: PatchSimulation) -> list[Stage]:
    """Each training, then the attacks on what it made, then what can be proved of it."""
    stages: list[Stage] = []
    before = None
    for name, first, last in run.trainings():
        stages.append(Stage(name, last - first, _training(run, name, first, last, before)))
        stages.append(Stage(f"attacking {name}", 1, _examining(run, name, run.attack)))
        if run.config.certified_samples:
            stages.append(Stage(f"certifying {name}", 1, _examining(run, name, run.certify)))
        before = before if name == "standard" else name
    return stages


def _training(run: PatchSimulation, name: str, first: int, last: int,
              before: str | None) -> Callable[[Mapping[str, Arrays], Callable], Arrays]:
    def work(done: Mapping[str, Arrays], saved: Arrays | None, tick: Tick) -> Arrays:
        network = (run.initial_network() if before is None
                   else run.network(done[before]["weights"].copy()))
        return run.train(name, network, first, last, tick)
    return work


def _examining(run: PatchSimulation, name: str, examine: Callable[[SmoothedReLUCNN], Arrays]
               ) -> Callable[[Mapping[str, Arrays], Callable], Arrays]:
    def work(done: Mapping[str, Arrays], saved: Arrays | None, tick: Tick) -> Arrays:
        return examine(run.network(done[name]["weights"]))
    return work


def _result(run: PatchSimulation, done: Mapping[str, Arrays]) -> Run:
    config = run.config
    start = run.initial_network()
    begin = (0, np.log(config.classes), *correlations(start, run.data).values())
    summary: dict[str, Any] = {"kappa": config.kappa, "epsilon": config.epsilon}
    arrays = {"weights_start": start.weights, "labels": run.test_set.y, "features": run.features}
    history: list[dict[str, Any]] = []
    for name, first, _ in run.trainings():
        trained, attacked = done[name], done[f"attacking {name}"]
        history += [{"training": name, "step": int(row[0]),
                     **dict(zip(COLUMNS, map(float, row[1:])))}
                    for row in (*([begin] if first == 0 else []), *trained["history"])]
        margins = {attack: attacked[f"margins_{attack}"]
                   for attack in ("clean", *run.attacks, "strongest")}
        accuracy = {attack: float(np.mean(values > 0.0)) for attack, values in margins.items()}
        summary[name] = correlations(run.network(trained["weights"]), run.data) | accuracy
        summary[name]["strongest_attack"] = summary[name].pop("strongest")
        if config.certified_samples:
            proved = done[f"certifying {name}"]
            summary[name]["certified"] = float(np.mean(proved["margins"] > 0.0))
            summary[name]["certified_radius"] = float(proved["radius"])
            arrays[f"margins_{name}_certified"] = proved["margins"]
        arrays |= {f"weights_{name}": trained["weights"], f"parts_{name}": attacked["parts"]} | {
            f"margins_{name}_{attack}": values for attack, values in margins.items()}
    return Run(config, summary, history, arrays)


def _race_stages(config: PatchConfig) -> list[Stage]:
    return [Stage("races", config.races * config.kappa_points,
                  lambda done, saved, tick: {"races": run_races(config, tick)})]


def _race_result(config: PatchConfig, done: Mapping[str, Arrays]) -> Run:
    races, points = done["races"]["races"], kappas(config)
    wins = races[..., 1] > races[..., 0]
    predicted = first_feature(points, races[..., 2:], config.q)
    found, expected = (fit_transition(points, outcome.reshape(len(points), -1))
                       for outcome in (wins, predicted))
    summary = {"midpoint": found.midpoint, "width": found.width,
               "predicted_midpoint": expected.midpoint, "predicted_width": expected.width,
               "predicted_rightly": float(np.mean(wins == predicted)), "races": wins[0].size}
    history = [{"kappa": float(kappa), "v_wins": float(share.mean()),
                "v_should_win": float(should.mean())}
               for kappa, share, should in zip(points, wins, predicted)]
    return Run(config, summary, history, {"kappas": points, "races": races})
