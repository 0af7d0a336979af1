"""A data model of one's own: checked by the contract, and learned like any other."""

from dataclasses import dataclass
from typing import Any

import numpy as np

import simulator as sim
from simulator.contract import check_data


@dataclass(frozen=True)
class TwoClouds:
    """``x = y mu + xi``: two Gaussian clouds, whose best classifier is the linear <mu, x>."""

    d: int = 20
    distance: float = 2.0

    @property
    def mean(self) -> np.ndarray:
        return np.full(self.d, self.distance / np.sqrt(self.d))

    def sample(self, n: int, rng: np.random.Generator, dtype: Any = np.float64) -> sim.Batch:
        y = rng.choice([-1.0, 1.0], n)
        X = y[:, None] * self.mean + rng.standard_normal((n, self.d))
        return sim.Batch(X.astype(dtype), y.astype(dtype))


def main() -> None:
    """Check the data, and see how far the learned direction is from the best one."""
    data = TwoClouds()
    print("kept:", ", ".join(check_data(data)))
    net = sim.LinearClassifier(np.zeros(data.d))
    sim.train(net, data, learning_rate=0.5, steps=200)
    cosine = net.weights @ data.mean / np.linalg.norm(net.weights) / data.distance
    print(f"The learned direction has cosine {cosine:.3f} with the best one.")


if __name__ == "__main__":
    main()
