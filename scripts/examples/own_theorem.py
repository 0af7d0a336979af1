"""A theorem of one's own: ``purify verify --claims-from own_theorem.py --preset smoke``."""

import simulator as sim
from theory.claim import Claim, Finding, Run, Threshold
from theory.drawing.picture import Picture
from theory.evidence import Evidence, at_every_size, confronted, values_of
from theory.plans import Family, sizes

CLAIM = Claim(
    id="X1", title="adversarial training halves the mixtures",
    statement="After adversarial training a neuron's dense mixture is less than half as large.",
    source="A reading of Allen-Zhu & Li, arXiv 2005.10190: they prove that it becomes o(k/d).",
    assumptions=(),
    quantity="mixture ratio after over before, at every size",
    law="at most 1/2", expected=0.0,
    thresholds={"mixture after over before": Threshold(-0.5, 0.5)}, fixed="2026-11-27")
RUNS = {"smoke": (Family("smoke", sizes((50, 3)), seeds=3),),
        "desk": (Family("lottery", sizes((64, 4), (128, 8)), seeds=5),)}


def _ratio(run: Run) -> float:
    before, after = (run.summary[phase]["mixture_ratio"] for phase in ("clean", "adversarial"))
    return float(after / before)


def confront(runs: list[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, lambda groups: Evidence(
        [at_every_size("mixture after over before", values_of(groups, _ratio), CLAIM)],
        Picture("No figure: one number a size."), []))


def main() -> None:
    """Confront it here, with three small runs."""
    print(confront(sim.sweep("smoke", seeds=3, workers=1, bracket_samples=0, test_samples=50)))


if __name__ == "__main__":
    main()
