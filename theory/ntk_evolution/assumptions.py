"""What the claims of Loo et al. (arXiv 2210.12030) assume, checked on a run."""

from theory.claim import Assumption

__all__ = ["FOLLOWED", "HARDENED", "INTERMEDIATE", "LEARNED", "PASSED_ON", "SOURCE"]

SOURCE = "Loo, Hasani, Amini & Rus, arXiv 2210.12030"
LEARNED = Assumption("the clean network is right on 95 % of the test samples",
                     lambda run: run.summary["clean"]["accuracy"] >= 0.95)
HARDENED = Assumption(
    "adversarial training raises the attacked accuracy of the network by 0.2",
    lambda run: run.summary["adversarial"]["attacked_accuracy"]
    >= run.summary["clean"]["attacked_accuracy"] + 0.2)
INTERMEDIATE = Assumption("two regular checkpoints come after the start",
                          lambda run: len(run.config.regular_times) >= 3)
FOLLOWED = Assumption("the distance of the kernel to the last one was recorded",
                      lambda run: "distance_to_last" in run.history.rows()[0])
PASSED_ON = Assumption("adversarial examples were passed on between networks and kernels",
                       lambda run: bool(run.summary.get("transfer")))
