"""Named settings of the kernel run."""

from typing import Any

__all__ = ["PRESETS"]

PRESETS: dict[str, dict[str, Any]] = {
    "desk": {
        "name": "ntk-desk", "seed": 0, "d": 100, "k": 3, "m": "4*d", "c_strong": 1.0,
        "c_weak": 1.5, "weak_low": 1.0, "weak_high": 1.2, "noise": 0.1, "label_margin": 0.3,
        "bias": 0.08, "init_scale": 0.03, "learning_rate": "2*d/100", "weight_decay": 1e-3,
        "batch_size": 500, "steps": 400, "tau": 0.25, "training_attack": "fgm",
        "training_pgd_steps": 10, "record_every": 10, "freeze_every": 100, "frozen_steps": 200,
        "frozen_learning_rate": "0.5*d/100", "frozen_weight_decay": 1e-3, "probe_samples": 300,
        "spectrum_samples": 1500, "test_samples": 500, "evaluation_chunk": 500,
        "dtype": "float64", "threads": 1, "protocol": "published", "early_freezes": 3,
        "transfer_samples": 300},
}
# The same in seconds, to see that everything works: fewer trainings, too small to show the robust
# kernel.
PRESETS["smoke"] = PRESETS["desk"] | {
    "name": "ntk-smoke", "d": 40, "k": 2, "batch_size": 200, "steps": 200, "freeze_every": 100,
    "frozen_steps": 60, "probe_samples": 100, "spectrum_samples": 300, "test_samples": 100,
    "evaluation_chunk": 100, "protocol": "short", "early_freezes": 0, "transfer_samples": 0}
