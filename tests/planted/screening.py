"""The unscreened passes of a network."""

import numpy as np


def dense_outputs(network, X):
    """The unscreened forward pass: no noise is the plain network, said densely."""
    return network.forward(X, noise=np.zeros((len(X), network.neurons), X.dtype))
