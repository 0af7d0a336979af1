"""Named settings. A value may be an expression in the other settings, so that
``--set d=256`` moves everything that scales with d along with it."""

import difflib
from collections.abc import Sequence
from typing import Any

__all__ = ["PLANS", "PRESETS", "plan", "plan_settings", "preset"]

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


# What `purify verify` runs: groups of sizes (d, k), each with as many seeds (more for a group that
# says so: accuracies of a broken network scatter). A group with "claims" is only needed for
# those; "set" changes settings of its preset. Float32 and one thread: verify
# needs many small runs, and a second thread only waits on products this small.
_QUICK: dict[str, Any] = {"dtype": "float32", "threads": 1, "record_every": 200}
# The "desk" runs have a universal direction strong enough for A3, and too few neurons for A1, A2.
_DENSE_CLAIMS = ("A3", "A4", "A5", "A7", "A9")
PLANS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": 3, "groups": (
        {"preset": "smoke", "sizes": ((36, 4), (64, 4)), "set": {"record_every": 200}},)},
    "desk": {"seeds": 3, "groups": (
        {"preset": "lottery", "sizes": ((64, 4), (64, 8), (128, 4), (128, 8), (256, 4), (256, 8)),
         "set": _QUICK | {"test_samples": 500, "evaluation_chunk": 500}},
        {"preset": "desk", "sizes": ((100, 5), (200, 7)), "claims": _DENSE_CLAIMS, "seeds": 5,
         "set": _QUICK | {"test_samples": 500, "evaluation_chunk": 500}})},
    "paper": {"seeds": 8, "groups": (
        {"preset": "lottery", "sizes": ((64, 4), (64, 8), (128, 4), (128, 8), (256, 4), (256, 8),
                                        (256, 16), (512, 4), (512, 8), (512, 16)),
         "set": _QUICK | {"test_samples": 2000}},
        {"preset": "desk", "sizes": ((100, 5), (200, 7), (400, 9), (800, 11)),
         "claims": _DENSE_CLAIMS, "set": _QUICK | {"test_samples": 2000}})},
}


def preset(name: str) -> dict[str, Any]:
    """Return the settings of a preset, or raise ValueError with the nearest name."""
    return dict(PRESETS[_known(name, PRESETS)])


def plan(name: str) -> dict[str, Any]:
    """Return the plan of a verification, or raise ValueError with the nearest name."""
    return dict(PLANS[_known(name, PLANS)])


def plan_settings(chosen: dict[str, Any], claims: Sequence[str],
                  seeds: int | None = None) -> list[dict[str, Any]]:
    """Return the settings of every run that ``claims`` need; ``seeds`` replaces the plan's.

    All sizes of a seed come before the next seed: an interrupted verification is complete for
    the seeds it has.
    """
    groups = [(group, seeds or group.get("seeds", chosen["seeds"])) for group in chosen["groups"]
              if not group.get("claims") or set(claims) & set(group["claims"])]
    return [preset(group["preset"]) | group["set"] | {"d": d, "k": k, "seed": seed}
            for seed in range(max((count for _, count in groups), default=0))
            for group, count in groups if seed < count for d, k in group["sizes"]]


def _known(name: str, names: dict[str, Any]) -> str:
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise ValueError(f"preset {name}: unknown; {hint}")
    return name
