"""The search by straight-through gradients: what it keeps, finds and says on the way."""

import pytest

from simulator.heartbeat import listening
from simulator.tickets.masks import largest
from simulator.tickets.search import straight_through
from simulator.tickets.swaps import greedy_swaps, propose_swaps

from planted.tickets import large

# --- kernel and gradient --------------------------------------------------------------------


def test_every_step_and_every_hundred_swaps_are_heard():
    dynamics, rng = large()
    beats = []
    with listening(lambda: beats.append(1)):
        mask = straight_through(lambda step: dynamics, rng.random((80, 20)), 0.3, steps=3)
    assert len(beats) >= 3
    beats.clear()
    with listening(lambda: beats.append(1)):
        greedy_swaps(dynamics, mask, propose_swaps(mask, 1000, rng))
    assert len(beats) >= 10
    assert repr(dynamics) == "Dynamics(n=60, m=80, d=20, bias=0.7)"


# --- searches -------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [False, True])
def test_the_search_keeps_what_it_was_told_to_keep(whole):
    dynamics, rng = large()
    mask = straight_through(lambda step: dynamics, rng.random((80, 20)), 0.3, 1.0, steps=3,
                            whole_neurons=whole)
    assert mask.sum() == 0.3 * 80 * 20
    assert not whole or set(mask.sum(axis=1)) == {0, 20}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_the_search_finds_a_smaller_objective_than_where_it_began(seed, weights):
    dynamics, rng = large(seed)
    scores, keep = rng.random((80, 20)), 0.3
    gamma, output_weight = weights

    def value(mask):
        gap = dynamics.gap(mask, keep**-0.5)
        return output_weight * gap.outputs + gamma**2 * gap.kernel

    found = straight_through(lambda step: dynamics, scores, keep, keep**-0.5, None, 40, gamma,
                             output_weight)
    assert value(found) < 0.5 * value(largest(scores, found.sum()))
