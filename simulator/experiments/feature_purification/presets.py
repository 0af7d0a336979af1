"""Named settings of the purification run."""

from typing import Any

__all__ = ["PRESETS"]

# Half of a feature in l2; in l_inf the ball in which the dense direction is as long as that: it is
# the dense mixtures that are to be attacked in either norm, not the features.
TAU = '0.5/sqrt(k) if norm == "l2" else 0.5/sqrt(k*d)'
# Between r01 of the clean network and r99 of the purified one at the preset theorem's sizes.
THEOREM_TAU = '0.55/sqrt(k) if norm == "l2" else 0.55/sqrt(k*d)'

_COMMON: dict[str, Any] = {
    "seed": 0, "c_strong": 1.0, "weak_low": 1.0, "label_margin": 0.5, "dictionary": "identity",
    "labeler": "ones", "init_scale": 0.01, "smoothing": 0.0, "smoothing_mode": "expected",
    "weight_decay": "0.05/d", "batch_size": 1000, "training_samples": 0, "norm": "l2",
    "tau": TAU, "training_attack": "fgm", "training_pgd_steps": 10,
    "test_samples": 1000, "evaluation_chunk": 1000, "bracket_samples": 20, "bracket_nodes": 200,
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
# The theorem's abstract in one run: one radius at which the clean network is lost and the purified
# one certified. The paper fixes orders only; these constants were chosen on seeds below 100 for
# the widest window. No coordinate decides a label alone (c_strong 0), few are on (c_weak 0.5) and
# labels are clear (label_margin 1): the smallest margin, which decides how robust the purified
# network is, comes near the largest, which decides how long the clean one holds out. The bias
# tracks the norm of the neurons, so that gates open on the mixtures that gather. (A constant bias
# and 5 d neurons open the window further for attacks, 1.4 in place of 1.15 at d = 400, but the
# network is not certified nearly as far.) The learning rate grows with d up to 1600: at d = 3200
# adversarial training diverged with 16, and with 8 and 4 it does not, 8 being the faster.
PRESETS["theorem"] = _COMMON | {
    "name": "theorem", "d": 800, "k": 10, "m": "3*d", "c_strong": 0.0, "c_weak": 0.5,
    "weak_high": 2.0, "label_margin": 1.0, "noise": 0.1, "bias_schedule": "tracking",
    "bias_scale": 1.0, "bias_growth": 0.0, "bias_max": 0.0,
    "learning_rate": "min(0.5*d/100, 8)", "clean_steps": 1000, "adversarial_steps": 1000,
    "dtype": "float32", "tau": THEOREM_TAU,
    "bracket_nodes": 20, "tail_samples": 300}
# The demonstration in seconds, to see that everything works. One thread: a second one only
# waits on products this small.
PRESETS["smoke"] = PRESETS["desk"] | {
    "name": "smoke", "d": 50, "k": 3, "batch_size": 200, "clean_steps": 400,
    "adversarial_steps": 400, "test_samples": 200, "bracket_samples": 50,
    "record_every": 20, "threads": 1}
