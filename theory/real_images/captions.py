"""What to see in each figure of a run, and what a run shows in a sentence."""

from theory.claim import Run

__all__ = ["CAPTIONS", "conclusion"]

CAPTIONS = {
    "reconstruction": "Figure 4 of the article. Photographs on the left, that the dictionary was "
                      "not learned from; from left to right ever fewer coefficients. The edges "
                      "last longest, then all turns grey.",
    "perturbations": "Figure 5 of the article. What breaks the clean network looks like noise, "
                     "and much the same for every image; compare it with what it takes to break "
                     "the other network, which has strokes.",
    "neurons": "Figure 6 of the article. The same neurons before and after: see whether noise "
               "between the strokes goes.",
    "parts": "Each clean neuron is a multiple of what it becomes and a rest that is removed. "
             "Below, how many times longer the first is than the second.",
    "features": "The longest features of patches of photographs: edges and stripes.",
    "accuracy": "How accuracy on held-out images falls with the radius. Short lines are proofs: "
                "they hold against any perturbation. The dotted line was trained on clean images "
                "for as long as the adversarially trained network was trained in all.",
}


def conclusion(run: Run) -> str:
    """Return what the run shows: who is right at tau, and what of it is time alone."""
    shares = {phase: f"{run.summary[phase]['attacked_accuracy']:.2f}"
              for phase in ("clean", "longer", "adversarial")}
    return (f"At radius {run.config.tau:g} the network after clean training keeps "
            f"{shares['clean']} of the held-out images, after adversarial training "
            f"{shares['adversarial']}; after clean training for as long, {shares['longer']}.")
