"""A batch can be sliced like the arrays it holds."""

import numpy as np
import pytest
import scipy.sparse

from simulator.protocols import Batch


def test_slices_masks_and_row_numbers_pick_the_same_samples_of_every_part(rng):
    batch = Batch(rng.standard_normal((6, 3)), np.array([1, -1, 1, 1, -1, -1.0]))
    for rows in (slice(1, 4), np.array([5, 0]), batch.y > 0):
        part = batch[rows]
        np.testing.assert_array_equal(part.X, batch.X[rows])
        np.testing.assert_array_equal(part.y, batch.y[rows])
        assert part.codes is None and len(part) == len(batch.y[rows])


def test_codes_come_along():
    batch = Batch(np.zeros((5, 4)), np.ones(5), scipy.sparse.csr_array(np.eye(5, 4)))
    np.testing.assert_array_equal(batch[1:3].codes.toarray(), np.eye(5, 4)[1:3])


def test_one_row_is_no_batch():
    batch = Batch(np.zeros((2, 3)), np.ones(2))
    with pytest.raises(TypeError, match=r"expected a slice .*: write batch\[1:2\]"):
        batch[1]
