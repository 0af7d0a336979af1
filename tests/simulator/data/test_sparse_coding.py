"""The law of the sparse-coding samples, against closed forms and a loop sampler.

Statistical tests: seeds are fixed, so nothing here is flaky; a test says how many standard
errors (sigmas) it allows, or which p-value it needs. 5 sigma is p = 6e-7; p > 1e-6 asks the same.
"""

import tracemalloc

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array

from simulator.data import sparse_coding
from simulator.data.sparse_coding import SparseCoding, random_dictionary, random_signs

from references import symmetric_relu as naive

SIGMAS = 5.0
P_VALUE = 1e-6
N = 20_000


def z_score(count, trials, p):
    """Deviation of a binomial count from its mean, in standard deviations."""
    return (count - trials * p) / np.sqrt(trials * p * (1.0 - p))


def standard_error(values):
    return values.std() / np.sqrt(values.size)


@pytest.fixture(scope="module")
def free():
    """A data model without a label margin, so that the coordinates are independent."""
    return SparseCoding(40, 5, c_strong=1.0, c_weak=0.5, weak_high=1.5, label_margin=0.0)


@pytest.fixture(scope="module")
def free_batch(free):
    return free.sample(N, np.random.default_rng(1))


@pytest.fixture(scope="module")
def free_codes(free_batch):
    return free_batch.codes.toarray()


# --- the code -----------------------------------------------------------------------------


def test_a_coordinate_is_on_with_probability_p(free, free_codes):
    p = (1.0 + 0.5 * 5) / 40
    assert free.activation_probability == p
    assert abs(z_score(np.count_nonzero(free_codes), free_codes.size, p)) < SIGMAS
    # no coordinate is preferred: chi-square over the 40 coordinates
    on = np.count_nonzero(free_codes, axis=0)
    spread = ((on - N * p) ** 2 / (N * p * (1 - p))).sum()
    assert P_VALUE < stats.chi2(40).sf(spread) < 1.0 - P_VALUE


def test_strong_and_weak_coordinates_split_as_c_strong_to_c_weak_k(free_codes):
    sizes = np.abs(free_codes[free_codes != 0.0])
    assert abs(z_score((sizes == 1.0).sum(), len(sizes), 1.0 / (1.0 + 0.5 * 5))) < SIGMAS


def test_weak_sizes_are_uniform_in_their_range(free_codes):
    sizes = np.abs(free_codes[free_codes != 0.0])
    weak = sizes[sizes != 1.0] * np.sqrt(5.0)
    assert weak.min() >= 1.0 and weak.max() <= 1.5
    assert stats.kstest(weak, stats.uniform(1.0, 0.5).cdf).pvalue > P_VALUE


def test_signs_are_symmetric_and_independent_of_the_size(free_codes):
    values = free_codes[free_codes != 0.0]
    for part in (np.abs(values) == 1.0, np.abs(values) != 1.0):
        assert abs(z_score((values[part] > 0.0).sum(), part.sum(), 0.5)) < SIGMAS


def test_the_second_moment_has_its_closed_form(free_codes):
    squares = free_codes.ravel() ** 2
    # E[z_j^2] = (c_strong + c_weak k E[size^2]) / d and E[u^2] = 19/12 for u uniform in [1, 1.5]
    wanted = (1.0 + 0.5 * 19 / 12) / 40
    assert abs(squares.mean() - wanted) < SIGMAS * standard_error(squares)


def test_the_support_size_is_binomial(free, free_codes):
    # the coordinates of a code are switched on independently: chi-square against the law
    sizes = np.bincount(np.count_nonzero(free_codes, axis=1), minlength=12)
    law = stats.binom(40, free.activation_probability)
    expected = N * np.append(law.pmf(np.arange(11)), law.sf(10))
    observed = np.append(sizes[:11], sizes[11:].sum())
    assert stats.chisquare(observed, expected).pvalue > P_VALUE


def test_coordinates_are_pairwise_uncorrelated(free_codes):
    # an empirical correlation has standard deviation 1/sqrt(N); 780 pairs at 5.5 sigma: 3e-5
    pairs = np.triu_indices(40, 1)
    for codes in (free_codes, free_codes != 0.0):
        assert np.abs(np.corrcoef(codes.T)[pairs]).max() < 5.5 / np.sqrt(N)


