"""Each assumption of the claims has its edge, and what they are derived from is measured."""

import math

import pytest

from theory.claim import Run
from theory.feature_purification import assumptions

from planted.feature_purification import changed, planted_config, planted_run


def run(d=64, k=4, seed=0, accuracy=1.0, coverage=1.0, **settings):
    config = planted_config(d, k, seed, **{"m": "15*d"} | settings)
    return Run(config, {"p": 0.1, "clean": {
        "accuracy": accuracy, "coverage": coverage, "mixture_ratio": 0.1}}, [], {})


@pytest.mark.parametrize("assumption, inside, outside", [
    (assumptions.BELOW_SQUARE_ROOT, run(64, 8), run(63, 8)),
    (assumptions.ABOVE_CUBE_ROOT, run(64, 4), run(65, 4)),
    (assumptions.MORE_NEURONS, run(m="15*d"), run(m="14*d")),
    (assumptions.FRESH_SAMPLES, run(), run(training_samples=5000)),
    (assumptions.EUCLIDEAN, run(), run(norm="linf")),
    (assumptions.LEARNED, run(accuracy=0.95), run(accuracy=0.94)),
    (assumptions.LEARNED, run(), run(accuracy=math.nan)),
    (assumptions.COVERED, run(coverage=0.99), run(coverage=0.98)),
    (assumptions.PURIFIED, run(), run(adversarial_steps=0)),
    (assumptions.PURIFIED, run(), run(tau=0)),
], ids=lambda value: getattr(value, "name", None))
def test_each_assumption_has_its_edge(assumption, inside, outside):
    assert assumption.fulfilled(inside) and not assumption.fulfilled(outside)


def test_the_universal_shift_tends_to_that_of_a_linear_classifier():
    weak, strong = planted_run(16, 4, 0, before=0.01), planted_run(16, 4, 0, before=0.25)
    full = strong.config.tau * 4.0
    assert assumptions.universal_shift(weak) < assumptions.universal_shift(strong) < full
    endless = changed(strong, clean={"mixture_ratio": 1e9})
    assert assumptions.universal_shift(endless) == pytest.approx(full)
    assert assumptions.universal_shift(changed(strong, clean={"mixture_ratio": -0.1})) == 0.0
    # c_strong 1 and c_weak k = 4 features of an input, and at least the label margin
    assert 0.5 <= assumptions.typical_margin(strong) < 2.5
    assert assumptions.expected_active(strong) == pytest.approx(5.0)
