"""Adversarial training once more, from the clean network, through updates of low rank.

For ranks R = 1, 4, 16, ... up to ``low_rank``, ``W_clean + U V^T`` is trained on the batches of the
adversarial phase (:mod:`simulator.networks.low_rank`). U and V start along the first gradient,
the only thing that tells them directions.

Each training takes a quarter of the steps of the phase or fewer, at `PACE` times its rate, so that
the weights may come as far: factors bear larger steps than the network (16 times its rate was
still stable at every rank, desk and lottery at d = 64), and with R = d a quarter of the steps
regains what unrestricted training gains. All ranks together cost no more than the phase.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.errors import Diverged
from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.experiments.records import Record, as_text
from simulator.networks.low_rank import LowRankUpdate
from simulator.randomness import Role, stream
from simulator.runs.stages import Arrays, Tick
from simulator.training import train

__all__ = ["PACE", "phase_of", "train_low_rank"]

PACE = 4.0  # times the learning rate of the phase


def phase_of(rank: int) -> str:
    """Return the name of a rank's training among the stages of a run."""
    return f"low rank {rank}"


def train_low_rank(experiment: PurificationExperiment, rank: int, done: Mapping[str, Arrays],
                   saved: Arrays | None, tick: Tick) -> Arrays:
    """Train through an update of one rank.

    Returns
    -------
    dict
        ``weights`` (m, d), ``W_clean + U V^T``; ``bias``; and ``update``, numbers as text: the
        ``rank``, ``alignment``, |cos| of the update's first right singular vector with M w*, and
        ``first``, the share of its squared norm in that direction.
    """
    config = experiment.config
    clean = experiment.network(done["clean"]["weights"].copy(), float(done["clean"]["bias"]))
    network = (LowRankUpdate.initialise(clean, rank, _first_gradient(experiment, clean))
               if saved is None else LowRankUpdate(clean, saved["weights"].copy()))
    begin = config.clean_steps
    record = Record(network, saved, begin)

    def state() -> Arrays:
        if not np.isfinite(network.weights).all():
            raise Diverged(record.step, float("nan"))
        return record.state()

    def after_step(step: int, loss: float) -> None:
        record.step = step
        tick(step - begin, state)

    train(network, experiment.batches, start=record.step, stop=begin + config.low_rank_steps,
          learning_rate=PACE * config.learning_rate / network.size,
          weight_decay=config.weight_decay, seed=config.seed,
          adversary=Adversary(experiment.ball, experiment.training_attack), after_step=after_step)
    return {"weights": network.merged().weights, "bias": np.array(network.bias),
            "update": as_text({"rank": rank, **_described(experiment, network)})}


def _first_gradient(experiment: PurificationExperiment, clean: Any) -> np.ndarray:
    """``dL/dW`` of the clean network on the adversarial samples of the first batch."""
    config, step = experiment.config, experiment.config.clean_steps
    batch = experiment.batches.batch(step)
    found = experiment.training_attack.perturb(clean, batch.X, batch.y, experiment.ball,
                                               stream(config.seed, Role.TRAINING_ATTACK, step))
    _, gradient = clean.loss_gradient(batch.X + experiment.ball.project(found.delta), batch.y,
                                      config.weight_decay,
                                      stream(config.seed, Role.SMOOTHING_NOISE, step))
    return np.asarray(gradient)


def _described(experiment: PurificationExperiment, network: LowRankUpdate) -> dict[str, float]:
    U, V = (np.asarray(factor, np.float64) for factor in network.factors)
    _, sizes, right = np.linalg.svd(np.linalg.qr(U)[1] @ V.T, full_matrices=False)
    direction = experiment.data.dense_direction
    return {"alignment": float(abs(right[0] @ direction) / np.linalg.norm(direction)),
            "first": float(sizes[0]**2 / np.sum(sizes**2))}
