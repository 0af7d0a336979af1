"""The figures of the claims of the paper."""

import pytest

from theory import claims
from theory.claim import confront_all
from theory.drawing.claims import draw
from theory.drawing.style import house_style

from legible import faults
from planted.ntk_evolution import transfer_run

CLAIMS = claims("ntk_evolution")


@pytest.fixture(scope="module")
def pictures():
    findings = confront_all([transfer_run(seed) for seed in range(4)], CLAIMS)
    return {finding.id: finding.data for finding in findings}


def test_every_figure_can_be_read(pictures):
    assert set(pictures) == {"C1", "C2", "C3", "C4", "C5"}
    with house_style():
        assert {name: faults(draw(picture)) for name, picture in pictures.items()} == dict.fromkeys(
            pictures, [])


def test_what_decides_c4_is_in_its_figure(pictures):
    """Both differences, as the accuracies of three trainings have them."""
    levels, gains = pictures["C4"].panels
    strong, weak, benign = (series.values for series in levels.series[:3])
    assert (gains.series[0].values == weak - benign).all()
    assert (gains.series[1].values == strong - weak).all()
    accepted = next(curve for curve in gains.theory if curve.label)
    assert list(accepted.y) == [0.0, 0.0] and accepted.x[0] > 0.0


def test_what_decides_c1_is_in_its_figure(pictures):
    _, share, lazy, _ = pictures["C1"].panels
    assert list(share.theory[0].y) == [0.5, 0.5] and list(lazy.theory[0].y) == [0.1, 0.1]
