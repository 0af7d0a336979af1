"""The largest radius of a grid at which each sample is certified.

By bisection, all samples of one radius together: certified at a radius is certified at every
smaller one. The bound whose curvatures the samples share does most of it, at the cost of a few
products by W for a radius; others may be asked about what it leaves open.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from simulator.certificates.inputs import require_ball, signed_inputs
from simulator.certificates.margins import METHODS, Effort, certify_inputs
from simulator.checks import require_choice, require_radii
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch
from simulator.robustness.bracket import samples_in_double

__all__ = ["certified_radii"]


def certified_radii(network: SymmetricReLU, batch: Batch, threat: object, *,
                    radii: Sequence[float], methods: Sequence[str] = ("shared",),
                    boxes: int = 100, steps: int = 300, root_steps: int = 2000,
                    saved: Mapping[str, np.ndarray] | None = None,
                    tick: Callable[..., None] | None = None) -> np.ndarray:
    """Return for each sample the largest radius of a grid that a certificate was found at.

    No perturbation within it makes the network wrong, whatever the attack. Sorted, the result
    gives certified radii of any level: with n samples, at least 99 % are certified at the
    ``floor(n / 100) + 1``-th smallest.

    Parameters
    ----------
    network : SymmetricReLU
        Without smoothing.
    batch : Batch
    threat : L2Ball, LinfBall or Adversary
        Of which only the norm counts.
    radii : sequence of float
        Ascending, at least 0.
    methods : sequence of str
        Bounds to try at a radius, in this order, of
        :data:`~simulator.certificates.margins.METHODS`. "quadratic" and "branching" cost a factor
        for each sample and step.
    boxes, steps, root_steps : int
        Of "branching" and "quadratic", as in :func:`~simulator.certificates.margins.certify`.
    saved : mapping of str to ndarray, or None
        What an interrupted call of equal arguments kept: it goes on from there.
    tick : callable or None
        Called with (radii tried, function that returns the arrays to go on from) after each.

    Returns
    -------
    ndarray, shape (n,)
        Minus infinity where a sample is certified at no radius of the grid.

    Raises
    ------
    TypeError, ValueError
        As :func:`~simulator.certificates.margins.certify`; radii that do not ascend.
    """
    for name in methods:
        require_choice("methods", name, METHODS)
    ball, radii = require_ball(threat), require_radii("radii", radii)
    samples = samples_in_double(network, batch)
    inputs = signed_inputs(network, samples, ball.with_radius(radii[-1]))
    effort = Effort(None, boxes, float("inf"), 0.0, steps, root_steps, proofs=False)
    n = len(samples)
    kept = {"safe": np.full(n, -1), "unknown": np.full(n, len(radii)), "tried": np.array(0)}
    if saved is not None:
        kept = {name: np.array(saved[name]) for name in kept}
    safe, unknown = kept["safe"], kept["unknown"]  # places in the grid
    while (wide := unknown - safe > 1).any():
        middle = (safe + unknown) // 2
        place = middle[wide].max()
        rows = np.flatnonzero(wide & (middle == place))
        some = inputs[rows].within(ball.with_radius(radii[place]))
        found = certify_inputs(some, np.zeros_like(some.X), methods, effort)
        held = found.margins > 0.0
        safe[rows[held]], unknown[rows[~held]] = place, place
        kept["tried"] += 1
        if tick is not None:
            tick(int(kept["tried"]), lambda: {name: one.copy() for name, one in kept.items()})
    return np.concatenate([[-np.inf], radii])[safe + 1]
