"""What to see in each figure of a run, and in the run as a whole."""

from theory.claim import Run

__all__ = ["CAPTIONS", "conclusion"]

CAPTIONS = {
    "accuracy": "Look at the radius at which the curves fall, before and after adversarial "
                "training. On the left, what attacks leave of the accuracy, an upper bound of what "
                "is robust; on the right it lies between proof and attack.",
    "coefficients": "Look at the tint beside the black diagonal: it is the dense mixture of every "
                    "neuron, and the diagonal its own feature. Adversarial training is to remove "
                    "the one and keep the other.",
    "history": "See the mixture gather in clean training and go in adversarial training, and the "
               "purity rise with it.",
    "window": "From where the clean network is lost to where the purified one is still certified: "
              "shaded where one radius tells the two apart.",
    "perturbation": "See over how many features the perturbation is spread: a little of all of "
                    "them, or much of the few that the sample really has.",
}


def conclusion(run: Run) -> str:
    """Return what the run shows, in two sentences."""
    clean, adversarial = run.summary["clean"], run.summary["adversarial"]
    said = (f"Clean training: right on {_percent(clean['accuracy'])} of the samples, on "
            f"{_percent(clean['attacked_accuracy'])} under attack at radius "
            f"{run.config.tau:.3g}. Adversarial training: {_percent(adversarial['accuracy'])} and "
            f"{_percent(adversarial['attacked_accuracy'])}.")
    if "mixture_ratio" not in clean:
        return said
    return (f"{said} Mixture beside a neuron's own feature: {clean['mixture_ratio']:.2g}, then "
            f"{adversarial['mixture_ratio']:.2g}.")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
