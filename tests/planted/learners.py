"""Runs with planted tables of low-complexity learners, as claim A8 sees them."""

from simulator.low_complexity import RADII
from theory.claim import Run

from planted.feature_purification import planted_config

WEAK = {"linear": (0.3, 0.2, 0.1, 0.1, 0.0), "degree 3": (0.6, 0.5, 0.4, 0.3, 0.2)}
PURIFIED = (0.9, 0.8, 0.7, 0.5, 0.4)  # certified: the comparison is at 1.5 tau


def learner_runs(certified=PURIFIED, attacked=None, seeds=3, d=64, k=4, **changes):
    """Return runs with a certified accuracy at each radius and the best of each learner.

    The data are such that strong features decide less than half of the labels.
    """
    attacked = WEAK if attacked is None else attacked
    runs = []
    for seed in range(seeds):
        config = planted_config(d, k, seed, **({"weak_high": 2.0} | changes))
        radii = [share * config.tau for share in RADII]
        shift = 0.01 * (seed - 1)  # seeds differ
        table = [{"learner": name, "training": training, "accuracy": [1.0] * len(RADII),
                  "attacked": [max(0.0, value + shift - worse) for value in values],
                  "best": [""] * len(RADII)} for name, values in attacked.items()
                 for training, worse in (("clean", 0.1), ("adversarial", 0.0))]
        bracket = [{"radius": radius, "certified": value, "attacked": value}
                   for radius, value in zip(radii, certified)]
        summary = {"tau": config.tau, "clean": {"accuracy": 1.0},
                   "adversarial": {"bracket": bracket},
                   "learners": {"radii": radii, "table": table}}
        runs.append(Run(config, summary, [], {}))
    return runs
