"""I4: at a radius that breaks the clean network, the purified one is proved right on real images.

The article shows pictures; this is what it has not: certificates against any perturbation.
"""

from collections.abc import Sequence

from theory.claim import Claim, Finding, Measurement, Run, Size, Threshold, at_most
from theory.drawing.picture import Picture
from theory.evidence import Evidence, at_every_size, confronted, values_of
from theory.real_images.assumptions import SOURCE
from theory.real_images.plans import PAIR
from theory.real_images.quantities import Groups, level, number_of, panel_of

__all__ = ["CLAIM", "RUNS", "confront"]

CLEAN, BROKEN, CERTIFIED = 0.97, 0.5, 0.8

CLAIM = Claim(
    id="I4", title="robust to any perturbation, on held-out images",
    statement="A clean network that generalises is not robust; adversarial training makes it "
              "robust, to any perturbation.",
    source=f"{SOURCE}The accuracies .97, .5 and .8 are readings; tau was chosen on exploring "
           "seeds.",
    assumptions=(),
    quantity="accuracy of both networks on held-out images; at tau, attacked accuracy of the clean "
             "network and certified accuracy of the adversarially trained one",
    law="accuracies at least .97, attacked at most .5, certified at least .8 at the same radius",
    expected=0.8,
    thresholds={"certified accuracy, adversarial": Threshold(CERTIFIED, 1.0),
                "attacked accuracy, clean": at_most(BROKEN, 0.0),
                "accuracy, clean": Threshold(CLEAN, 1.0),
                "accuracy, adversarial": Threshold(CLEAN, 1.0)},
    fixed="2026-11-27")
RUNS = PAIR


def confront(runs: Sequence[Run]) -> Finding:
    """Confront I4 with runs."""
    return confronted(CLAIM, runs, _measure)


def _measure(groups: Groups) -> Evidence:
    def tested(size: Size) -> int:
        return min(int(run.summary["test_images"]) for run in groups[size])

    def certified(size: Size) -> int:
        return min(tested(size), groups[size][0].config.certified_samples)

    def part(name: str, phase: str, what: str, decisive: bool = True) -> Measurement:
        return at_every_size(name, values_of(groups, number_of(phase, what)),
                             CLAIM if decisive else (0.0, 1.0),
                             certified if what.startswith("certified") else tested,
                             decisive=decisive)

    parts = [part("certified accuracy, adversarial", "adversarial", "certified_accuracy"),
             part("attacked accuracy, clean", "clean", "attacked_accuracy"),
             part("accuracy, clean", "clean", "accuracy"),
             part("accuracy, adversarial", "adversarial", "accuracy"),
             part("attacked accuracy, adversarial", "adversarial", "attacked_accuracy", False),
             part("attacked accuracy, longer clean", "longer", "attacked_accuracy", False),
             part("one direction for all, clean", "clean", "universal_accuracy", False),
             part("one direction for all, adversarial", "adversarial", "universal_accuracy", False),
             part("another network under the clean one's attacks", "clean", "transfer_accuracy",
                  False),
             part("another network under the adversarial one's attacks", "adversarial",
                  "transfer_accuracy", False)]
    caveats = []
    for size, group in groups.items():
        longer = sum(number_of("longer", "attacked_accuracy")(run) for run in group) / len(group)
        caveats.append(f"{size.family} {size}: clean training for as long as the adversarial one "
                       f"reaches an attacked accuracy of {longer:.3f} at tau: so much of the gain "
                       "is time, the start fading, and no purification")
    picture = Picture(
        "Held-out images: accuracy, accuracy under the strongest attack at tau, and what is proved "
        "against any perturbation.",
        (panel_of(groups, "accuracy", "clean accuracy", level(groups, "from here", CLEAN)),
         panel_of(groups, "attacked_accuracy", "attacked accuracy",
                  level(groups, "clean: up to here", BROKEN)),
         panel_of(groups, "certified_accuracy", "certified accuracy",
                  level(groups, "adversarial: from here", CERTIFIED))))
    return Evidence(parts, picture, caveats)
