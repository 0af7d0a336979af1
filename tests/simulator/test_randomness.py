"""Streams: the same (seed, role, step) gives the same numbers, any other gives others."""

import itertools

import numpy as np
import pytest

from simulator.randomness import Role, require_generator, stream


def test_a_stream_is_rebuilt_from_its_three_integers():
    again = [stream(7, Role.TRAINING_DATA, 3).random(5) for _ in range(2)]
    assert np.array_equal(*again)


def test_no_two_of_seed_role_step_share_numbers():
    keys = itertools.product((0, 1, 2**40), Role, (0, 1, 2, 1000))
    first = {tuple(stream(*key).integers(0, 2**62, 2)) for key in keys}
    assert len(first) == 3 * len(Role) * 4


def test_streams_of_neighbouring_steps_are_uncorrelated():
    # the correlation of N independent pairs has standard deviation 1/sqrt(N); 5 sigma
    draws = [stream(0, Role.TRAINING_DATA, step).standard_normal(4000) for step in range(6)]
    correlation = np.corrcoef(draws)[np.triu_indices(6, 1)]
    assert np.abs(correlation).max() < 5.0 / np.sqrt(4000)


def test_the_roles_of_stored_runs_keep_their_numbers():
    assert [role.value for role in Role][:10] == list(range(10))
    assert (Role.DICTIONARY, Role.TRAINING_DATA, Role.EVALUATION_DATA) == (0, 3, 6)


@pytest.mark.parametrize("seed, step, message", [
    (-1, 0, "seed: expected at least 0"), (0, -1, "step: expected at least 0")])
def test_negative_seeds_and_steps_are_refused(seed, step, message):
    with pytest.raises(ValueError, match=message):
        stream(seed, Role.LABELER, step)


def test_a_seed_is_an_integer():
    with pytest.raises(TypeError, match="seed: expected an integer"):
        stream(0.5, Role.LABELER)


def test_a_generator_goes_through_and_a_seed_is_that_of_numpy():
    rng = np.random.default_rng(3)
    assert require_generator("rng", rng) is rng
    for seed in (3, np.int64(3)):
        again = require_generator("rng", seed)
        assert np.array_equal(again.random(5), np.random.default_rng(3).random(5))


@pytest.mark.parametrize("slip", [None, True, 0.5, "0", np.random, np.random.RandomState(0),
                                  np.random.SeedSequence(0), [0]], ids=str)
def test_what_is_no_generator_is_told(slip):
    with pytest.raises(TypeError, match="^rng: expected a seed or a numpy Generator, got "):
        require_generator("rng", slip)


def test_a_negative_seed_of_a_generator_is_told():
    with pytest.raises(ValueError, match="^rng: expected at least 0, got -1$"):
        require_generator("rng", -1)
