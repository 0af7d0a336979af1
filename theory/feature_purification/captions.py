"""What to see in each figure of a run, and in the run as a whole."""

from theory.claim import Run
from theory.pages.conclusions import GAIN, compared, percent

__all__ = ["CAPTIONS", "conclusion"]

CAPTIONS = {
    "accuracy": "Look at the radius at which the curves fall, before and after adversarial "
                "training. On the left, what attacks leave of the accuracy, an upper bound of what "
                "is robust; on the right it lies between proof and attack; marks beside each "
                "other there are of the same radius.",
    "coefficients": "Look at the tint beside the black diagonal: it is the dense mixture of every "
                    "neuron, and the diagonal its own feature. Adversarial training is to remove "
                    "the one and keep the other. Of many features 150 are shown.",
    "history": "See the mixture gather in clean training and go in adversarial training, and "
               "purity and attacked accuracy rise with that.",
    "window": "From where the clean network is lost to where the purified one is still certified: "
              "shaded where one radius tells the two apart.",
    "perturbation": "See over how many features the perturbation is spread: a little of all of "
                    "them, or much of the few that the sample really has.",
}


def conclusion(run: Run) -> str:
    """Return what the run shows: is it robust then, and is the mixture gone?"""
    clean, adversarial = run.summary["clean"], run.summary["adversarial"]
    kept = {phase: numbers["attacked_accuracy"] for phase, numbers in (
        ("clean", clean), ("adversarial", adversarial))}
    which = compared(kept["adversarial"], kept["clean"], run.config.test_samples)
    said = (f"Adversarial training {GAIN[which]}: at radius {run.config.tau:.3g}, "
            f"{percent(kept['clean'])} of the samples hold before it, "
            f"{percent(kept['adversarial'])} after (without attack {percent(clean['accuracy'])} "
            f"and {percent(adversarial['accuracy'])}).")
    if "mixture_ratio" not in clean:
        return said
    before, after = clean["mixture_ratio"], adversarial["mixture_ratio"]
    went = ("The mixture beside each neuron's own feature goes" if abs(after) < 0.5 * abs(before)
            else "The mixture beside each neuron's own feature stays")
    return f"{said} {went}: {before:.2g} before, {after:.2g} after."
