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

# As many training samples of each class, and a search that takes two classes at a time.
_BALANCED = _COMMON | {
    "training_samples": 12, "training_labels": "balanced",
    "one_step_steps": 200, "pgd_steps": 60, "multi_start_steps": 400, "fine_learning_rate": 0.01,
    "late_learning_rate": 0.05, "patch_search": "paired", "restarts": 0, "certified_samples": 10}

PRESETS: dict[str, dict[str, Any]] = {
    # What robustness asks for beside: one-step training until every class has learned u, then small
    # steps while samples that the search perturbed lose much, or u is lost again, and larger ones.
    "desk": _BALANCED | {
        "name": "patches-desk", "learning_rate": 0.2, "standard_steps": 200, "one_step_steps": 250,
        "multi_start_steps": 220, "late_after": 60, "certificate_boxes": 4000, "record_every": 5},
    # Features along the axes and every patch in a cube: room for the paper's perturbation. Small
    # starts, because a cube adds up all coordinates of a neuron, and small steps, because perturbed
    # samples lose hundreds.
    "linf": _BALANCED | {
        "name": "patches-linf", "norm": "linf", "init_scale": 0.003, "one_step_steps": 350,
        "pgd_steps": 0, "multi_start_steps": 150, "fine_learning_rate": 1e-4,
        "late_learning_rate": 1e-4, "certified_samples": 5, "certificate_boxes": 0},
    # Many classes, m a power of log d. A class is in 1/K of the samples, so the first two trainings
    # take K times the learning rate. The last does not: its first steps would take u away for good,
    # or diverge. alpha is what two classes need to withstand the search after as many steps.
    "classes": _BALANCED | {
        "name": "classes", "classes": 10, "m": "round(log(d)**2)", "nonrobust_patches": 200,
        "training_samples": 20, "learning_rate": "0.1*classes", "late_after": 80,
        "standard_steps": 150, "one_step_steps": 200, "pgd_steps": 0, "multi_start_steps": 200,
        "test_samples": 40, "evaluation_chunk": 20, "attack_steps": 5, "certified_samples": 0},
    # The demonstration in seconds, to see that everything works.
    "smoke": _COMMON | {
        "name": "patches-smoke", "d": 30, "m": 8, "nonrobust_patches": 60, "alpha": 3.0,
        "rho": 1.0, "standard_steps": 200, "one_step_steps": 100, "pgd_steps": 40,
        "multi_start_steps": 60, "test_samples": 40, "attack_steps": 5, "certified_samples": 5,
        "certificate_boxes": 10},
    # Which feature standard training learns, at kappa from 1/8 to 8.
    "transition": _RACE | {"name": "transition"},
    # Which feature one-step adversarial training learns, at epsilon from 0 to 2 beta.
    "spectrum": _BALANCED | {
        "name": "spectrum", "spectrum_points": 9, "standard_steps": 1, "pgd_steps": 0,
        "multi_start_steps": 0},
}
