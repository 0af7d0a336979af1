"""A random network that reads planted samples of patches, and an attack on it."""

import numpy as np

from simulator.balls import PatchL2Ball
from simulator.data.patches import PatchData, random_features
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN


class Case:
    """A random network that reads planted samples."""

    def __init__(self, seed=0, classes=2, n=4, P=3, m=2, d=12, scale=0.6):
        rng = np.random.default_rng(seed)
        self.features = random_features(classes, d, rng)
        self.data = PatchData(d, np.array([3.0]), np.full(P - 1, 0.8), classes,
                              features=self.features)
        self.net = SmoothedReLUCNN(scale * rng.standard_normal((classes, m, d)), 3, 0.8)
        batch = self.data.sample(n, rng)
        self.X, self.y = batch.X, batch.y
        self.ball = PatchL2Ball(0.7)

    def margins(self, found):
        return self.net.margins(self.X + self.ball.project(found.delta), self.y)


def attack_with(case, attack, seed=1):
    return attack.perturb(case.net, case.X, case.y, case.ball, np.random.default_rng(seed))
