"""Samples are certified, broken or open, by whatever method."""

from dataclasses import dataclass

import numpy as np
import pytest

from simulator.certificates.certified import Certified
from simulator.certificates.margins import Certificates
from simulator.certificates.patches.margins import PatchCertificates


@dataclass(frozen=True, repr=False)
class Bounds(Certified):
    margins: np.ndarray
    margins_of: dict
    upper: np.ndarray


BOUNDS = Bounds(np.array([0.2, 0.1, -0.1, 0.0, -1.0]),
                {"quick": np.array([0.1, -0.2, -0.3, np.nan, -2.0]), "slow": np.full(5, np.nan)},
                np.array([0.3, 0.1, 0.4, 0.2, 0.0]))


def test_a_sample_is_certified_above_zero_alone_and_by_no_nan():
    assert BOUNDS.accuracy() == 0.4
    assert BOUNDS.accuracy("quick") == 0.2
    assert BOUNDS.accuracy("slow") == 0.0


def test_it_shows_how_many_are_certified_broken_and_open():
    assert repr(BOUNDS) == "Bounds(n=5: 2 certified, 1 broken, 2 open, by quick, slow)"


@pytest.mark.parametrize("kind", [Certificates, PatchCertificates])
def test_both_kinds_of_certificates_count_alike(kind):
    assert kind.accuracy is Certified.accuracy and kind.__repr__ is Certified.__repr__
