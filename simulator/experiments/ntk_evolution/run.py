"""What is asked of the kernel run: settings, check, cost and the run itself."""

from simulator.experiments.ntk_evolution.experiment import CONFIG, check, cost, simulate

__all__ = ["CONFIG", "check", "cost", "simulate"]
