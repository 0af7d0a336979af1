"""The objects of a run on real images: the task, networks, attacks, photographs.

The pictures of the article by Allen-Zhu & Li about arXiv 2005.10190, with their network, on images
that need no download.
"""

import hashlib
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import Universal
from simulator.attacks.gradient import FGM, PGD, AdaptivePGD
from simulator.balls import L2Ball
from simulator.data.batches import TrainingSet
from simulator.data.image_files import read_images
from simulator.data.images import (PHOTOGRAPHS, ImageTask, binary_task, digits, patches_of,
                                   photograph, photograph_patches)
from simulator.experiments.parts import require_kind, require_parts
from simulator.experiments.real_images.config import PHASES, SECOND, ImageConfig
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Attack, Batch, DataModel, Network
from simulator.randomness import Role, stream

__all__ = ["PICTURES", "PICTURE_SIDE", "RADII", "SIDE", "SHARES", "ImageExperiment"]

SHARES = (0.0405, 0.0289, 0.0190, 0.0110, 0.0044)  # of figure 4 in the article
SIDE = 12  # of a natural patch
SHRUNK = 3  # photographs are made smaller, so that a patch sees something
PICTURE_SIDE = 96
# What is rebuilt, and where its upper left corner lies in the shrunk photograph; the dictionary is
# learned from the other photographs.
PICTURES = (("astronaut", 0, 26), ("camera", 8, 32), ("chelsea", 2, 0), ("astronaut", 74, 40))
RADII = np.linspace(0.0, 2.0, 11)  # of the accuracy curves, / tau


class ImageExperiment:
    """The objects of one run, built from its config.

    Parameters
    ----------
    config : ImageConfig
    network, data, attack : objects or None
        In the place of those of the config: the network is copied before it is trained, and the
        attack is the one trained against.

    Raises
    ------
    TypeError, ValueError
        Settings that do not fit together, a file that cannot be read, another kind of network.
    ImportError
        A package that brings the images is not installed.
    """

    def __init__(self, config: ImageConfig, *, network: Network | None = None,
                 data: DataModel | None = None, attack: Attack | None = None) -> None:
        require_parts(network=network, data=data, attack=attack)
        self.config = config
        self.given = require_kind("network", network, SymmetricReLU, "its neurons are shown")
        self.data = (require_kind("data", data, ImageTask, "some images must be held out")
                     or self._task())
        if config.d != math.prod(self.data.shape):
            raise ValueError(f"d: expected {math.prod(self.data.shape)}, the numbers of an image "
                             f"of shape {self.data.shape}, got {config.d}")
        self.bias = config.bias if self.given is None else self.given.bias
        self.attack: Attack = attack or PGD(config.attack_steps)
        self.ball = L2Ball(config.tau)

    def _task(self) -> ImageTask:
        config = self.config
        rng = stream(config.seed, Role.EVALUATION_DATA)
        if config.source == "photographs":
            side = math.isqrt(config.d)
            if side * side != config.d:
                raise ValueError(f"d: expected a square, the pixels of a patch, got {config.d}")
            images = photograph_patches(tuple(config.task.split("-")), side,
                                        -(-config.training_samples // 2),
                                        -(-config.test_samples // 2), rng)
        else:
            images = digits() if config.source == "digits" else read_images(config.file)
        return binary_task(images, config.task, rng=rng, shuffled=config.labels == "shuffled",
                           training_samples=config.training_samples,
                           test_samples=config.test_samples)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the images and labels: whether a file is still what it was."""
        content = hashlib.sha256()
        for batch in (self.data.training, self.data.test):
            content.update(batch.X.tobytes() + batch.y.tobytes())
        return content.hexdigest()

    @cached_property
    def batches(self) -> TrainingSet:
        """The finite training set."""
        config = self.config
        return TrainingSet(self.data, len(self.data.training), config.batch_size, config.seed,
                           config.dtype)

    @cached_property
    def test_set(self) -> Batch:
        """The held-out images."""
        test = self.data.test
        return Batch(test.X.astype(self.config.dtype), test.y.astype(self.config.dtype))

    @cached_property
    def adversary(self) -> Adversary:
        """Who attacks in the evaluation."""
        config = self.config
        return Adversary(self.ball, {"fgm": FGM(), "pgd": PGD(20, ("zero", "random"))},
                         strong={"adaptive": AdaptivePGD(30, ("random",), 4)}, seed=config.seed,
                         chunk=config.evaluation_chunk)

    def universal(self, network: SymmetricReLU) -> Universal:
        """The one direction that raises the output at the training images on average."""
        X = self.data.training.X
        gradient = network.margin_gradient(X.astype(network.weights.dtype), np.ones(len(X)))
        return Universal(gradient.mean(axis=0))

    def initial_network(self, second: bool = False) -> SymmetricReLU:
        """The network before training, or one from another draw of its weights."""
        config = self.config
        if self.given is not None and not second:
            return self.given.copy()
        role = Role.SECOND_RUN if second else Role.INITIALISATION
        return SymmetricReLU.initialise(config.m, config.d, config.init_scale,
                                        stream(config.seed, role), bias=self.bias,
                                        dtype=config.dtype)

    def network(self, weights: np.ndarray) -> SymmetricReLU:
        """A network of this run with given weights."""
        return SymmetricReLU(weights, self.bias)

    def network_of(self, phase: str, arrays: Mapping[str, np.ndarray]) -> SymmetricReLU:
        """A network of a finished run, from its arrays."""
        known = (*PHASES, *SECOND)
        if phase not in known:
            raise ValueError(f"phase: expected one of {', '.join(known)}, got {phase!r}")
        return self.network(np.array(arrays[f"weights_{phase.replace(' ', '_')}"]))

    def parts_of(self, network: Any) -> Any:
        """Raise ValueError: nobody knows the features of real images."""
        raise ValueError("parts: expected data with features of their own, got real images: their "
                         "dictionary is learned, and overlaps")

    # --- photographs ----------------------------------------------------------------------

    def natural_patches(self) -> np.ndarray:
        """Patches of the photographs that are not shown, minus their means, (n, SIDE**2)."""
        rng = stream(self.config.seed, Role.DICTIONARY)
        names = sorted(set(PHOTOGRAPHS) - {name for name, _, _ in PICTURES})
        each = -(-self.config.natural_patches // len(names))
        patches = np.concatenate([patches_of(_shrunk(photograph(name)), SIDE, each, rng)
                                  for name in names])
        return (patches - patches.mean(axis=(1, 2), keepdims=True)).reshape(-1, SIDE**2)

    @staticmethod
    def pictures() -> np.ndarray:
        """The photographs that are rebuilt, shape (4, PICTURE_SIDE, PICTURE_SIDE)."""
        side = PICTURE_SIDE
        return np.array([_shrunk(photograph(name))[row:row + side, column:column + side]
                         for name, row, column in PICTURES])


def _shrunk(image: np.ndarray) -> np.ndarray:
    """Return a picture a third as large, each pixel the mean of a square."""
    height, width = (size // SHRUNK for size in image.shape)
    squares = image[:height * SHRUNK, :width * SHRUNK].reshape(height, SHRUNK, width, SHRUNK)
    smaller: np.ndarray = squares.mean(axis=(1, 3))
    return smaller
