"""Central differences, for the derivatives that the contract of all networks does not ask for.

:mod:`simulator.contract` differentiates margins by inputs and losses by weights of every network.
"""

import numpy as np

H = 1e-5  # truncation and rounding errors are both about 1e-10 for numbers of order 1


def difference(function, point):
    """Derivative of ``function(point)`` by every entry: shape of the value, then of the point."""
    columns = []
    for index in np.ndindex(point.shape):
        up, down = point.copy(), point.copy()
        up[index] += H
        down[index] -= H
        columns.append((np.asarray(function(up)) - np.asarray(function(down))) / (2.0 * H))
    slopes = np.array(columns)  # the entries first
    return np.moveaxis(slopes, 0, -1).reshape(slopes.shape[1:] + point.shape)


def relative_error(got, wanted):
    return np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
