"""What ``purify verify`` runs for the claims of this paper; see :mod:`theory.plans`."""

from typing import Any

__all__ = ["PLANS"]


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
