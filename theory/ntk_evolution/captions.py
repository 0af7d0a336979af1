"""What to see in each figure of a run."""

__all__ = ["CAPTIONS"]

CAPTIONS = {
    "movement": "See the kernel move at first, and which training is the last to rest: its "
                "distance from the start, its distance to the end, and its speed.",
    "distances": "Compare the squares beside the diagonal (two runs of one kind of training) with "
                 "those of clean against adversarial training.",
    "frozen": "See whether training on a kernel that was frozen later is more robust, and from "
              "which kind of training that kernel must come. Below: the same from one checkpoint, "
              "linearised and with the network itself.",
    "spectrum": "Compare how fast the eigenvalues fall after either training, and how many of them "
                "count.",
    "eigenvectors": "See whether the first eigenvectors spread over all features, as the dense "
                    "direction does, or lie on few.",
    "seen": "How much of the labels, of the features and of the dense direction lies in the span "
            "of the first eigenvectors: see how many of them it takes.",
    "transfer": "Who is fooled by whose adversarial examples: dark is fooled.",
}
