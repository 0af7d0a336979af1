"""The settings of a purification run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from simulator.checks import require_int, require_real
from simulator.experiments.settings import SparseCodingSettings
from simulator.low_complexity import LEARNERS

if TYPE_CHECKING:
    from simulator.experiments.feature_purification.experiment import PurificationExperiment

__all__ = ["CONFIG", "PurificationConfig"]

MOST_FRAMES = 200  # of 100 features, or of two perturbations of 800


@dataclass(frozen=True, kw_only=True)
class PurificationConfig(SparseCodingSettings):
    """One run: clean training, then adversarial training, then evaluation.

    Beside the settings of :class:`~simulator.experiments.settings.SparseCodingSettings`:

    Attributes
    ----------
    dictionary : "identity" or "random"
        The features: unit vectors, or random orthonormal ones.
    labeler : "ones" or "signs"
        w* all ones, or random signs.
    init_scale : float
        sigma_0.
    smoothing : float
        sigma_rho, pre-activation noise; ``smoothing_mode`` "expected" or "sampled".
    bias_schedule : "linear" or "tracking"
        "linear": ``min(bias_scale sqrt(log d) init_scale + bias_growth eta g0 t, bias_max)``;
        "tracking": ``bias_scale sqrt(log d) mean ||w_i|| / sqrt(d)``. Constant in the
        adversarial phase.
    learning_rate, weight_decay : float
        eta and lam.
    batch_size : int
        n.
    training_samples : int
        Size of a finite training set; 0 draws fresh samples every step.
    clean_steps, adversarial_steps : int
        Lengths of the two phases of training.
    norm : "l2" or "linf"
        Of the perturbations, in training and in every report.
    tau : float
        Radius of adversarial training and of the reported attacked accuracy. In l_inf a radius of
        half a feature, 0.5/sqrt(k), erases every feature at once and is refused: the presets take
        0.5/sqrt(k*d) there, in which the dense direction is as long as in their l2 ball.
    training_attack : "fgm" or "pgd"
        With ``training_pgd_steps``.
    test_samples : int
        Fresh samples for every reported accuracy.
    evaluation_chunk : int
        Samples evaluated together (the last bit of a product depends on it).
    bracket_samples : int
        The first test samples, for which robustness is also certified; 0 leaves it out.
    bracket_nodes : int
        Boxes of branch and bound for each undecided one (boxes, not seconds: equal settings
        give equal results).
    tail_samples : int
        The first test samples, of which the largest certified radius is searched for the network
        after adversarial training, by bounds that are cheap for many and, for the few on which r99
        hangs, by dear ones; 0 leaves it out.
    learner_steps : int
        Steps of each training of the low-complexity learners (:mod:`simulator.low_complexity`) that
        the run's network is held against; 0 leaves them out.
    learners : "all", "symmetric" or "large"
        Which of them: "all" has polynomials with all coefficients, for d up to a hundred or so;
        "symmetric" those that any d allows, linear and symmetric polynomials; "large" these and
        the tangent kernel, whose steps cost what the network's cost.
    low_rank : int
        Largest rank R of the updates ``W_clean + U V^T`` through which the clean network is
        trained adversarially too: R = 1, 4, 16, ... and this one; 0 leaves them out.
    record_every : int
        Steps between rows of the history.
    frames : int
        About how many steps leave a frame, by which the training can be watched
        (:mod:`simulator.experiments.feature_purification.frames`); 0 leaves them out.
    dtype : "float64" or "float32"
    threads : int
        BLAS and Numba threads (the last bit of a product depends on it).
    """

    dictionary: str
    labeler: str
    init_scale: float
    smoothing: float
    smoothing_mode: str
    bias_schedule: str
    bias_scale: float
    bias_growth: float
    bias_max: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    training_samples: int
    clean_steps: int
    adversarial_steps: int
    norm: str
    tau: float
    training_attack: str
    training_pgd_steps: int
    test_samples: int
    evaluation_chunk: int
    bracket_samples: int
    bracket_nodes: int
    tail_samples: int
    learner_steps: int
    learners: str
    low_rank: int
    record_every: int
    frames: int
    dtype: str
    threads: int

    MODEL: ClassVar[str] = "purification"
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "dictionary": ("identity", "random"), "labeler": ("ones", "signs"),
        "smoothing_mode": ("expected", "sampled"), "bias_schedule": ("linear", "tracking"),
        "norm": ("l2", "linf"), "learners": tuple(LEARNERS), "training_attack": ("fgm", "pgd")}
    ZERO_ALLOWED: ClassVar[tuple[str, ...]] = ("training_samples", "adversarial_steps",
                                               "bracket_samples", "tail_samples", "learner_steps",
                                               "low_rank", "frames")
    POSITIVE: ClassVar[tuple[str, ...]] = ("init_scale", "learning_rate")
    LATER: ClassVar[Mapping[str, Any]] = {"bracket_samples": 0, "bracket_nodes": 1,
                                          "tail_samples": 0, "learner_steps": 0,
                                          "learners": "all", "low_rank": 0, "frames": 40}

    def __post_init__(self) -> None:
        super().__post_init__()
        require_real("tau", self.tau, low=0.0, open_low=self.learner_steps > 0,
                     why="learners are attacked at multiples of it")
        require_int("low_rank", self.low_rank, low=0, high=self.d,
                    why="the update has d columns")
        require_int("frames", self.frames, low=0, high=MOST_FRAMES, why="they fill 5 MB by then")

    @property
    def half_feature(self) -> float:
        """Half of the size ``1/sqrt(k)`` of a feature in a code."""
        return 0.5 / math.sqrt(self.k)

    @property
    def low_ranks(self) -> tuple[int, ...]:
        """The ranks that are trained: powers of 4 and ``low_rank``."""
        most = self.low_rank if self.adversarial_steps else 0
        powers = [4**power for power in range(most.bit_length()) if 4**power < most]
        return (*powers, most) if most else ()

    @property
    def low_rank_steps(self) -> int:
        """Steps of each: a quarter of the adversarial ones, or fewer where there are more ranks."""
        return self.adversarial_steps // max(4, len(self.low_ranks))

    def experiment(self, **parts: Any) -> "PurificationExperiment":
        """Return the objects of a run of these settings; ``parts`` replace some of them."""
        from simulator.experiments.feature_purification.experiment import PurificationExperiment
        return PurificationExperiment(self, **parts)


CONFIG = PurificationConfig
