"""What flips a network: told of planted ones, in shares, exponents and words."""

import math

import numpy as np
import pytest

from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.networks.symmetric_relu import SymmetricReLU
from theory.claim import Size
from theory.feature_purification import phase_picture
from theory.feature_purification.phase_picture import confront, first_order_radius
from theory.feature_purification.what_flips import NAMES, Flip, chain, mechanism, what_flips

from planted.feature_purification import changed, phase_runs, planted_config, planted_run


@pytest.fixture(scope="module")
def planted():
    """Dense before, pure after."""
    return planted_run(144, 8, 0)


def test_the_dense_network_is_flipped_through_its_mixtures(planted):
    found = what_flips(planted, "clean")
    assert found.shares["mixture"] > 0.9
    assert found.shares["loser"] == 0.0


def test_the_pure_network_is_flipped_through_its_features(planted):
    found = what_flips(planted, "adversarial")
    assert found.shares["pure"] > 0.7
    assert found.shares["shifted"] + found.shares["closed"] > 0.5


def test_a_rotated_run_is_seen_in_its_dictionary():
    d, settings = 64, {"dictionary": "random", "labeler": "signs"}
    data = PurificationExperiment(planted_config(d, 8, 0, **settings)).data
    C = np.tile(0.75 * np.diag(data.signs) + 0.25 * data.signs, (2, 1))
    W = C @ data.dictionary.T
    found = what_flips(planted_run(d, 8, 0, weights=(W, W), **settings), "clean")
    assert found.shares["mixture"] > 0.9
    assert found.dense == pytest.approx(0.25, rel=1e-6)


def test_a_network_that_is_never_right_has_no_first_order(planted):
    wrong = changed(planted, clean={"r50": 0.0})
    assert what_flips(wrong, "clean").first_order == math.inf


def test_only_samples_that_flip_are_counted(planted):
    """At a radius at which none flips there is nothing to share out."""
    still = changed(planted, clean={"r50": 1e-6})
    assert all(math.isnan(share) for share in what_flips(still, "clean").shares.values())


def test_the_first_order_radius_is_that_of_the_gradient(planted):
    simulation = PurificationExperiment(planted.config)
    network = SymmetricReLU(planted.arrays["weights_clean"], float(planted.arrays["bias"]))
    test = simulation.test_set
    margins = network.margins(test.X, test.y)
    norms = np.linalg.norm(network.margin_gradient(test.X, test.y), axis=1)
    expected = np.median(margins / norms) / planted.summary["clean"]["r50"]
    assert what_flips(planted, "clean").first_order == pytest.approx(expected)


def test_a_network_of_equal_neurons_has_the_active_features_and_ratio_it_was_given():
    """Without noise and with all of a code's neurons open: two neurons a feature, r = 0.02."""
    d, ratio = 100, 0.02
    weights = np.tile((1.0 - ratio) * np.eye(d) + ratio, (2, 1))
    run = planted_run(d, 4, 0, weights=(weights, weights), noise=0.0)
    found = what_flips(run, "clean")
    codes = PurificationExperiment(run.config).test_set.X[:200]
    assert found.active == pytest.approx(np.mean(np.count_nonzero(codes, axis=1)), rel=0.02)
    assert found.dense == pytest.approx(ratio, rel=1e-6)
    active, margin = found.active, found.margin
    # all in units of two unit peaks; the bias of 0.1 takes less than a fifth off each feature
    assert 0.8 < found.slope * first_order_radius(d, active, ratio) / (1 + active * ratio) < 1.2
    assert 0.5 < margin < 1.5


def flip(**changes):
    """A mechanism that is written down."""
    names = ("shifted", "opened", "closed", "pure", "mixture", "feature", "loser")
    return Flip(dict.fromkeys(names, 0.5), 1.0, 1.0, 1.0, 1.0, 1.0)._replace(**changes)


def test_the_chain_of_exponents_is_that_of_its_parts():
    """Flips planted with the exponents behind the reading show those, beside the brackets."""
    low, high = Size("lottery", 64, 5), Size("lottery", 512, 12)
    seen = {size: flip(slope=size.d**0.3, active=size.d**0.4, dense=size.d**-0.6)
            for size in (low, high)}
    assert chain(0.4, low, high, seen) == "0.00 (0.00), 0.30 (0.30), 0.40 (0.40), -0.60 (-0.60)"


@pytest.mark.parametrize("mixture, clean, purified", [
    (0.9, "as its reading", "not as its reading"), (0.1, "not as its reading", "as its reading")])
def test_the_caveats_say_whether_the_reading_has_the_mechanism_right(mixture, clean, purified):
    for network, expected in (("clean", clean), ("adversarial", purified)):
        said = mechanism(network, {Size("lottery", 64, 4): flip(
            shares=flip().shares | {"mixture": mixture})})
        assert said.startswith(f"what flips the {NAMES[network]} at r50")
        assert f"dense mixtures, {expected} assumes" in said
        assert f"{100 * mixture:.0f} % goes through dense mixtures" in said


def test_runs_without_weights_say_so_and_runs_with_weights_say_what_flips_them(rng, monkeypatch):
    bare = phase_runs(rng)
    assert "what flips the networks is not told: the runs hold no weights" in confront(bare).caveats
    monkeypatch.setattr(phase_picture, "what_flips", lambda run, network: flip())
    notes = confront([changed(run, arrays={"weights_clean": np.eye(2)}) for run in bare]).caveats
    assert sum(note.startswith("what flips the ") for note in notes) == 2
    assert sum(note.startswith("exponents from end to end") for note in notes) == 1
