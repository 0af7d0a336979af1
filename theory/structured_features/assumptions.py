"""What the claims of Li & Li (arXiv 2410.08503) assume, checked on a run."""

from theory.claim import Assumption

__all__ = ["DENSE", "QUIET", "SOURCE", "SUPERLINEAR", "WEAK"]

SOURCE = ("Li & Li, arXiv 2410.08503, from its abstract and summaries: the full text was not at "
          "hand. ")
WEAK = Assumption("the radius lies between the strengths: beta < epsilon < alpha",
                  lambda run: run.config.beta < run.config.epsilon < run.config.alpha)
DENSE = Assumption("the non-robust feature is the denser one: kappa > 1",
                   lambda run: run.summary["kappa"] > 1.0)
SUPERLINEAR = Assumption("the start grows faster than exponentially: q >= 3",
                         lambda run: run.config.q >= 3)
QUIET = Assumption("the noise of a patch is at most twice epsilon",
                   lambda run: run.config.noise <= 2.0 * run.config.epsilon)
