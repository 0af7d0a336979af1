"""Runs whose standard training reads v and whose adversarial training reads u."""

import pytest

from planted.structured_features import SEEDS, planted_run


@pytest.fixture(scope="module")
def planted():
    return [planted_run(seed) for seed in SEEDS]
