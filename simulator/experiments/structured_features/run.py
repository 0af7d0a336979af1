"""What is asked of the patch run: settings, check, cost and the run itself."""

from simulator.experiments.structured_features.experiment import CONFIG, check, cost, simulate

__all__ = ["CONFIG", "check", "cost", "simulate"]
