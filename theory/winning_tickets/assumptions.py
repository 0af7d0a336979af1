"""What the claims of Shi et al. (arXiv 2202.06488) assume, checked on a run.

D1 and D2 speak about wide networks whose survivors are rescaled and whose kernel hardly turns, D4
about those that learn features; what the masks do elsewhere is measured all the same.
"""

from simulator.experiments.winning_tickets.config import TRAINED
from theory.claim import Assumption

__all__ = ["LAZY", "LEARNING", "RESCALED", "TRANSFERRED"]

# Wide runs of 1000 neurons turn their kernel by .008, those that learn features by .05.
LAZY = Assumption("the dense network's kernel hardly turns (1 - cos at most .02)",
                  lambda run: run.summary["kernel_distance"] <= 0.02)
LEARNING = Assumption("features are learned: the dense network's kernel turns (1 - cos above .02)",
                      lambda run: run.summary["kernel_distance"] > 0.02)
RESCALED = Assumption("every mask is rescaled by the better of two rules for it",
                      lambda run: run.config.rescaling == "better")
TRANSFERRED = Assumption("there is a ticket whose weights are trained too",
                         lambda run: TRAINED in run.config.masks)
