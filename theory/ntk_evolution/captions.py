"""What to see in each figure of a run."""

__all__ = ["CAPTIONS"]

CAPTIONS = {
    "movement": "The kernel moves at first and then rests: on the left its distance from the "
                "start, on the right its speed.",
    "distances": "Kernels of one kind of training are near each other, those of clean and of "
                 "adversarial training far apart.",
    "frozen": "Training on a kernel that was frozen later is more robust, where that kernel came "
              "from adversarial training.",
    "spectrum": "Clean training puts most of the kernel into its first eigenvalue; compare how "
                "fast the eigenvalues fall.",
    "eigenvectors": "The first eigenvector after clean training lies along the dense direction; "
                    "see whether it does after adversarial training.",
}
