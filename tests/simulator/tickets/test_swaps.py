"""Greedy swaps never raise the objective and decide as the loop decides."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.tickets import masks
from simulator.tickets.dynamics import Dynamics
from simulator.tickets.swaps import greedy_swaps, propose_neuron_swaps, propose_swaps

from planted.tickets import SCALE, B, case, large
from references import tickets as naive


def objective(gap, gamma=1.0):
    return gap.outputs + gamma**2 * gap.kernel


@given(st.integers(0, 10**6))
def test_swaps_never_raise_the_objective_and_keep_the_count(seed):
    W, mask, X = case(seed, n=4, m=5, d=4)
    dynamics, rng = Dynamics(W, B, X), np.random.default_rng(seed)
    swaps = propose_swaps(mask, 30, rng)
    found, accepted = greedy_swaps(dynamics, mask, swaps, SCALE, None, 0.7, 0.4)
    values = [naive.objective(W, chosen, B, B, X, dynamics.outputs, dynamics.target, SCALE, 0.7,
                              0.4) for chosen in (mask, found)]
    assert found.sum() == mask.sum()
    assert values[1] < values[0] if accepted else values[1] == values[0]


def test_swaps_decide_as_the_loop_decides():
    W, mask, X = case(7, n=4, m=5, d=4)
    dynamics = Dynamics(W, B, X)
    swaps = propose_swaps(mask, 60, np.random.default_rng(0))
    found, accepted = greedy_swaps(dynamics, mask, swaps, SCALE, 0.5, 0.7, 0.4)

    def value(chosen):
        return naive.objective(W, chosen, 0.5, B, X, dynamics.outputs, dynamics.target, SCALE,
                               0.7, 0.4)

    wanted, count, best = mask.copy(), 0, value(mask)
    for i, j, k, l in swaps:
        if wanted[i, j] != wanted[k, l]:
            trial = wanted.copy()
            trial[i, j], trial[k, l] = wanted[k, l], wanted[i, j]
            if value(trial) < best - 1e-12:
                wanted, count, best = trial, count + 1, value(trial)
    assert count == accepted >= 3
    np.testing.assert_array_equal(found, wanted)


def test_whole_neurons_are_swapped_whole():
    dynamics, rng = large(1)
    mask = masks.neuron_mask((80, 20), 0.3, rng)
    found, accepted = greedy_swaps(dynamics, mask, propose_neuron_swaps(mask, 200, rng), 1.0)
    assert accepted > 5 and set(found.sum(axis=1)) == {0, 20} and found.sum() == mask.sum()
    assert objective(dynamics.gap(found)) < objective(dynamics.gap(mask))


def test_proposals_drop_a_kept_weight_for_a_dropped_one(rng):
    _, mask, _ = case(8, m=30, d=20)
    swaps = propose_swaps(mask, 500, rng)
    assert mask[swaps[:, 0], swaps[:, 1]].all() and not mask[swaps[:, 2], swaps[:, 3]].any()
    assert 0.2 < np.mean(swaps[:, 0] == swaps[:, 2]) < 0.8
    assert len(propose_swaps(np.ones((3, 3), bool), 5, rng)) == 0
    assert len(propose_neuron_swaps(np.zeros((3, 3), bool), 5, rng)) == 0
