"""What to see in each figure of a run."""

__all__ = ["CAPTIONS"]

CAPTIONS = {
    "correlations": "Standard training follows the non-robust feature v, which is in every patch; "
                    "see whether adversarial training follows the robust one, u.",
    "accuracy": "Compare the trainings under the same attack. An accuracy that is high under one "
                "attack alone says nothing: the lowest one counts.",
    "perturbation": "Where the strongest perturbation puts its length: along v, the network relies "
                    "on the non-robust feature.",
    "transition": "How often the non-robust feature wins against how strong it is (kappa); the "
                  "line is a fit of where that turns.",
}
