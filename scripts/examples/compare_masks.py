"""Which weights does a ticket need? Masks of one size against each other, trained alike."""

from typing import Any

import simulator as sim
from simulator.randomness import Role, stream
from simulator.tickets.masks import lottery_mask, magnitude_mask, random_mask

KEEP, BIAS = 0.02, 0.05


def main() -> None:
    """Train tickets with a fiftieth of the weights; print accuracy with and without attack."""
    data = sim.SparseCoding(d=40, k=2, label_margin=0.3)
    threat = sim.Adversary(sim.L2Ball(0.3), sim.PGD(10, ("zero", "random")))
    start = sim.SymmetricReLU.initialise(m=160, d=40, scale=0.05, rng=0, bias=BIAS)
    test = data.sample(500, rng=1)

    def trained(network: Any) -> Any:
        sim.train(network, data, learning_rate=0.5, steps=300, batch_size=200,
                  adversary=sim.Adversary(threat.ball, sim.FGM()))
        return network

    dense, W = trained(start.copy()), start.weights
    masks = {"random": random_mask(W.shape, KEEP, stream(0, Role.MASK)),
             "largest at the start": magnitude_mask(W, KEEP),
             "largest after training": lottery_mask(dense.weights, KEEP)}
    tickets = {name: trained(sim.MaskedReLU(W, mask, BIAS)) for name, mask in masks.items()}
    for name, network in {"all weights": dense, **tickets}.items():
        found = sim.worst_case(network, test, threat)
        print(f"{name:22} {found.accuracy('clean'):.2f} -> {found.accuracy():.2f} attacked")
    print("Which weights are kept matters: the large ones hold what random ones lose.")


if __name__ == "__main__":
    main()
