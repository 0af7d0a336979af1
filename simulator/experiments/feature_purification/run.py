"""What is asked of the purification run: settings, check, cost and the run itself."""

from simulator.experiments.feature_purification.experiment import CONFIG, check, cost, simulate

__all__ = ["CONFIG", "check", "cost", "simulate"]
