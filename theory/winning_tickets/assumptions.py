"""What the claims of Shi et al. (arXiv 2202.06488) assume, checked on a run.

D1 and D2 speak about wide networks whose survivors are rescaled and whose kernel hardly turns; what
the masks do elsewhere is measured all the same, and told in the caveats.
"""

from theory.claim import Assumption

__all__ = ["LAZY", "RESCALED"]

# Wide runs of 1000 neurons turn their kernel by .008, those that learn features by .05.
LAZY = Assumption("the dense network's kernel hardly turns (1 - cos at most .02)",
                  lambda run: run.summary["kernel_distance"] <= 0.02)
RESCALED = Assumption("the surviving weights are rescaled by 1/sqrt(keep)",
                      lambda run: run.config.rescaling == "weights")
