"""Named settings and plans of the patch run (Li & Li, arXiv 2410.08503)."""

from typing import Any

__all__ = ["PLANS", "PRESETS"]

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


def _transitions(*cases: tuple[int, float]) -> tuple[dict[str, Any], ...]:
    """A family for each exponent q and start sigma_0, as in transition-q3-s20 (thousandths)."""
    return tuple({"name": f"transition-q{q}-s{round(1000 * scale)}", "q": q, "init_scale": scale}
                 for q, scale in cases)


PLANS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": 3, "groups": (
        {"preset": "smoke", "runs": ({},)},
        {"preset": "transition", "runs": _transitions((3, 0.02)), "claims": ("B3",),
         "set": {"d": 30, "nonrobust_patches": 20, "races": 3}})},
    "desk": {"seeds": 8, "groups": (
        {"preset": "desk", "runs": ({},)},
        {"preset": "transition", "claims": ("B3",),
         "runs": _transitions((3, 0.005), (3, 0.02), (4, 0.02), (4, 0.05))})},
    "paper": {"seeds": 8, "groups": (
        {"preset": "desk", "runs": tuple({"d": d} for d in (50, 100, 200, 400, 800)),
         "claims": ("B1", "B2"), "set": {"evaluation_chunk": 20}},
        {"preset": "transition", "claims": ("B3",), "set": {"races": 12},
         "runs": _transitions((3, 0.002), (3, 0.005), (3, 0.02), (3, 0.05), (4, 0.01),
                              (4, 0.02), (4, 0.05), (5, 0.05))})},
}
