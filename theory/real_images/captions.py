"""What to see in each figure of a run, and what a run shows in a sentence."""

from theory.claim import Run
from theory.pages.conclusions import GAIN, compared, percent

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
    "training": "Adversarial and longer clean training both go on from the clean network. The loss "
                "is of what each is trained on: attacked images where it is adversarial.",
    "accuracy": "How accuracy on held-out images falls with the radius. Short lines are proofs: "
                "they hold against any perturbation. The dotted line was trained on clean images "
                "for as long as the adversarially trained network was trained in all.",
}


def conclusion(run: Run) -> str:
    """Return what the run shows: who is right at tau, and what of it is time alone."""
    kept = {phase: run.summary[phase]["attacked_accuracy"]
            for phase in ("clean", "longer", "adversarial")}
    samples = int(run.summary["test_images"])
    time = {1: "time alone does not", -1: "clean training for as long does more",
            0: "so does clean training for as long"}
    if (first := compared(kept["adversarial"], kept["clean"], samples)) != 1:
        time = dict.fromkeys(time, "")
    after = time[compared(kept["adversarial"], kept["longer"], samples)]
    return (f"Adversarial training {GAIN[first]}{', ' * bool(after)}{after}: at radius "
            f"{run.config.tau:g}, {percent(kept['clean'])} of the held-out images hold after clean "
            f"training, {percent(kept['adversarial'])} after adversarial, "
            f"{percent(kept['longer'])} after clean training for as long.")
