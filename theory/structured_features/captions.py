"""What to see in each figure of a run, and what the run shows in two sentences."""

from collections.abc import Mapping
from typing import Any

from theory.claim import Run
from theory.pages.conclusions import percent

__all__ = ["CAPTIONS", "conclusion"]

LAST = ("multi_start", "pgd", "one_step")  # the longest of the adversarial trainings comes first
NAMES = {"multi_start": "multi-start PGD", "pgd": "PGD", "one_step": "one ascent step"}

CAPTIONS = {
    "correlations": "Standard training follows the non-robust feature v, which is in every patch; "
                    "see whether adversarial training follows the robust one, u.",
    "accuracy": "Compare the trainings under the same attack. An accuracy that is high under one "
                "attack alone says nothing: the lowest one counts.",
    "perturbation": "Where the strongest perturbation puts its length: along v, the network relies "
                    "on the non-robust feature.",
    "training": "Adversarial trainings follow each other on one network, the standard one stands "
                "alone. Where the loss jumps a stronger attack begins.",
    "transition": "How often the non-robust feature wins against how strong it is (kappa); the "
                  "line is a fit of where that turns.",
    "spectrum": "From which radius on the robust feature u is learned more than the non-robust "
                "one, v; bars span the classes.",
}


def conclusion(run: Run) -> str:
    """Return what the run shows: which feature each training learned, and what that withstands."""
    if run.config.races:
        return _of_races(run.summary)
    if run.config.spectrum_points:
        return _of_radii(run)
    said = [_of_training("Standard training", run.summary["standard"])]
    said += [_of_training(f"Adversarial training against {NAMES[name]}", run.summary[name])
             for name in LAST if name in run.summary][:1]
    return " ".join(said)


def _of_training(training: str, numbers: Mapping[str, Any]) -> str:
    u, v = numbers["u"], numbers["v"]
    learned = ("the robust feature" if u > v else "the non-robust feature" if v > u
               else "both features alike")
    return (f"{training} learns {learned} (u {u:.2g}, v {v:.2g}): right on "
            f"{percent(numbers['accuracy'])} of the samples, on "
            f"{percent(numbers['attacked_accuracy'])} under the strongest attack.")


def _of_races(summary: Mapping[str, Any]) -> str:
    rightly = f"The starts foretell {percent(summary['predicted_rightly'])} of the outcomes."
    if summary["midpoint"] is None:
        return f"One feature wins at every kappa: there is no transition to be seen. {rightly}"
    expected = summary["predicted_midpoint"]
    return (f"The non-robust feature wins where kappa is above {summary['midpoint']:.3g}"
            + ("" if expected is None else f" (from the starts: {expected:.3g})")
            + f". {rightly}")


def _of_radii(run: Run) -> str:
    turn = run.summary["overtaken_from"]
    if turn is not None:
        return (f"From epsilon = {turn:.3g} beta on, one-step adversarial training learns the "
                "robust feature more than the non-robust one.")
    above = run.history["u"] > run.history["v"]
    if above.all():
        return ("One-step training learns the robust feature more than the non-robust one at every "
                "radius, also without attack.")
    return ("Up to epsilon = 2 beta there is no radius from which on one-step adversarial training "
            "learns the robust feature more than the non-robust one.")
