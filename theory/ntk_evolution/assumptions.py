"""What the claims of Loo et al. (arXiv 2210.12030) assume, checked on a run."""

from theory.claim import Assumption

__all__ = ["HARDENED", "INTERMEDIATE", "LEARNED", "SOURCE"]

SOURCE = "Loo, Hasani, Amini & Rus, arXiv 2210.12030"
LEARNED = Assumption("the clean network is right on 95 % of the test samples",
                     lambda run: run.summary["clean"]["accuracy"] >= 0.95)
HARDENED = Assumption(
    "adversarial training raises the attacked accuracy of the network by 0.2",
    lambda run: run.summary["adversarial"]["attacked_accuracy"]
    >= run.summary["clean"]["attacked_accuracy"] + 0.2)
INTERMEDIATE = Assumption("two kernels are frozen between the start and the end, or at the end",
                          lambda run: len(run.config.freeze_times) >= 3)
