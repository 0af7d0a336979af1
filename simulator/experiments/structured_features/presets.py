"""Named settings of the patch run (Li & Li, arXiv 2410.08503)."""

from typing import Any

__all__ = ["PRESETS"]

# One thread: products of a few thousand rows and 32 columns do not gain from a second one.
_COMMON: dict[str, Any] = {
    "seed": 0, "classes": 2, "d": 100, "m": 16, "q": 3, "rho": 2.0, "robust_patches": 1,
    "nonrobust_patches": 400, "alpha": 5.0, "beta": 0.98, "jitter": 0.0, "noise": 0.5,
    "features": "axes", "epsilon": 1.0, "init_scale": 0.01, "training_samples": 10,
    "learning_rate": 0.1, "fine_learning_rate": 0.02, "ascent_size": 10.0,
    "standard_steps": 300, "one_step_steps": 200, "pgd_steps": 100, "multi_start_steps": 300,
    "inner_steps": 5, "restarts": 1, "test_samples": 100, "evaluation_chunk": 50,
    "attack_steps": 20, "certified_samples": 20, "certificate_boxes": 100, "record_every": 10,
    "races": 0, "kappa_points": 11, "kappa_span": 8.0,
    "dtype": "float64", "threads": 1,
}
# Early growth is as slow as sigma_0^(q-2): the learning rate makes up for it.
_RACE = _COMMON | {"nonrobust_patches": 50, "standard_steps": 5000, "one_step_steps": 0,
                   "pgd_steps": 0, "multi_start_steps": 0, "races": 6,
                   "learning_rate": "0.1*10**(q-3)*(0.02/init_scale)**(q-2)"}

PRESETS: dict[str, dict[str, Any]] = {
    "desk": _COMMON | {"name": "patches-desk"},
    # The demonstration in seconds, to see that everything works.
    "smoke": _COMMON | {
        "name": "patches-smoke", "d": 30, "m": 8, "nonrobust_patches": 60, "alpha": 3.0,
        "rho": 1.0, "standard_steps": 200, "one_step_steps": 100, "pgd_steps": 40,
        "multi_start_steps": 60, "test_samples": 40, "attack_steps": 5, "certified_samples": 5,
        "certificate_boxes": 10},
    # Which feature standard training learns, at kappa from 1/8 to 8.
    "transition": _RACE | {"name": "transition"},
}
