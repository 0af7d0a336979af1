"""The settings of a run on real images, and the names of its networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from simulator.checks import require_int
from simulator.runs.config import Config

if TYPE_CHECKING:
    from simulator.experiments.real_images.experiment import ImageExperiment

__all__ = ["CONFIG", "NO_FILE", "PHASES", "SECOND", "ImageConfig"]

# "longer" is the control: clean training for as many steps as the adversarial one
PHASES = ("clean", "longer", "adversarial")
SECOND = ("second clean", "second adversarial")  # from another initialisation: do attacks transfer?
NO_FILE = "none"
MOST_PATH = 4096  # bytes of the name of a file


@dataclass(frozen=True, kw_only=True)
class ImageConfig(Config):
    """Clean, longer clean and adversarial training on a finite set of real images.

    Attributes
    ----------
    name : str
        Label of the run folder; presets use their own name.
    seed : int
        Seed of every random stream, and of what is held out.
    source : "digits", "photographs" or "file"
        Handwritten digits of 8 x 8; patches of two photographs or textures; images of the user's.
    file : str
        Of the user's images; see :func:`simulator.data.image_files.read_images`.
    task : str
        "halves" of the classes, or two of them, as in "4-8", "brick-grass", "cat-dog".
    labels : "true" or "shuffled"
        Of the training images; shuffled ones are a control, with nothing to learn.
    training_samples, test_samples : int
        Images taken; 0 takes all (of photographs there is no end, so a number is needed).
    d, m : int
        Pixels of an image (times channels), neurons.
    init_scale, bias : float
        sigma_0 and the constant threshold b.
    learning_rate, weight_decay : float
        eta and lam.
    batch_size : int
        Images of a step, drawn from the finite set, in a new order every epoch.
    clean_steps, adversarial_steps : int
        Descent steps of each training; "longer" takes as many as the adversarial one.
    tau : float
        l2 radius of training and of all that is measured; inputs are about 1 long.
    attack_steps : int
        Steps of PGD in training.
    evaluation_chunk : int
        Images attacked together (the last bit of a product depends on it).
    certified_samples, certificate_boxes : int
        Test images that are also certified, and boxes of branch and bound for each; 0 leaves out.
    natural_patches, features : int
        Patches of photographs that a dictionary is learned from, and how many features it has.
    record_every : int
        Steps between rows of the history.
    dtype : "float64" or "float32"
        Of inputs, weights and products.
    threads : int
        BLAS and Numba threads (the last bit of a product depends on it).
    """

    name: str
    seed: int
    source: str
    file: str
    task: str
    labels: str
    training_samples: int
    test_samples: int
    d: int
    m: int
    init_scale: float
    bias: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    clean_steps: int
    adversarial_steps: int
    tau: float
    attack_steps: int
    evaluation_chunk: int
    certified_samples: int
    certificate_boxes: int
    natural_patches: int
    features: int
    record_every: int
    dtype: str
    threads: int

    MODEL: ClassVar[str] = "images"
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "source": ("digits", "photographs", "file"), "labels": ("true", "shuffled")}
    ZERO_ALLOWED: ClassVar[tuple[str, ...]] = (
        "training_samples", "test_samples", "certified_samples", "certificate_boxes")
    POSITIVE: ClassVar[tuple[str, ...]] = ("init_scale", "learning_rate", "tau")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_int("record_every", self.record_every, high=self.clean_steps,
                    why="a history needs a row")
        if (self.source == "file") != (self.file != NO_FILE):
            raise ValueError(f"file: expected {'images' if self.source == 'file' else NO_FILE} "
                             f"where source is {self.source}, got {self.file}")
        if self.source == "photographs" and not (self.training_samples and self.test_samples):
            raise ValueError("training_samples, test_samples: expected numbers of patches, got 0: "
                             "a photograph has no end of them")

    @classmethod
    def _word(cls, name: str, value: Any) -> str:
        """The name of a file may hold whatever names do."""
        if name != "file":
            return super()._word(name, value)
        if not isinstance(value, str) or not value or len(value.encode()) > MOST_PATH:
            raise ValueError(f"file: expected the name of a file, or {NO_FILE}, got {value!r:.80}")
        return value

    @property
    def size(self) -> tuple[int, int]:
        """d and m."""
        return self.d, self.m

    def experiment(self, **parts: Any) -> "ImageExperiment":
        """Return the objects of a run of these settings."""
        from simulator.experiments.real_images.experiment import ImageExperiment
        return ImageExperiment(self, **parts)


CONFIG = ImageConfig
