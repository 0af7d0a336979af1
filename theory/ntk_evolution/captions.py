"""What to see in each figure of a run, and what the run shows in two sentences."""

from theory.claim import Run
from theory.pages.conclusions import compared, percent

__all__ = ["CAPTIONS", "conclusion"]

CAPTIONS = {
    "training": "See when each training is right, and when it withstands one gradient step (FGM): "
                "the kernel below goes through the same steps.",
    "movement": "See the kernel move at first, and which training is the last to rest: its "
                "distance from the start, its distance to the end, and its speed. Thin lines are "
                "independent runs: what differs less than these do means nothing.",
    "distances": "Compare the squares beside the diagonal (two runs of one kind of training) with "
                 "those of clean against adversarial training.",
    "frozen": "See whether training on a kernel that was frozen later is more robust, and from "
              "which kind of training that kernel must come. Below: the same from one checkpoint, "
              "linearised and with the network itself. Where a panel says masked, phase 2 is "
              "trained against an attack that sees the true gates only, which the linearised "
              "network can hide behind; adversarial ones also look through smoothed gates.",
    "spectrum": "Compare how fast the eigenvalues fall after either training, and how many of them "
                "count. Bands are 95 % limits over the samples of the kernel (infinitesimal "
                "jackknife); thin lines on the right a second, independent run.",
    "eigenvectors": "See whether the first eigenvectors spread over all features, as the dense "
                    "direction does, or lie on few.",
    "seen": "How much of the labels, of the features and of the dense direction lies in the span "
            "of the first eigenvectors: see how many of them it takes. Bands are 95 % limits over "
            "the samples (jackknife over five groups of them).",
    "transfer": "Who is fooled by whose adversarial examples: dark is fooled.",
}


def conclusion(run: Run) -> str:
    """Return what the run shows: is there another kernel, and is that one robust?"""
    return f"{_another_kernel(run)} {_robust_kernel(run)}".strip()


def _another_kernel(run: Run) -> str:
    between = run.summary["between"]
    within = {mode: run.summary[f"within_{mode}"] for mode in ("clean", "adversarial")}
    apart = (f"it ends at distance {between:.2g} from that of clean training, two runs of one kind "
             f"at {within['clean']:.2g} (clean) and {within['adversarial']:.2g} (adversarial)")
    if between > max(within.values()):
        return f"Adversarial training makes another kernel: {apart}."
    return f"Adversarial training makes no kernel of its own: {apart}."


def _robust_kernel(run: Run) -> str:
    kept = {mode: run.summary.get(f"benign_on_{mode}_kernel", {}).get("attacked_accuracy")
            for mode in ("clean", "adversarial")}
    if None in kept.values():
        return ""
    numbers = (f"Trained on clean samples alone, with the kernel frozen after "
               f"{run.config.regular_times[1]} steps, {percent(kept['adversarial'])} hold under "
               f"attack at radius {run.config.tau:.3g} on the adversarial kernel and "
               f"{percent(kept['clean'])} on the clean one")
    which = compared(kept["adversarial"], kept["clean"], run.config.test_samples)
    said = {1: "the adversarial kernel is the more robust one",
            -1: "the clean kernel is the more robust one",
            0: "so many samples do not tell the two kernels apart"}
    return f"{numbers}: {said[which]}."
