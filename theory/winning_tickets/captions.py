"""What to see in each figure of a run."""

__all__ = ["CAPTIONS"]

CAPTIONS = {
    "errors": "The lower, the better a mask keeps the dynamics of the dense network; compare the "
              "masks that were searched with random ones of the same size.",
    "accuracy": "Whether a masked network learns what the dense one learns: the line is the dense "
                "network, each mark a mask.",
    "where": "Which weights a mask keeps: large or small ones, in few neurons or in all.",
    "flow": "See how far the distance of the frozen flows stays below its bound.",
}
