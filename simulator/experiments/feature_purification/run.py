"""One purification run: clean training, adversarial training, and what they did to the network.

The run is a list of stages, see :mod:`simulator.runs.stages`: the two trainings, then for each of
the two networks its attacks, accuracy curves, critical radius and certificates, then the trainings
through updates of low rank, then the learners of low complexity. What a run leaves is told in
:mod:`simulator.experiments.feature_purification.summary`.
"""

import logging
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient_masking import gradient_masking
from simulator.attacks.reach import within_reach
from simulator.errors import Diverged
from simulator.experiments.feature_purification.config import CONFIG, PurificationConfig
from simulator.experiments.feature_purification.cost import cost, evaluation_steps
from simulator.experiments.feature_purification.experiment import PHASES, PurificationExperiment
from simulator.experiments.feature_purification.frames import Frames
from simulator.experiments.feature_purification.low_rank import phase_of, train_low_rank
from simulator.experiments.feature_purification.measured import Rows, attacked, perturbations
from simulator.experiments.feature_purification.summary import (CERTIFIED, TAILS, found_run,
                                                                r99_certified)
from simulator.experiments.feature_purification.verdicts import DECISIONS, arrays_of, files_of
from simulator.experiments.records import Record, as_text, columns_of, from_text
from simulator.jit import fixed_threads
from simulator.low_complexity import LEARNERS, learners_of, measure
from simulator.networks.symmetric_relu import require_symmetric
from simulator.protocols import Attack, DataModel, Network
from simulator.robustness.accuracy import breaking_points, passes
from simulator.robustness.bracket import PASSES, Bracket, bracket, is_huge
from simulator.robustness.certified_radius import certified_radii
from simulator.robustness.critical_radius import critical_interval, critical_radius
from simulator.robustness.tails import tail_radii
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run, write_run
from simulator.runs.stages import Arrays, Progress, Stage, Tick, run_stages, silent
from simulator.training import train

__all__ = ["CONFIG", "check", "cost", "simulate"]

LOG = logging.getLogger("purify")
BISECTIONS = 12  # about as many radii does a critical radius take
BISECTIONS_LEFT = 5  # and one that begins between two radii of the curves
TAIL_RADII = 40  # both tails with their limits
CERTIFIED_TAIL = 2.0 ** (np.arange(-64, 65) / 64.0)  # radii at which samples are certified, / tau
# Cheap for many samples. In an l2 ball "linear" and "shared" add nothing to the others.
CERTIFIED_METHODS = {"l2": ("separable", "sliced"),
                     "linf": ("linear", "separable", "shared")}
# For the few on which r99 hangs; of a huge network none is given a factor for each step.
CERTIFIED_ALONE = {"l2": ("own", "quadratic"), "linf": ("quadratic",)}
CERTIFICATES = 150  # about as many are tried

Work = Callable[[PurificationExperiment, Network, Mapping[str, Arrays], Arrays | None, Tick],
                Arrays]


def check(config: PurificationConfig) -> None:
    """Raise TypeError or ValueError where settings do not fit together."""
    if config.norm == "linf" and config.tau >= config.half_feature:
        raise ValueError(
            f"tau: expected less than 0.5/sqrt(k) = {config.half_feature:.4g}, half of a feature, "
            f"where norm is linf, got {config.tau:.4g}, which erases every feature at once: an l2 "
            "radius of that size is about 0.5/sqrt(k*d) = "
            f"{config.half_feature / math.sqrt(config.d):.4g} in l_inf")
    PurificationExperiment(config)


