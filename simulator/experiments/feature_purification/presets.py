"""Named settings and plans of the purification run."""

from typing import Any

__all__ = ["PLANS", "PRESETS"]

_COMMON: dict[str, Any] = {
    "seed": 0, "c_strong": 1.0, "weak_low": 1.0, "label_margin": 0.5, "dictionary": "identity",
    "labeler": "ones", "init_scale": 0.01, "smoothing": 0.0, "smoothing_mode": "expected",
    "weight_decay": "0.05/d", "batch_size": 1000, "training_samples": 0, "norm": "l2",
    "tau": "0.5/sqrt(k)", "training_attack": "fgm", "training_pgd_steps": 10,
    "test_samples": 1000, "evaluation_chunk": 1000, "bracket_samples": 20, "bracket_nodes": 4,
    "record_every": 50, "dtype": "float64", "threads": 2,
}

PRESETS: dict[str, dict[str, Any]] = {
    # Many neurons fire and the dense parts dominate: the clearest demonstration.
    "desk": _COMMON | {
        "name": "desk", "d": 200, "k": 7, "m": "3*d", "c_weak": 1.0, "weak_high": 2.0,
        "noise": 0.3, "bias_schedule": "tracking", "bias_scale": 1.0, "bias_growth": 0.0,
        "bias_max": 0.0, "learning_rate": "0.5*d/100", "clean_steps": 1500,
        "adversarial_steps": 1500},
    # The regime of the theorems: many neurons, few of which win a feature.
    "lottery": _COMMON | {
        "name": "lottery", "d": 128, "k": 8, "m": "20*d", "c_weak": 0.5, "weak_high": 1.2,
        "noise": 0.1, "bias_schedule": "linear", "bias_scale": 1.5, "bias_growth": 0.35,
        "bias_max": 0.12, "learning_rate": "0.8*d/100", "clean_steps": 1800,
        "adversarial_steps": 1000},
}
# The demonstration in seconds, to see that everything works. One thread: a second one only
# waits on products this small.
PRESETS["smoke"] = PRESETS["desk"] | {
    "name": "smoke", "d": 50, "k": 3, "batch_size": 200, "clean_steps": 400,
    "adversarial_steps": 400, "test_samples": 200, "bracket_samples": 50, "bracket_nodes": 4,
    "record_every": 20, "threads": 1}


def _sizes(*sizes: tuple[int, int]) -> tuple[dict[str, Any], ...]:
    return tuple({"d": d, "k": k} for d, k in sizes)


def _curves(*dimensions: int) -> tuple[dict[str, Any], ...]:
    """Sizes along k = d^a of the phase picture (R1)."""
    return _sizes(*dict.fromkeys((d, round(d**power)) for d in dimensions
                                 for power in (0.34, 0.4, 0.45, 0.5)))


# Float32 and one thread: verify needs many small runs, and a second thread only waits on products
# this small.
_QUICK: dict[str, Any] = {"dtype": "float32", "threads": 1, "record_every": 200}
# The "desk" runs have a universal direction strong enough for A3, and too few neurons for A1, A2.
_DENSE_CLAIMS = ("A3", "A4", "A5", "A7", "A9")
_NETWORK_CLAIMS = ("A1", "A2", "A6", *_DENSE_CLAIMS)  # all but A8, which has runs of its own
# A8 trains all the low-complexity learners too, and certifies at more radii and samples: families
# of their own, because other claims would take a second run of one size and seed for a repeat.
_LEARNERS: dict[str, Any] = _QUICK | {"learner_steps": 150, "bracket_samples": 100,
                                      "test_samples": 500, "evaluation_chunk": 500}
# The many sizes of the phase picture; nothing is certified in it.
_PHASE: dict[str, Any] = _QUICK | {"bracket_samples": 0}
_THEOREM_SIZES = _sizes((64, 4), (64, 8), (128, 4), (128, 8), (256, 4), (256, 8), (256, 16),
                        (512, 4), (512, 8), (512, 16))
PLANS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": 3, "groups": (
        {"preset": "smoke", "runs": _sizes((36, 4), (64, 4)), "set": {"record_every": 200}},)},
    "desk": {"seeds": 5, "groups": (
        {"preset": "lottery",
         "runs": _sizes((64, 4), (64, 8), (128, 4), (128, 8), (256, 4), (256, 8)),
         "claims": _NETWORK_CLAIMS, "set": _QUICK | {"test_samples": 500, "evaluation_chunk": 500}},
        {"preset": "desk", "runs": _sizes((100, 5), (200, 7)), "claims": _DENSE_CLAIMS,
         "set": _QUICK | {"test_samples": 500, "evaluation_chunk": 500}},
        {"preset": "desk", "runs": _sizes((64, 4)), "claims": ("A8",), "seeds": 3,
         "set": _LEARNERS | {"name": "desk-learners"}})},
    "phase": {"seeds": 3, "claims": ("R1",), "groups": (
        {"preset": "lottery", "runs": _curves(64, 91, 128, 256, 512),
         "set": _PHASE | {"test_samples": 500, "evaluation_chunk": 500}},)},
    "paper": {"seeds": 8, "groups": (
        {"preset": "lottery", "runs": _THEOREM_SIZES, "claims": (*_NETWORK_CLAIMS, "R1"),
         "set": _QUICK | {"test_samples": 2000}},
        {"preset": "lottery", "claims": ("R1",), "set": _PHASE | {"test_samples": 2000},
         "runs": tuple(size for size in _curves(64, 91, 128, 181, 256, 362, 512, 1024)
                       if size not in _THEOREM_SIZES)},
        {"preset": "desk", "runs": _sizes((100, 5), (200, 7), (400, 9), (800, 11)),
         "claims": _DENSE_CLAIMS, "set": _QUICK | {"test_samples": 2000}},
        {"preset": "desk", "runs": _sizes((64, 4), (100, 5), (200, 7)), "claims": ("A8",),
         "set": _LEARNERS | {"name": "desk-learners", "learner_steps": 400}},
        {"preset": "lottery", "runs": _sizes((64, 4), (128, 8)), "claims": ("A8",),
         "set": _LEARNERS | {"name": "lottery-learners", "learner_steps": 400}})},
}
