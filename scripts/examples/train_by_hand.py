"""Train a network cleanly and adversarially, and see which part of its weights changed."""

import simulator as sim


def main() -> None:
    """Print what the neurons hold, and how often an attack succeeds, before and after."""
    data = sim.SparseCoding(d=40, k=3, c_weak=1.0, weak_high=2.0, noise=0.3)
    net = sim.SymmetricReLU.initialise(m=120, d=40, scale=0.01, rng=0)
    threat = sim.Adversary(sim.L2Ball(0.3), sim.FGM())
    test = data.sample(500, rng=1)

    def show(phase: str) -> None:
        found = sim.feature_metrics(sim.decompose(net, data))
        print(f"{phase:12} mixture ratio {found['mixture_ratio']:6.3f}   accuracy "
              f"{sim.accuracy(net, test):.2f}, attacked "
              f"{sim.worst_case(net, test, threat).accuracy():.2f}")

    sim.train(net, data, learning_rate=0.2, steps=400, batch_size=200,
              schedule=sim.TrackingNorm(1.0))
    show("clean")
    sim.train(net, data, learning_rate=0.2, steps=400, batch_size=200, adversary=threat)
    show("adversarial")
    print("Adversarial training removed the dense mixtures; the features stayed.")


if __name__ == "__main__":
    main()
