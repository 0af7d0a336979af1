"""Planted networks that several claims are confronted with; see planted/feature_purification.py."""

import pytest

from planted.feature_purification import SEEDS, lottery_weights, planted_config, planted_run


@pytest.fixture(scope="package")
def planted():
    """Dense before, pure after; three seeds at one size."""
    return [planted_run(144, 8, seed) for seed in SEEDS]


@pytest.fixture(scope="package")
def unpurified():
    """Dense before and as dense after."""
    return [planted_run(144, 8, seed, after=0.25) for seed in SEEDS]


@pytest.fixture(scope="package")
def found():
    """All neurons of a run, most of them losers, at two sizes."""
    runs = []
    for d, k in ((16, 4), (64, 4)):
        for seed in SEEDS:
            weights = lottery_weights(planted_config(d, k, seed, m="15*d"), 0.02)
            runs.append(planted_run(d, k, seed, weights=(weights, weights), m="15*d"))
    return runs