def simulate(config: PurificationConfig, folder: RunFolder | None = None,
             progress: Progress = silent, checkpoint_every: int = 200, *,
             network: Network | None = None, data: DataModel | None = None,
             attack: Attack | None = None) -> Run:
    """Do a run, from the folder's checkpoint if there is one.

    Parameters
    ----------
    config : PurificationConfig
    folder : RunFolder or None
        Where checkpoints and results go; None keeps everything in memory.
    progress : callable
        Called with (steps done, steps in all, what is being done); may raise Stopped.
    checkpoint_every : int
        Steps between checkpoints. They change nothing: a resumed run ends with the same bits.
    network, data, attack : objects or None
        Replace those of the config, in memory only; see :class:`PurificationExperiment`.

    Returns
    -------
    Run
        See :mod:`simulator.experiments.feature_purification.summary`; the folder also has the
        files of :mod:`simulator.experiments.feature_purification.verdicts`.

    Raises
    ------
    Diverged, Stopped, RunError
        See :func:`simulator.runs.stages.run_stages`.
    """
    experiment = PurificationExperiment(config, network=network, data=data, attack=attack)
    stages = _stages(experiment)
    done = run_stages(config, stages, folder, progress, checkpoint_every)
    return write_run(found_run(experiment, done), folder, sum(stage.steps for stage in stages),
                     files_of(done))


def _stages(experiment: PurificationExperiment) -> list[Stage]:
    """Both trainings, then all that is measured of each network; then training through updates of
    low rank, and the learners.
    """
    config, steps = experiment.config, evaluation_steps(experiment.config)
    stages = [Stage("clean", config.clean_steps, partial(_train, experiment, "clean")),
              Stage("adversarial", config.adversarial_steps,
                    partial(_train, experiment, "adversarial"))]
    works: dict[str, Work] = {"attacks": _attack, "curves": _curves, "r50": _r50, "tails": _tails}
    certifiable = _symmetric(experiment, "bracket", "its certificates bound the soft threshold")
    if config.bracket_samples:
        works |= {"masking": _masking}
        if certifiable and not config.smoothing:
            works |= {"bracket": _bracket, "interval": _interval}
    for phase in PHASES:
        stages += [Stage(f"{phase}: {what}", steps[what],
                         partial(_on_network, experiment, phase, work, steps[what]))
                   for what, work in works.items()]
    if config.tail_samples and config.tau > 0.0 and certifiable and not config.smoothing:
        stages.append(Stage(CERTIFIED, steps["certified"], partial(
            _on_network, experiment, "adversarial", _certified, steps["certified"])))
    if config.low_ranks and _symmetric(experiment, "low_rank", "its updates are of weights (m, d)"):
        for rank in config.low_ranks:
            phase = phase_of(rank)
            stages.append(Stage(phase, config.low_rank_steps,
                                partial(train_low_rank, experiment, rank)))
            stages += [Stage(f"{phase}: {what}", steps[what], partial(
                _on_network, experiment, phase, works[what], steps[what]))
                for what in ("attacks", "bracket") if what in works]
    if config.learner_steps and _symmetric(experiment, "learners", "one learner is its kernel"):
        stages += [Stage(f"learner: {name}", steps["learner"], partial(_learn, experiment, name))
                   for name in LEARNERS[config.learners]]
    return stages


def _symmetric(experiment: PurificationExperiment, what: str, why: str) -> bool:
    """Whether a part that needs the symmetric network can be done; says so if it cannot."""
    try:
        if experiment.given is not None:
            require_symmetric("network", experiment.given, why)
        if not experiment.has_features:
            raise TypeError(f"data: expected features, got a {type(experiment.data).__name__}")
    except TypeError as error:
        LOG.warning("%s: left out: %s", what, error)
        return False
    return True


