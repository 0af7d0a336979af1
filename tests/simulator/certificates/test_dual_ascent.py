"""The steps of dual ascent, and the twin that the kernels of patches carry."""

import numpy as np

from simulator.certificates import dual_ascent
from simulator.certificates.patches import bounds


def test_the_ascent_is_that_of_the_other_certificates():
    rng = np.random.default_rng(0)
    x, moments = rng.standard_normal(5), np.zeros((2, 5))
    other, others = x.copy(), np.zeros((2, 5))
    for step in range(20):
        gradient = rng.standard_normal(5)
        dual_ascent.ascend(x, gradient, moments, step, 0.1)
        bounds._adam(other, gradient, others, step, 0.1)
    # the guard 1e-8 against gradients of size 1, over twenty steps of .1
    np.testing.assert_allclose(x, other, atol=2e-6)
    assert np.array_equal(moments, others)
