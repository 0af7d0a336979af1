"""What to see in each figure of a run."""

__all__ = ["CAPTIONS"]

CAPTIONS = {
    "movement": "The kernel moves at first and then rests: its distance from the start, its "
                "distance to the end, and its speed. See which training is the last to rest.",
    "distances": "Kernels of one kind of training are near each other, those of clean and of "
                 "adversarial training far apart.",
    "frozen": "Training on a kernel that was frozen later is more robust, where that kernel came "
              "from adversarial or mixed training. Below: the same from one checkpoint, linearised "
              "and with the network itself.",
    "spectrum": "Clean training puts most of the kernel into its first eigenvalue; compare how "
                "fast the eigenvalues fall.",
    "eigenvectors": "The first eigenvector after clean training lies along the dense direction; "
                    "see whether it does after adversarial training.",
    "seen": "How much of the labels, of the features and of the dense direction lies in the span "
            "of the first eigenvectors: after clean training the first one alone sees most of the "
            "dense direction.",
    "transfer": "Who is fooled by whose adversarial examples: dark is fooled. Examples of clean "
                "kernels fool the clean network, and hardly an adversarial one.",
}
