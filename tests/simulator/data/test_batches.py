"""Batches depend on the seed and the step alone, and an epoch visits each sample once."""

import numba
import numpy as np
import pytest

from simulator.data.batches import FreshBatches, TrainingSet, drawn_ahead
from simulator.data.sparse_coding import SparseCoding
from simulator.jit import fixed_threads
from simulator.protocols import Batch
from simulator.randomness import Role, stream

DATA = SparseCoding(12, 3, noise=0.2)


class _Numbered:
    """A data model whose inputs are their own index; it has no codes."""

    def sample(self, n, rng, dtype=np.float64):
        return Batch(np.arange(n, dtype=dtype)[:, None], np.ones(n, dtype))


def _same(first, second):
    return (np.array_equal(first.X, second.X) and np.array_equal(first.y, second.y)
            and np.array_equal(first.codes.toarray(), second.codes.toarray()))


@pytest.mark.parametrize("source", [
    lambda seed: FreshBatches(DATA, 5, seed), lambda seed: TrainingSet(DATA, 20, 5, seed)],
    ids=["fresh", "finite"])
def test_a_batch_depends_on_the_seed_and_the_step_only(source):
    visited = source(3)
    for step in (0, 9, 4):
        visited.batch(step)
    assert _same(visited.batch(7), source(3).batch(7))
    assert not _same(visited.batch(7), source(4).batch(7))
    assert not _same(visited.batch(7), visited.batch(6))


def test_fresh_batches_never_repeat_a_sample():
    batches = FreshBatches(DATA, 50, 0)
    first = np.concatenate([batches.batch(step).X[:, 0] for step in range(20)])
    assert len(np.unique(first)) == 20 * 50


def test_fresh_batches_draw_from_the_training_stream():
    drawn = DATA.sample(5, stream(3, Role.TRAINING_DATA, 7))
    assert _same(FreshBatches(DATA, 5, 3).batch(7), drawn)
    evaluation = DATA.sample(5, stream(3, Role.EVALUATION_DATA, 7))
    assert not np.any(drawn.X == evaluation.X)


@pytest.mark.parametrize("size, batch_size", [(12, 3), (12, 12), (12, 1), (5, 4)])
def test_an_epoch_visits_each_sample_at_most_once_and_all_when_the_sizes_divide(size, batch_size):
    batches = TrainingSet(_Numbered(), size, batch_size, seed=0)
    per_epoch = batches.batches_per_epoch
    assert per_epoch == size // batch_size
    for epoch in range(3):
        steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
        seen = np.concatenate([batches.batch(step).X[:, 0] for step in steps])
        assert len(seen) == per_epoch * batch_size
        assert len(np.unique(seen)) == len(seen)
        assert set(seen) <= set(range(size))


def test_left_over_samples_get_their_turn_in_a_later_order():
    batches = TrainingSet(_Numbered(), 5, 4, seed=0)
    seen = {float(x) for step in range(20) for x in batches.batch(step).X[:, 0]}
    assert seen == set(range(5))


def test_epochs_have_different_orders():
    batches = TrainingSet(_Numbered(), 30, 30 // 2, seed=0)
    orders = {tuple(np.concatenate([batches.batch(2 * epoch).X[:, 0],
                                    batches.batch(2 * epoch + 1).X[:, 0]]))
              for epoch in range(5)}
    assert len(orders) == 5


@pytest.mark.parametrize("batch_size", [8, 9, 1000])
def test_a_batch_of_the_whole_set_is_full_batch_descent(batch_size):
    batches = TrainingSet(DATA, 8, batch_size, seed=0)
    assert batches.batches_per_epoch == 1
    assert batches.batch(0) is batches.batch(5) is batches.samples
    assert len(batches.samples) == 8


def test_the_samples_are_drawn_once_and_rows_stay_together():
    batches = TrainingSet(DATA, 20, 5, seed=1)
    rows = {x.tobytes(): (y, z.tobytes()) for x, y, z in zip(
        batches.samples.X, batches.samples.y, batches.samples.codes.toarray())}
    assert len(rows) == 20
    for step in range(8):
        batch = batches.batch(step)
        for x, y, z in zip(batch.X, batch.y, batch.codes.toarray()):
            assert rows[x.tobytes()] == (y, z.tobytes())


def test_data_without_codes_give_batches_without_codes():
    assert TrainingSet(_Numbered(), 6, 2, seed=0).batch(1).codes is None


@pytest.mark.parametrize("make", [
    lambda dtype: FreshBatches(DATA, 5, 0, dtype), lambda dtype: TrainingSet(DATA, 9, 5, 0, dtype)])
def test_the_type_of_the_run_reaches_the_samples(make):
    single, double = make(np.float32).batch(2), make(np.float64).batch(2)
    assert single.X.dtype == single.y.dtype == np.float32
    assert double.X.dtype == np.float64
    assert np.array_equal(single.y, double.y)


@pytest.mark.parametrize("make, message", [
    (lambda: FreshBatches(DATA, 0, 0), "batch_size: expected at least 1"),
    (lambda: TrainingSet(DATA, 0, 5, 0), "size: expected at least 1"),
    (lambda: TrainingSet(DATA, 5, 0, 0), "batch_size: expected at least 1"),
    (lambda: FreshBatches(DATA, 5, -1).batch(0), "seed: expected at least 0"),
    (lambda: FreshBatches(DATA, 5, 0).batch(-1), "step: expected at least 0"),
])
def test_bad_sizes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("number", [1, 2])
def test_batches_drawn_ahead_are_the_same_and_never_too_many(number):
    if number > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("one core")
    asked = []

    class Told(FreshBatches):
        def batch(self, step):
            asked.append(step)
            if step == 5:
                raise ValueError("no batch 5")
            return super().batch(step)

    source = Told(SparseCoding(30, 3), 20, seed=4)
    with fixed_threads(number), drawn_ahead(source, 5) as batch:
        for step in (2, 3, 4, 2):
            wanted = FreshBatches(SparseCoding(30, 3), 20, seed=4).batch(step)
            assert np.array_equal(batch(step).X, wanted.X)
    assert max(asked) == 4
    with fixed_threads(number), drawn_ahead(source, 9) as batch:
        batch(4)  # its successor fails, which nobody has asked for yet
        with pytest.raises(ValueError, match="no batch 5"):
            batch(5)
