"""A network of one's own, sum_j w_j x_j^3: checked, trained and attacked like any other."""

import numpy as np

import simulator as sim
from simulator import contract, losses


class Cubes:
    def __init__(self, d: int) -> None: self.weights = np.full(d, 0.1)

    def margins(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y.astype(self.weights.dtype) * (X.astype(self.weights.dtype)**3 @ self.weights)

    def margin_gradient(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (y[:, None] * 3.0 * X**2 * self.weights).astype(self.weights.dtype)

    def loss_gradient(self, X: np.ndarray, y: np.ndarray, weight_decay: float = 0.0,
                      rng: object = None) -> tuple[float, np.ndarray]:
        f, w = self.margins(X, y), self.weights
        slope = -(X**3).T @ (y * losses.logistic_residual(f)) / len(X) + weight_decay * w
        return losses.logistic_loss(f) + weight_decay / 2 * float(w @ w), slope.astype(w.dtype)

    def gradient_step(self, X: np.ndarray, y: np.ndarray, learning_rate: float,
                      weight_decay: float = 0.0, rng: object = None) -> float:
        self.weights -= learning_rate * (found := self.loss_gradient(X, y, weight_decay))[1]
        return found[0]


def main() -> None:
    test = (data := sim.SparseCoding(d=40, k=3)).sample(500, rng=1)
    contract.check_network(Cubes(40), test.X[:9], test.y[:9])
    for f in (sim.LinearClassifier(np.zeros(40)), Cubes(40)):
        sim.train(f, data, learning_rate=2.0, steps=300, batch_size=200)
        print(type(f).__name__, sim.worst_case(f, test, sim.Adversary(sim.L2Ball(.4))).accuracy())
    print("Cubes ignore what is spread over many coordinates: they resist where lines break.")


if __name__ == "__main__":
    main()
