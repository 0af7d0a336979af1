"""I2 (article, figure 5): perturbations look like noise before, and like images after.

Noise: energy at high frequencies, as white noise has it. Images: along the way to the nearest
training image of the other class.
"""

from collections.abc import Sequence

import numpy as np

from theory.claim import Claim, Finding, Run, Size, at_least
from theory.drawing.picture import Picture
from theory.evidence import Evidence, at_every_size, confronted, values_of
from theory.real_images.assumptions import SOURCE
from theory.real_images.plans import BOTH
from theory.real_images.quantities import Groups, gain, number_of, panel_of

__all__ = ["CLAIM", "RUNS", "confront"]

LESS, MORE = 0.05, 0.05

CLAIM = Claim(
    id="I2", title="perturbations are noise before, structure after",
    statement="Perturbations that break a cleanly trained network are dense and look like random "
              "noise; those of an adversarially trained one look like signals.",
    source=f"{SOURCE}What noise and signals are in numbers, and the thresholds, are readings.",
    assumptions=(),
    quantity="share of the perturbations' energy at high frequencies, clean minus adversarial; "
             "their cosine with the way to the nearest training image of the other class, "
             "adversarial minus clean; held-out images, radius tau",
    law="at least .05 less energy at high frequencies, cosine larger by at least .05, on every "
        "task",
    expected=0.05,
    thresholds={"high frequencies, clean minus adversarial": at_least(LESS),
                "towards the nearest other image, adversarial minus clean": at_least(MORE)},
    fixed="2026-11-27")
RUNS = BOTH


def confront(runs: Sequence[Run]) -> Finding:
    """Confront I2 with runs."""
    return confronted(CLAIM, runs, _measure)


def _measure(groups: Groups) -> Evidence:
    def values(name: str, after: str, before: str) -> dict[Size, np.ndarray]:
        return values_of(groups, gain(name, after, before))

    parts = [
        at_every_size("high frequencies, clean minus adversarial",
                      values("high_frequency", "clean", "adversarial"), CLAIM),
        at_every_size("towards the nearest other image, adversarial minus clean",
                      values("nearest_correlation", "adversarial", "clean"), CLAIM)]
    parts += [at_every_size(label, values(name, after, before), (-1.0, 1.0), decisive=False)
              for label, name, after, before in (
                  ("along the class means, adversarial minus clean", "class_correlation",
                   "adversarial", "clean"),
                  ("spread over features, clean minus adversarial", "spread", "clean",
                   "adversarial"),
                  ("high frequencies, longer clean minus adversarial", "high_frequency", "longer",
                   "adversarial"))]
    caveats = []
    for size, group in groups.items():
        mean = {phase: sum(number_of(phase, "high_frequency")(run) for run in group) / len(group)
                for phase in ("clean", "longer", "adversarial")}
        images, noise = (sum(number_of("levels", name)(run) for run in group) / len(group)
                         for name in ("images_high_frequency", "noise_high_frequency"))
        caveats.append(
            f"{size.family} {size}: high frequencies: clean {mean['clean']:.3f}, adversarial "
            f"{mean['adversarial']:.3f}, white noise {noise:.3f}, the images themselves "
            f"{images:.3f}; clean training for as long as the adversarial one: "
            f"{mean['longer']:.3f}")
    picture = Picture(
        "Perturbations of length tau: energy at high frequencies, and cosine with the way to the "
        "nearest training image of the other class.",
        (panel_of(groups, "high_frequency", "energy at high frequencies"),
         panel_of(groups, "nearest_correlation", "cosine with the way\nto the nearest other")))
    return Evidence(parts, picture, caveats)