def test_samples_are_uncorrelated(free, free_codes):
    # E<z_n, z_{n+1}> = 0; 5 sigma
    products = np.einsum("nj,nj->n", free_codes[:-1], free_codes[1:])
    assert abs(products.mean()) < SIGMAS * standard_error(products)
    support = (free_codes != 0.0) - free.activation_probability
    overlap = np.einsum("nj,nj->n", support[:-1], support[1:])
    assert abs(overlap.mean()) < SIGMAS * standard_error(overlap)


def test_two_generators_give_uncorrelated_codes_and_one_generator_goes_on(free, free_codes):
    again = free.sample(N, np.random.default_rng(1)).codes.toarray()
    assert np.array_equal(again, free_codes)
    rng = np.random.default_rng(2)
    for _ in range(2):
        products = np.einsum("nj,nj->n", free_codes, free.sample(N, rng).codes.toarray())
        assert abs(products.mean()) < SIGMAS * standard_error(products)
    first, second = (free.sample(50, rng).X for _ in range(2))
    assert not np.any(first == second)


def test_codes_follow_the_law_of_a_loop_sampler(free, free_codes, rng):
    loop = np.array([naive.draw_code(40, 5, 1.0, 0.5, 1.0, 1.5, rng) for _ in range(1500)])
    assert stats.ks_2samp(loop[loop != 0.0], free_codes[free_codes != 0.0]).pvalue > P_VALUE
    counts = np.count_nonzero(loop, axis=1), np.count_nonzero(free_codes, axis=1)
    difference = counts[0].mean() - counts[1].mean()
    assert abs(difference) < SIGMAS * np.hypot(*map(standard_error, counts))


def test_every_coordinate_is_on_when_p_is_one(rng):
    codes = SparseCoding(3, 1, c_strong=3.0, c_weak=0.0).sample(500, rng).codes
    assert np.array_equal(np.abs(codes.toarray()), np.ones((500, 3)))


class _ShortGaps:
    """A generator whose every gap is 1, the luckiest draw of all."""

    def geometric(self, p, size):
        return np.ones(size, int)


def test_positions_go_on_when_the_first_draw_of_gaps_falls_short():
    positions = sparse_coding._bernoulli_positions(1000, 0.01, _ShortGaps())
    assert np.array_equal(positions, np.arange(1000))


def test_memory_of_the_codes_grows_with_their_entries_and_not_with_n_d():
    peaks = {}
    for d in (20_000, 80_000):
        model = SparseCoding(d, 10, label_margin=0.0)
        rng = np.random.default_rng(0)
        tracemalloc.start()
        codes = model._codes(2000, rng)
        peaks[d] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # a dozen arrays of 8 bytes an entry live at once at most; n d doubles are 320 MB
        assert peaks[d] < 12 * 8 * (codes.nnz + 2000) + 100_000
    assert peaks[80_000] < 1.1 * peaks[20_000]


