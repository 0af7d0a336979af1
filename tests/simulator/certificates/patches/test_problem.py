"""The boxes of a patch problem, and how they are shown."""

import numpy as np

from simulator.certificates.patches.problem import Boxes

from planted.patch_certificates import certified, problem_of, trained

# --- the search ---------------------------------------------------------------------------


def test_boxes_are_copied_when_taken():
    boxes = Boxes.room(3, 2)
    boxes.bounds[:] = [1.0, 2.0, 3.0]
    some = boxes.take(np.array([2, 0]))
    some.bounds[0] = 9.0
    assert boxes.bounds.tolist() == [1.0, 2.0, 3.0]
    boxes.put(np.array([1, 2]), some)
    assert boxes.bounds.tolist() == [1.0, 9.0, 1.0]


# --- bad input ----------------------------------------------------------------------------


def test_everything_is_shown_in_one_line():
    W, X, y = trained(robust=True)
    shown = repr(certified(W, 3, 2.0, X, y, 1.0, boxes=10))
    assert shown.startswith("PatchCertificates(n=3: 3 certified, 0 broken, 0 open, by interval")
    problem = problem_of(W, X[0], y[0], 1 - y[0], 3.0, 2.0, 1.0)
    assert repr(problem) == "PatchProblem(P=41, m=6, d=30, q=3, rho=2, radius=1)"
    assert repr(Boxes.room(3, 2)) == "Boxes(c=3, of 1 patches, neurons=2)"
