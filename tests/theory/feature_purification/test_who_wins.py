"""A10: winners that the start decides, and winners that it does not."""

import numpy as np
import pytest

from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.drawing.claims import draw
from theory.drawing.style import house_style
from theory.feature_purification.who_wins import confront, foretold, scores, winners

from legible import faults
from planted.feature_purification import SEEDS, changed, won_run

SIZES = ((16, 4), (36, 4), (49, 4), (64, 4))


def runs_by(by, sizes=SIZES[-1:], **changes):
    return [won_run(d, k, seed, by, **changes) for d, k in sizes for seed in SEEDS]


def test_a10_holds_where_the_start_decides():
    finding = confront(runs_by("start", SIZES, luck=0.0))
    assert finding.verdict == HOLDS, finding.caveats
    assert 0.6 < finding.measured < 1.0
    named = {part.name: part for part in finding.measurements}
    (slope,) = [part for name, part in named.items() if name.startswith("exponent")]
    assert abs(slope.measured) < 0.2 and not slope.decisive
    with house_style():
        assert faults(draw(finding.data)) == []


@pytest.mark.parametrize("by", ["chance", "wrong sign"])
def test_a10_fails_where_something_else_decides(by):
    finding = confront(runs_by(by))
    assert finding.verdict == FAILS
    assert finding.measured < 0.05


def test_a10_fails_where_half_of_it_is_luck():
    assert confront(runs_by("start", luck=0.6)).verdict == FAILS


def test_a10_fails_with_the_start_of_another_run():
    runs = runs_by("start")
    turned = [changed(run, arrays={"weights_clean": other.arrays["weights_clean"],
                                   "labeler": other.arrays["labeler"]})
              for run, other in zip(runs, runs[1:] + runs[:1])]
    finding = confront(turned)
    assert finding.verdict == FAILS and finding.measured < 0.05


def test_a10_is_outside_where_there_are_few_neurons():
    from dataclasses import replace
    runs = [type(run)(replace(run.config, m=3 * run.config.d), run.summary, [], run.arrays)
            for run in runs_by("start")]
    assert confront(runs).verdict == OUTSIDE


def test_the_share_foretold_is_precision_and_recall(rng):
    scored, won = rng.standard_normal((30, 7)), np.zeros((30, 7), bool)
    won.ravel()[np.argsort(-scored.ravel())[[0, 1, 2, 90]]] = True
    assert foretold(scored, won) == 0.75
    assert foretold(scored, scored >= 0.0) == 1.0
    assert np.isnan(foretold(scored, np.zeros((30, 7), bool)))


def test_scores_have_the_sign_of_the_label_and_the_unit_of_the_start():
    run = won_run(64, 4, 0)
    scored = scores(run)
    # standard normal coordinates over sqrt(log d)
    assert scored.std() == pytest.approx(1.0 / np.sqrt(np.log(64)), rel=0.01)
    assert not np.allclose(scored, scores(run, 5))
    assert winners(run).sum() == len(scored) // 10


def test_scores_are_taken_in_the_dictionary():
    run = won_run(64, 4, 0)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((64, 64)))[0]
    turned = changed(run, arrays={"dictionary": Q,
                                  "weights_clean": run.arrays["weights_clean"] @ Q.T})
    assert np.array_equal(winners(turned), winners(run))
    assert np.allclose(scores(turned), (scores(run) / run.arrays["labeler"]) @ Q
                       * run.arrays["labeler"])
