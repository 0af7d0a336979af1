"""The settings of a patch run (Li & Li, arXiv 2410.08503)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from simulator.runs.config import Config

if TYPE_CHECKING:
    from simulator.experiments.structured_features.experiment import StructuredExperiment

__all__ = ["CONFIG", "TRAININGS", "StructuredConfig"]

# Each training starts from the random network; the adversarial ones go on from one another.
TRAININGS = ("standard", "one_step", "pgd", "multi_start")


@dataclass(frozen=True, kw_only=True)
class StructuredConfig(Config):
    """Standard training, then the adversarial trainings from the same start, then attacks.

    Attributes
    ----------
    name : str
        Label of the run folder; presets use their own name.
    seed : int
        Seed of every random stream.
    classes : int
        K.
    d, m : int
        Dimension of a patch, neurons of each class.
    q : int
        Exponent of the activation near zero.
    rho : float
        Where the activation becomes linear.
    robust_patches, nonrobust_patches : int
        J_R and J_NR.
    alpha, beta : float
        Strengths of the robust and the non-robust feature.
    jitter, noise : float
        Relative spread of the strengths, ``sigma_n sqrt(d)``; see
        :class:`simulator.data.patches.PatchData`.
    features : "axes" or "random"
        The first 2 K unit vectors, or a random orthonormal system.
    epsilon : float
        Radius of every patch's ball.
    init_scale : float
        sigma_0.
    training_samples : int
        n; every step sees all of them.
    learning_rate : float
        eta of the standard and the one-step training.
    fine_learning_rate : float
        eta of the trainings against PGD: their perturbed samples have losses, and so gradients,
        a hundred times as large at first.
    ascent_size : float
        Size of the ascent step of the one-step training, before it is cut to the ball.
    standard_steps, one_step_steps, pgd_steps, multi_start_steps : int
        Descent steps of each training; 0 leaves it out. "pgd" goes on from "one_step", and
        "multi_start" from that.
    inner_steps, restarts : int
        Steps of PGD within a training step, random starts of the multi-start one.
    test_samples, evaluation_chunk : int
        Fresh samples for every reported accuracy, and how many are attacked together.
    attack_steps : int
        Steps of PGD from each start in the evaluation.
    certified_samples : int
        The first test samples, for which robustness is also certified; 0 leaves it out.
    certificate_boxes : int
        Boxes of branch and bound for each undecided one; 0 stops before it.
    record_every : int
        Steps between rows of the history.
    races : int
        Above 0 the run is something else: this many short standard trainings at each of
        ``kappa_points`` values of kappa from 1/kappa_span to kappa_span, set through alpha; see
        :mod:`simulator.experiments.structured_features.races`.
    kappa_points : int
    kappa_span : float
    norm : "l2" or "linf"
        Of every patch's ball.
    training_labels : "drawn" or "balanced"
        Each label of the training samples by itself, or the classes in equal numbers.
    patch_search : "joint" or "paired"
        How the worst perturbation of each patch is searched, in the multi-start training and in the
        evaluation: with all neurons at once
        (:class:`~simulator.attacks.patches.PatchSearch`), or with those of two classes at a time
        (:class:`~simulator.attacks.paired.PairedPatchSearch`), which takes ``restarts`` + 1 starts.
    late_learning_rate : float
        eta of the multi-start training once ``late_after`` steps of it are done; 0 is
        ``fine_learning_rate``, with which it begins. Perturbed samples lose much at first, and
        large steps then take u away again.
    late_after : int
    spectrum_points : int
        Above 0 the run is something else: the one-step training at this many values of epsilon
        from 0 to 2 beta; see :mod:`simulator.experiments.structured_features.spectrum`.
    dtype : "float64" or "float32"
    threads : int
        BLAS and Numba threads (the last bit of a product depends on it).
    """

    name: str
    seed: int
    classes: int
    d: int
    m: int
    q: int
    rho: float
    robust_patches: int
    nonrobust_patches: int
    alpha: float
    beta: float
    jitter: float
    noise: float
    features: str
    epsilon: float
    init_scale: float
    training_samples: int
    learning_rate: float
    fine_learning_rate: float
    ascent_size: float
    standard_steps: int
    one_step_steps: int
    pgd_steps: int
    multi_start_steps: int
    inner_steps: int
    restarts: int
    test_samples: int
    evaluation_chunk: int
    attack_steps: int
    certified_samples: int
    certificate_boxes: int
    record_every: int
    races: int
    kappa_points: int
    kappa_span: float
    norm: str
    training_labels: str
    patch_search: str
    late_learning_rate: float
    late_after: int
    spectrum_points: int
    dtype: str
    threads: int

    MODEL: ClassVar[str] = "patches"
    CHOICES: ClassVar[dict[str, tuple[str, ...]]] = {
        "features": ("axes", "random"), "norm": ("l2", "linf"),
        "training_labels": ("drawn", "balanced"), "patch_search": ("joint", "paired")}
    LATER: ClassVar[Mapping[str, Any]] = {
        "norm": "l2", "training_labels": "drawn", "patch_search": "joint",
        "late_learning_rate": 0.0, "late_after": 0, "spectrum_points": 0}
    ZERO_ALLOWED: ClassVar[tuple[str, ...]] = (
        "one_step_steps", "pgd_steps", "multi_start_steps", "restarts", "certified_samples",
        "certificate_boxes", "races", "late_after", "spectrum_points")
    POSITIVE: ClassVar[tuple[str, ...]] = (
        "rho", "alpha", "beta", "epsilon", "init_scale", "learning_rate", "fine_learning_rate",
        "ascent_size", "kappa_span")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.q < 2:
            raise ValueError(f"q: expected at least 2, got {self.q}: the activation is smooth "
                             "only then")
        if self.classes < 2 or self.d < 2 * self.classes:
            raise ValueError(f"d: expected at least 2 K = {2 * max(self.classes, 2)} with K >= 2 "
                             f"classes, got d = {self.d}, K = {self.classes}: "
                             "the features of all classes are orthogonal")
        if self.jitter >= 1.0:
            raise ValueError(f"jitter: expected less than 1, got {self.jitter}: "
                             "a feature keeps its sign")
        if self.races and self.kappa_span <= 1.0:
            raise ValueError(f"kappa_span: expected more than 1, got {self.kappa_span}: "
                             "kappa runs from 1/kappa_span to kappa_span")
        if self.races and self.kappa_points < 3:
            raise ValueError(f"kappa_points: expected at least 3, got {self.kappa_points}: "
                             "a transition is fitted through them")
        if self.spectrum_points and (self.races or self.spectrum_points < 3
                                     or not self.one_step_steps):
            raise ValueError("spectrum_points: expected at least 3, no races and one_step_steps "
                             f"above 0, got {self.spectrum_points}, races = {self.races}, "
                             f"one_step_steps = {self.one_step_steps}: a run is one thing")

    @property
    def size(self) -> tuple[int, int]:
        """d and the number of non-robust patches."""
        return self.d, self.nonrobust_patches

    @property
    def patches(self) -> int:
        """P."""
        return self.robust_patches + self.nonrobust_patches

    @property
    def kappa(self) -> float:
        """``sum beta^q / sum alpha^q``."""
        return (self.nonrobust_patches * self.beta**self.q
                / (self.robust_patches * self.alpha**self.q))

    def experiment(self, **parts: Any) -> "StructuredExperiment":
        """Return the objects of a run of these settings."""
        from simulator.experiments.structured_features.experiment import StructuredExperiment
        return StructuredExperiment(self, **parts)


CONFIG = StructuredConfig
