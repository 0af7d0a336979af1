"""Named settings of the ticket run."""

from typing import Any

__all__ = ["PRESETS"]

_COMMON: dict[str, Any] = {
    "seed": 0, "d": 100, "k": 3, "c_strong": 1.0, "c_weak": 0.5, "weak_low": 1.0,
    "weak_high": 1.2, "noise": 0.1, "label_margin": 0.5, "keep_percents": "50-20-10",
    "gamma": "100/m", "search_samples": 100, "search_steps": 60, "search_rate": 0.2,
    "swaps": 5000, "weight_decay": 1e-3, "batch_size": 500, "tau": 0.25, "kernel_samples": 200,
    "flow_samples": 60, "test_samples": 400, "dtype": "float32", "threads": 1,
    "transfer_steps": 200}

PRESETS: dict[str, dict[str, Any]] = {
    # Wide and rescaled: weights of size 1/sqrt(m) and steps of size 1/m keep outputs and kernel at
    # their size while the kernel turns less and less; gates are often open. Every mask is rescaled
    # as suits it best: what whole neurons can do shows.
    "desk": _COMMON | {
        "name": "tickets-wide", "m": 1000, "init_scale": "0.67/sqrt(m)",
        "bias": "1.6*init_scale",
        "rescaling": "better", "learning_rate": "800/m", "steps": 50, "record_every": 5},
    # Few neurons that learn features: the kernel of the beginning is soon forgotten.
    "feature": _COMMON | {
        "name": "tickets-feature", "m": 400, "init_scale": 0.03, "bias": 0.08,
        "rescaling": "none", "learning_rate": 2.0, "steps": 400, "record_every": 40},
}
# All masks rescaled by one rule, which is not the best one for whole neurons.
PRESETS["one-rule"] = PRESETS["desk"] | {"name": "tickets-one-rule", "rescaling": "weights"}
# A glance in seconds, to see that everything works.
PRESETS["smoke"] = PRESETS["desk"] | {
    "name": "tickets-smoke", "d": 40, "m": 400, "keep_percents": "50-20", "search_steps": 20,
    "swaps": 500, "steps": 20, "batch_size": 200, "kernel_samples": 80, "flow_samples": 25,
    "test_samples": 200, "rescaling": "weights", "transfer_steps": 0}
