"""An attack of one's own: one random direction for all samples, towards the wrong label."""

from dataclasses import dataclass

import numpy as np

import simulator as sim
from simulator.contract import check_attack
from simulator.protocols import Ball, Network, Perturbation


@dataclass(frozen=True)
class RandomDirection:
    """The best of a few directions that never look at the network's gradient."""

    tries: int = 10

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: np.random.Generator) -> Perturbation:
        """Return the direction under which the mean margin is smallest."""
        signs, normal = y.astype(X.dtype)[:, None], rng.standard_normal((self.tries, X.shape[1]))
        moves = [ball.steepest(-signs * v) for v in normal.astype(X.dtype)]
        return Perturbation(min(moves, key=lambda move: network.margins(X + move, y).mean()), 0)


def main() -> None:
    """Check the attack, and compare it with FGM on a cleanly trained network."""
    data = sim.SparseCoding(d=40, k=3, c_weak=1.0, weak_high=2.0, noise=0.3)
    net, test = sim.SymmetricReLU.initialise(m=120, d=40, rng=0), data.sample(300, rng=1)
    sim.train(net, data, learning_rate=0.2, steps=300, batch_size=200,
              schedule=sim.TrackingNorm(1.0))
    check_attack(RandomDirection(), net, test[:20], sim.L2Ball(0.3))
    for attack in (RandomDirection(), sim.Universal(data.dense_direction), sim.FGM()):
        found = sim.worst_case(net, test, sim.Adversary(sim.L2Ball(0.3), attack))
        print(f"{type(attack).__name__:16} leaves accuracy {found.accuracy():.2f}")
    print("A random direction does little; the one that all mixtures share does nearly all.")


if __name__ == "__main__":
    main()
