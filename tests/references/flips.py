"""Loop reference of :mod:`simulator.flips`: every neuron followed along the path."""

import numpy as np

from references.symmetric_relu import dot, feature_neurons, largest, neuron


def split(W, b, X, y, delta):
    """Amounts, shape (n, 3, 2, 2), and gates, shape (n, 3, 2), by definition; M = I."""
    amounts, gates = np.zeros((len(X), 3, 2, 2)), np.zeros((len(X), 3, 2))
    feature = feature_neurons(W)
    for n, (x, step) in enumerate(zip(X, delta)):
        for i, w in enumerate(W):
            before, after = neuron(dot(w, x), b), neuron(dot(w, x + step), b)
            if before == 0.0 and after == 0.0:
                continue
            event = 0 if before and after else 1 if after else 2
            kind = 0 if i in feature else 1
            gates[n, event, kind] += 1
            moved = dot(w, step)
            if moved == 0.0:
                continue
            pure = w[largest(w)] * step[largest(w)]
            theta = (after - before) / moved
            amounts[n, event, 0, kind] += y[n] * theta * pure
            amounts[n, event, 1, kind] += y[n] * theta * (moved - pure)
    return amounts, gates
