"""What to see in each figure of a run, and in the run as a whole."""

from theory.claim import Run

__all__ = ["CAPTIONS", "conclusion"]

CAPTIONS = {
    "accuracy": "Adversarial training moves the fall of the curves to larger radii. On the left, "
                "what attacks leave of the accuracy, an upper bound of what is robust; on the "
                "right it lies between proof and attack.",
    "coefficients": "Clean training leaves a tint over all features, the dense mixture; "
                    "adversarial training removes it and keeps the black diagonal, the features "
                    "themselves.",
    "history": "The mixture gathers within the first steps of clean training and goes with "
               "adversarial training; the neurons become pure.",
    "perturbation": "Before, a small push along every feature at once is enough. After, the attack "
                    "has to change the few features that the sample really has.",
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