def _train(experiment: PurificationExperiment, phase: str, done: Mapping[str, Arrays],
           saved: Arrays | None, tick: Tick) -> Arrays:
    """Train from the start, or on from the clean network with its bias.

    Returns
    -------
    dict
        ``weights`` (m, d), ``bias``, and the columns of the history and of the frames.
    """
    config = experiment.config
    network = experiment.initial_network()
    initial, clean, first, last = network.weights.copy(), None, 0, config.clean_steps
    if phase == "adversarial":
        clean, first, last = done["clean"]["weights"], last, last + config.adversarial_steps
        network = experiment.network(clean.copy(), float(done["clean"]["bias"]))
    record, rows = Record(network, saved, first), Rows(experiment, initial, clean)
    frames = Frames(experiment, saved)
    if saved is not None and hasattr(network, "bias"):
        network.bias = float(saved["bias"])

    def state() -> Arrays:
        arrays = (record.state() | frames.state()
                  | {"bias": np.array(getattr(network, "bias", 0.0))})
        if not all(np.isfinite(row).all() for row in arrays["weights"]):
            raise Diverged(record.step, float("nan"))
        return arrays

    def after_step(step: int, loss: float) -> None:
        record.step = step
        if step == last or step % config.record_every == 0:
            record.rows.append(rows.at(step, loss, network, step == last))
        frames.at(step, network)
        tick(step - first, state)

    if saved is None and clean is None:
        record.rows.append(rows.at(0, math.log(2.0), network, False))
        frames.at(0, network)
    train(network, experiment.batches, learning_rate=config.learning_rate, start=record.step,
          stop=last, weight_decay=config.weight_decay, seed=config.seed,
          schedule=experiment.schedule if clean is None else None,
          adversary=None if clean is None else Adversary(experiment.ball,
                                                         experiment.training_attack),
          after_step=after_step)
    return {"weights": network.weights.copy(), "bias": np.array(getattr(network, "bias", 0.0)),
            **columns_of(record.rows), **frames.state()}


def _on_network(experiment: PurificationExperiment, phase: str, work: Work, steps: int,
                done: Mapping[str, Arrays], saved: Arrays | None, tick: Tick) -> Arrays:
    """Do a part of the evaluation of one network, whose ticks count parts of the whole, 0 to 1."""
    trained = done[phase]
    network = experiment.network(trained["weights"].copy(), float(trained["bias"]))
    earlier = {name.removeprefix(f"{phase}: "): arrays for name, arrays in done.items()}
    return work(experiment, network, earlier, saved,
                lambda share, keep=None: tick(int(steps * min(share, 1.0)), keep))


def _attack(experiment: PurificationExperiment, network: Network, done: Mapping[str, Arrays],
            saved: Arrays | None, tick: Tick) -> Arrays:
    """Attack at radius tau, and look at the neurons."""
    numbers = attacked(experiment, network)
    tick(0.9)
    return {"numbers": as_text(numbers),
            "perturbation": perturbations(experiment, network)}


def _curves(experiment: PurificationExperiment, network: Network, done: Mapping[str, Arrays],
            saved: Arrays | None, tick: Tick) -> Arrays:
    """The radius at which each sample breaks, under each attack."""
    radii, adversary = list(experiment.radii()), experiment.adversary
    total = len(radii) * passes(adversary)
    near = within_reach(network, experiment.test_set.X, experiment.ball.with_radius(radii[-1]))
    return breaking_points(near, experiment.test_set, adversary, radii=radii, saved=saved,
                           tick=lambda step, keep: tick(step / total, keep))


def _r50(experiment: PurificationExperiment, network: Network, done: Mapping[str, Arrays],
         saved: Arrays | None, tick: Tick) -> Arrays:
    """The critical radius under attack, from where the curves leave it."""
    radii, points = list(experiment.radii()), done["curves"]["strongest"]
    if np.mean(points < len(radii)) >= 0.5:  # no larger ball will be searched
        network = within_reach(network, experiment.test_set.X,
                               experiment.ball.with_radius(radii[-1]))
    radius = critical_radius(network, experiment.test_set, experiment.adversary, saved=saved,
                             known=(radii, points),
                             tick=lambda step, keep: tick(step / BISECTIONS_LEFT, keep))
    return {"numbers": as_text({"r50": radius.value, "r50_tolerance": radius.tolerance})}


def _tails(experiment: PurificationExperiment, network: Network, done: Mapping[str, Arrays],
           saved: Arrays | None, tick: Tick) -> Arrays:
    """The radii at which attacked accuracy is .99 still and .01 already, with their limits."""
    found = tail_radii(network, experiment.test_set, experiment.adversary,
                       known=(list(experiment.radii()), done["curves"]["strongest"]), saved=saved,
                       tick=lambda step, keep: tick(step / TAIL_RADII, keep))
    numbers = {f"{name}{end}": getattr(found[level], what) for name, level in TAILS.items()
               for end, what in (("", "value"), ("_tolerance", "tolerance"), ("_low", "low"),
                                 ("_high", "high"))}
    return {"numbers": as_text({name: value for name, value in numbers.items()
                                if math.isfinite(value)})}


