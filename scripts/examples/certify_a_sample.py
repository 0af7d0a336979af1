"""How far can one sample be moved? An attack says from above, a certificate from below."""

import simulator as sim


def main() -> None:
    """Print, for growing radii, whether the first test sample is broken or certified."""
    data = sim.SparseCoding(d=20, k=2)
    net = sim.SymmetricReLU.initialise(m=60, d=20, rng=0)
    threat = sim.Adversary(sim.L2Ball(0.25), sim.PGD(20, ("zero", "random")))
    sim.train(net, data, learning_rate=0.2, steps=300, batch_size=200,
              schedule=sim.TrackingNorm(1.0))
    sim.train(net, data, learning_rate=0.2, steps=200, batch_size=200,
              adversary=sim.Adversary(threat.ball, sim.FGM()))
    one = data.sample(1, rng=3)
    for radius in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        ball = sim.L2Ball(radius)
        attacked = sim.worst_case(net, one, threat.at(radius))
        proved = sim.certify(net, one, ball, start=attacked.delta)
        low, high = proved.margins[0], min(proved.upper[0], attacked.margins[0])
        verdict = "certified" if low > 0.0 else "broken" if high <= 0.0 else "open"
        print(f"radius {radius:.1f}: the worst margin is between {low:6.3f} and {high:6.3f}: "
              f"{verdict}")
    print("Where both numbers have one sign nothing is left to believe: no attack can do better.")


if __name__ == "__main__":
    main()
