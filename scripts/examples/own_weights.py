"""Bracket a network that was trained elsewhere: its weights, its inputs, and nothing else of it."""

import numpy as np

import simulator as sim


def trained_elsewhere() -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """Stand for your own: W (m, d), b, inputs X (n, d) and labels y (n,), -1 or +1."""
    data = sim.SparseCoding(d=30, k=3)
    net = sim.SymmetricReLU.initialise(m=90, d=30, rng=0)
    sim.train(net, data, learning_rate=0.2, steps=300, batch_size=200,
              schedule=sim.TrackingNorm(1.0))
    batch = data.sample(30, rng=1)
    return net.weights, net.bias, batch.X, batch.y


def main() -> None:
    """Print what is proved and what was broken, in the two norms."""
    W, b, X, y = trained_elsewhere()
    net, batch = sim.SymmetricReLU(W, b), sim.Batch(X, y)
    for ball, radii in ((sim.L2Ball, (0.05, 0.1, 0.2)), (sim.LinfBall, (0.01, 0.02, 0.04))):
        adversary = sim.Adversary(ball(0.0), strong={
            "adaptive": sim.AdaptivePGD(50), "features": sim.FeatureGreedy()})
        for found in sim.bracket(net, batch, adversary, radii=radii, boxes=200):
            print(f"{ball.__name__:<8} {found.radius:<5g} certified {found.certified:.2f}  "
                  f"attacked {found.attacked:.2f}  population {found.low:.2f} to {found.high:.2f}")
    print("Whatever attack anybody thinks of: it breaks nothing of what is certified.")


if __name__ == "__main__":
    main()