def _certified(experiment: PurificationExperiment, network: Any, done: Mapping[str, Arrays],
               saved: Arrays | None, tick: Tick) -> Arrays:
    """How far most samples are certified: many by cheap bounds, those that decide by dear ones."""
    some = experiment.test_set[:experiment.config.tail_samples]
    grid, huge = CERTIFIED_TAIL * experiment.ball.radius, is_huge(*network.weights.shape)
    dear = CERTIFIED_ALONE[experiment.config.norm]
    found = certified_radii(network, some, experiment.ball, radii=list(grid),
                            methods=CERTIFIED_METHODS[experiment.config.norm],
                            dear=dear[:1] if huge else dear, level=TAILS["r99"], beyond=not huge,
                            saved=saved,
                            tick=lambda tried, keep: tick(tried / CERTIFICATES, keep))
    shares = (found[:, None] >= grid).mean(axis=0)
    enough = np.flatnonzero(shares >= TAILS["r99"])
    return {"radii": found, "numbers": as_text({
        "r99_certified": float(grid[enough[-1]]) if len(enough) else 0.0,
        "certified_tail": {"samples": len(some),
                           "at_tau": float(shares[CERTIFIED_TAIL == 1.0][0])}})}


def _masking(experiment: PurificationExperiment, network: Network, done: Mapping[str, Arrays],
             saved: Arrays | None, tick: Tick) -> Arrays:
    """Signs of masked gradients at tau, which would make the attacks look weak."""
    few, signs = experiment.certified_set, []
    if experiment.ball.radius > 0.0 and bool((network.margins(few.X, few.y) > 0.0).any()):
        near = within_reach(network, few.X, experiment.ball)
        with fixed_threads(1):
            signs = list(gradient_masking(near, few, experiment.adversary).raised)
    return {"numbers": as_text({"masking": signs})}


def _bracket(experiment: PurificationExperiment, network: Any, done: Mapping[str, Arrays],
             saved: Arrays | None, tick: Tick) -> Arrays:
    """Robust accuracy from both sides at every radius."""
    radii = experiment.bracket_radii()
    with fixed_threads(1):  # small matrices, one sample at a time: a second thread waits
        found = bracket(network, experiment.certified_set, experiment.adversary, radii=radii,
                        boxes=experiment.config.bracket_nodes, saved=saved,
                        tick=lambda step, keep: tick(step / (PASSES * len(radii)), keep))
    at_tau = {"certified_accuracy": one.certified for one in found
              if one.radius == experiment.ball.radius}
    entries = [one.numbers() for one in found]
    return {"numbers": as_text({"bracket": entries, **at_tau,
                                "r99_certified": r99_certified(entries)}),
            **arrays_of(found)}


def _interval(experiment: PurificationExperiment, network: Any, done: Mapping[str, Arrays],
              saved: Arrays | None, tick: Tick) -> Arrays:
    """The critical radius from both sides."""
    found = done["bracket"]
    brackets = [Bracket(**one, **{name: found[name][place] for name in DECISIONS}, seconds=0.0)
                for place, one in enumerate(from_text(found["numbers"])["bracket"])]
    with fixed_threads(1):
        low, high = critical_interval(network, experiment.certified_set, experiment.adversary,
                                      brackets=brackets, saved=saved,
                                      tick=lambda step, keep: tick(step / BISECTIONS, keep))
    tick(1.0)  # however few radii it took
    return {"numbers": as_text({"r50_low": low, "r50_high": high})}


def _learn(experiment: PurificationExperiment, name: str, done: Mapping[str, Arrays],
           saved: Arrays | None, tick: Tick) -> Arrays:
    """Train one learner of low complexity in every way, and attack it."""
    task, data = experiment.learner_task(), experiment.data
    (learner,) = learners_of(experiment.initial_network(), data.signs, data.dictionary,
                             data.dense_direction, task, (name,))
    return {"numbers": as_text([vars(found) for found in measure(learner, task)])}