def test_a_rare_margin_costs_time_and_not_memory():
    # one code in 650 has |<w*, z>| >= 4.5: drawing all at once would take over 100 MB, while
    # the 1000 accepted samples take 0.8 MB and their codes less
    tracemalloc.start()
    SparseCoding(100, 4, label_margin=4.5).sample(1000, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


# --- the input ----------------------------------------------------------------------------


def test_noise_is_gaussian_of_mean_square_sigma_squared(free, free_batch, free_codes):
    xi = free_batch.X - free_codes
    # ||xi||^2 d / sigma^2 is chi-square with d degrees: the mean over N has relative sd
    # sqrt(2 / (N d)); 5 sigma
    mean_square = (xi**2).sum(axis=1).mean()
    assert abs(mean_square / free.noise**2 - 1.0) < SIGMAS * np.sqrt(2.0 / (N * 40))
    law = stats.norm(scale=free.noise / np.sqrt(40))
    assert stats.kstest(xi[:500].ravel(), law.cdf).pvalue > P_VALUE


def test_noise_is_independent_of_the_code(free_batch, free_codes):
    products = np.einsum("nj,nj->n", free_codes, free_batch.X - free_codes)
    assert abs(products.mean()) < SIGMAS * standard_error(products)


def test_without_noise_the_input_is_the_code_in_the_dictionary(rng):
    M = random_dictionary(12, rng)
    seed = np.random.SeedSequence(5)
    plain = SparseCoding(12, 3, noise=0.0).sample(200, np.random.default_rng(seed))
    turned = SparseCoding(12, 3, noise=0.0, dictionary=M).sample(200, np.random.default_rng(seed))
    assert np.array_equal(plain.X, plain.codes.toarray())
    assert np.array_equal(turned.codes.toarray(), plain.codes.toarray())
    # sums of at most 12 products of size 1: a few rounding errors of 1e-16
    assert np.allclose(turned.X, plain.X @ M.T, rtol=0.0, atol=1e-14)


def test_the_dictionary_does_not_touch_the_noise(rng):
    M = random_dictionary(12, rng)
    batches = [SparseCoding(12, 3, dictionary=D).sample(200, np.random.default_rng(3))
               for D in (None, M)]
    plain, turned = (batch.X - batch.codes.toarray() @ D.T
                     for batch, D in zip(batches, (np.eye(12), M)))
    assert np.allclose(plain, turned, rtol=0.0, atol=1e-14)


def test_single_precision_has_the_same_codes_and_labels():
    for dictionary in (None, random_dictionary(20, np.random.default_rng(0))):
        model = SparseCoding(20, 4, noise=0.0, dictionary=dictionary)
        double, single = (model.sample(300, np.random.default_rng(9), dtype)
                          for dtype in (np.float64, np.float32))
        assert double.X.dtype == np.float64 and single.X.dtype == np.float32
        assert single.y.dtype == np.float32 and np.array_equal(single.y, double.y)
        assert np.array_equal(single.codes.toarray(), double.codes.toarray())
        # |x| <= 2, rounded once or twice to 24 bits
        assert np.abs(single.X - double.X).max() < 4e-7


# --- the label ----------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_labels_are_balanced(margin):
    batch = SparseCoding(40, 5, label_margin=margin).sample(N, np.random.default_rng(4))
    assert stats.binomtest(int((batch.y > 0).sum()), N).pvalue > P_VALUE


@pytest.mark.parametrize("labeler", [
    None, np.where(np.arange(30) % 3, 1.0, -1.0), np.linspace(-2.0, 3.1, 30)],
    ids=["ones", "signs", "sizes"])
def test_the_label_is_the_sign_of_the_score_and_the_margin_is_respected(labeler):
    model = SparseCoding(30, 4, label_margin=0.7, labeler=labeler)
    batch = model.sample(2000, np.random.default_rng(6))
    score = batch.codes.toarray() @ (np.ones(30) if labeler is None else labeler)
    assert len(batch) == 2000
    assert np.array_equal(batch.y, np.sign(score))
    # the test adds the same few products in another order: 1e-12 is far above rounding
    assert np.abs(score).min() >= 0.7 - 1e-12
    assert 0.3 < (batch.y > 0).mean() < 0.7


def test_rejection_gives_the_conditional_law(free, free_codes):
    # filter unconditioned codes by hand and compare support sizes; 5 sigma of both samples
    score = free_codes.sum(axis=1)
    by_hand = np.count_nonzero(free_codes[np.abs(score) >= 0.5], axis=1)
    model = SparseCoding(40, 5, weak_high=1.5, label_margin=0.5)
    codes = model.sample(N, np.random.default_rng(8)).codes
    drawn = np.diff(codes.indptr)
    difference = by_hand.mean() - drawn.mean()
    assert abs(difference) < SIGMAS * np.hypot(standard_error(by_hand), standard_error(drawn))
    assert stats.ks_2samp(np.abs(score)[np.abs(score) >= 0.5],
                          np.abs(codes.sum(axis=1))).pvalue > P_VALUE


def test_a_rare_margin_is_drawn_in_several_blocks_that_fit_together(monkeypatch):
    model = SparseCoding(30, 4, label_margin=2.2)
    blocks = []
    draw = SparseCoding._codes
    monkeypatch.setattr(SparseCoding, "_codes",
                        lambda self, n, rng: blocks.append(n) or draw(self, n, rng))
    batch = model.sample(400, np.random.default_rng(0))
    assert len(blocks) > 1
    assert batch.codes.shape == (400, 30) and batch.X.shape == (400, 30)
    score = batch.codes.toarray().sum(axis=1)
    assert np.abs(score).min() >= 2.2 - 1e-12
    assert np.array_equal(batch.y, np.sign(score))
    # rows of X belong to rows of codes: what is left is noise of norm 0.1 (5 times it)
    assert np.linalg.norm(batch.X - batch.codes.toarray(), axis=1).max() < 0.5


def test_ties_are_decided_by_a_fair_coin():
    # p = 0.01 in 10 coordinates: 90 % of the codes are empty, so <w*, z> = 0
    model = SparseCoding(10, 1, c_strong=0.1, c_weak=0.0, label_margin=0.0)
    batch = model.sample(N, np.random.default_rng(3))
    tied = np.diff(batch.codes.indptr) == 0
    assert 0.85 * N < tied.sum() < 0.95 * N
    assert set(np.unique(batch.y)) == {-1.0, 1.0}
    assert stats.binomtest(int((batch.y[tied] > 0).sum()), int(tied.sum())).pvalue > P_VALUE
    assert np.array_equal(model.sample(N, np.random.default_rng(3)).y, batch.y)


def test_a_margin_no_code_reaches_is_named_instead_of_looping_forever(rng):
    model = SparseCoding(4, 1, c_strong=1.0, c_weak=0.0, label_margin=100.0)
    with pytest.raises(ValueError, match="label_margin: 0 of .* codes have"):
        model.sample(1, rng)


# --- derived quantities -------------------------------------------------------------------


def test_no_sample_at_all_has_the_right_shapes(rng):
    for dictionary in (None, np.eye(6)):
        batch = SparseCoding(6, 2, dictionary=dictionary).sample(0, rng, np.float32)
        assert batch.X.shape == (0, 6) and batch.y.shape == (0,)
        assert batch.codes.shape == (0, 6) and len(batch) == 0
        assert batch.X.dtype == batch.y.dtype == np.float32


def test_the_dense_direction_is_the_labeler_in_the_dictionary(rng):
    w, M = random_signs(9, rng), random_dictionary(9, rng)
    assert np.allclose(SparseCoding(9, 2, labeler=w).dense_direction, w / 3.0, atol=1e-15)
    direction = SparseCoding(9, 2, dictionary=M, labeler=w).dense_direction
    assert np.allclose(direction, M @ w / 3.0, atol=1e-14)  # ||M w|| = ||w|| = 3
    assert np.array_equal(SparseCoding(9, 2).signs, np.ones(9))


def test_growth_rate_in_closed_form(rng):
    # d = 1, always on: y z = 1, so g0 = 1/2 exactly
    assert SparseCoding(1, 1, c_strong=1.0, c_weak=0.0).growth_rate(rng, 1000) == 0.5
    # d = 2, z_j = +-1 with probability 1/2: alone it decides the label (1), with an equal
    # partner too (1), with an opposite one a coin does (0): E = 1/2 (1/2 + 1/4) = 3/8
    # each sample's summand is at most 1 in size, so the mean has sd < 1/sqrt(N); 5 sigma
    two = SparseCoding(2, 1, c_strong=1.0, c_weak=0.0, label_margin=0.0)
    assert abs(two.growth_rate(rng, N) - 3.0 / 16.0) < SIGMAS * 0.5 / np.sqrt(N)


def test_growth_rate_equals_a_brute_force_estimate(rng):
    w = np.array([1.0, -2.0, 1.5, -1.0, 1.0, 1.0, -1.0, 0.5])
    model = SparseCoding(8, 3, labeler=w, label_margin=0.4)
    pulls = []
    while len(pulls) < 6000:
        z = naive.draw_code(8, 3, 1.0, 0.5, 1.0, 1.2, rng)
        score = naive.dot(w, z)
        if abs(score) >= 0.4:
            strong = [np.sign(score) * np.sign(w[j]) * z[j] for j in range(8) if abs(z[j]) == 1.0]
            pulls.append(0.5 * sum(strong) / 8)
    pulls = np.array(pulls)
    # 5 standard errors of the brute-force mean and of an estimate from four times its sample
    error = standard_error(pulls) * np.sqrt(1.0 + 0.25)
    assert abs(model.growth_rate(rng, 24_000) - pulls.mean()) < SIGMAS * error


def test_random_dictionaries_are_orthonormal_and_symmetric():
    rng = np.random.default_rng(0)
    matrices = np.array([random_dictionary(3, rng) for _ in range(2000)])
    assert np.abs(np.swapaxes(matrices, 1, 2) @ matrices - np.eye(3)).max() < 1e-14
    # Haar: every entry has mean 0 and variance 1/d (a bare QR has a biased diagonal); 5 sigma
    assert np.abs(matrices.mean(axis=0)).max() < SIGMAS / np.sqrt(3 * 2000)
    # the first entry squared is Beta(1/2, (d-1)/2)
    assert stats.kstest(matrices[:, 0, 0] ** 2, stats.beta(0.5, 1.0).cdf).pvalue > P_VALUE


def test_random_signs_are_fair(rng):
    signs = random_signs(10_000, rng)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(z_score((signs > 0).sum(), 10_000, 0.5)) < SIGMAS


# --- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("parameters, error, message", [
    (dict(d=0), ValueError, "d: expected at least 1, got 0"),
    (dict(d=4.0), TypeError, "d: expected an integer, got 4.0"),
    (dict(d=True), TypeError, "d: expected an integer"),
    (dict(k=0.5), ValueError, "k: expected at least 1, got 0.5"),
    (dict(k=9), ValueError, "k: expected at most d = 8, got 9"),
    (dict(k="3"), TypeError, "k: expected a number"),
    (dict(k=np.nan), ValueError, "k: expected a finite number"),
    (dict(c_strong=-1.0), ValueError, "c_strong: expected at least 0.0, got -1.0"),
    (dict(c_weak=-0.1), ValueError, "c_weak: expected at least 0.0"),
    (dict(c_strong=9.0), ValueError, "expected at most d = 8, got 10"),
    (dict(c_strong=0, c_weak=0), ValueError, "got 0: nearly every code"),
    (dict(c_strong=1e-15, c_weak=0), ValueError, "got 1e-15: nearly every code"),
    (dict(noise=-0.1), ValueError, "noise: expected at least 0.0"),
    (dict(noise=np.inf), ValueError, "noise: expected a finite number"),
    (dict(label_margin=-1), ValueError, "label_margin: expected at least 0.0"),
    (dict(weak_low=-1), ValueError, "weak_low: expected at least 0.0"),
    (dict(weak_high=0.5), ValueError, "weak_high: expected at least 1.0, got 0.5"),
    (dict(dictionary=np.ones((8, 8))), ValueError, "dictionary: expected an orthonormal"),
    (dict(dictionary=np.eye(7)), ValueError, r"dictionary: expected shape \(8, 8\)"),
    (dict(labeler=np.ones(7)), ValueError, r"labeler: expected shape \(8,\), got \(7,\)"),
    (dict(labeler=np.zeros(8)), ValueError, "labeler: expected finite nonzero entries"),
    (dict(labeler=np.full(8, np.nan)), ValueError, "labeler: expected finite nonzero"),
])
def test_bad_parameters_are_named(parameters, error, message):
    with pytest.raises(error, match=message):
        SparseCoding(**dict(d=8, k=2) | parameters)


def test_bad_counts_are_named(rng):
    model = SparseCoding(8, 2)
    with pytest.raises(ValueError, match="n: expected at least 0, got -1"):
        model.sample(-1, rng)
    with pytest.raises(TypeError, match="n: expected an integer"):
        model.sample(2.0, rng)
    with pytest.raises(ValueError, match="samples: expected at least 1"):
        model.growth_rate(rng, 0)
    for draw in (random_dictionary, random_signs):
        with pytest.raises(ValueError, match="d: expected at least 1"):
            draw(0, rng)


def test_codes_are_a_sparse_array_with_ascending_columns(free_batch):
    codes = free_batch.codes
    assert isinstance(codes, csr_array)
    assert codes.has_canonical_format  # each coordinate once, in order
    assert codes.nnz == np.count_nonzero(codes.toarray())
