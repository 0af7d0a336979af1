"""Input checks name the argument, say what was expected and what came."""

import numpy as np
import pytest

from simulator import checks
from simulator.protocols import Batch

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def test_numbers_within_bounds_come_back_as_python_numbers():
    assert checks.require_int("m", np.int32(3), low=3, high=3) == 3
    assert type(checks.require_int("m", np.int64(3))) is int
    assert checks.require_real("b", np.float32(0.5), low=0.5, high=0.5) == 0.5
    assert type(checks.require_real("b", 2)) is float


@pytest.mark.parametrize("value", [1.0, "1", None, True, np.array([1])])
def test_an_integer_is_not_a_float_a_bool_or_an_array(value):
    with pytest.raises(TypeError, match="m: expected an integer"):
        checks.require_int("m", value)


@pytest.mark.parametrize("value", ["1", None, True, 1j, np.array([1.0])])
def test_a_number_is_not_a_string_a_bool_or_an_array(value):
    with pytest.raises(TypeError, match="b: expected a number"):
        checks.require_real("b", value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_is_finite(value):
    with pytest.raises(ValueError, match="b: expected a finite number"):
        checks.require_real("b", value)


def test_bounds_are_named_with_their_reason():
    with pytest.raises(ValueError, match="m: expected at least 1, got 0: a net has neurons"):
        checks.require_int("m", 0, low=1, why="a net has neurons")
    with pytest.raises(ValueError, match="m: expected at most 3, got 4$"):
        checks.require_int("m", 4, high=3)
    with pytest.raises(ValueError, match="b: expected at least 0.0, got -1.0"):
        checks.require_real("b", -1.0, low=0.0)
    with pytest.raises(ValueError, match="eta: expected more than 0.0, got 0.0"):
        checks.require_real("eta", 0.0, low=0.0, open_low=True)


def test_an_integer_of_hundreds_of_digits_is_one_short_line():
    with pytest.raises(ValueError, match=r"b: expected a finite number, got about 10\^400"):
        checks.require_real("b", 10**400)
    with pytest.raises(ValueError, match=r"m: expected at least 1, got about -10\^5000"):
        checks.require_int("m", -10**5000, low=1)


def test_a_choice_lists_what_is_allowed():
    assert checks.require_choice("norm", "l2", ("l2", "linf")) == "l2"
    with pytest.raises(ValueError, match="norm: expected one of l2, linf, got 'l1'"):
        checks.require_choice("norm", "l1", ("l2", "linf"))


def test_an_array_keeps_its_float_type_and_becomes_contiguous():
    strided = np.ones((4, 6), np.float32)[:, ::2]
    array = checks.require_array("X", strided, (None, 3))
    assert array.dtype == F32 and array.flags.c_contiguous
    assert checks.require_array("X", [[1, 2]], (1, 2)).dtype == F64
    assert checks.require_array("X", strided, (4, 3), dtype=F64).dtype == F64


def test_a_good_array_is_not_copied():
    X = np.ones((2, 3))
    assert checks.require_array("X", X, (None, 3)) is X


def test_only_what_is_written_to_is_copied_when_read_only():
    X = np.ones((2, 3))
    X.flags.writeable = False
    assert checks.require_array("X", X, (None, 3)) is X
    own = checks.require_array("W", X, (None, 3), writable=True)
    assert own.flags.writeable and np.array_equal(own, X)
    own[:] = 0.0
    assert X.all() and checks.require_array("W", own, (None, 3), writable=True) is own


def test_a_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"X: expected shape \(any, 64\), got \(2, 32\): by d"):
        checks.require_array("X", np.ones((2, 32)), (None, 64), why="by d")
    with pytest.raises(ValueError, match=r"y: expected shape \(3,\), got \(3, 1\)"):
        checks.require_array("y", np.ones((3, 1)), (3,))


@pytest.mark.parametrize("value", [["a"], [None], [1j], np.array([{}])])
def test_an_array_holds_real_numbers(value):
    with pytest.raises(TypeError, match="X: expected an array of numbers"):
        checks.require_array("X", value, (None,))


def test_a_batch_is_not_an_array():
    batch = Batch(np.ones((2, 3)), np.ones(2))
    with pytest.raises(TypeError, match=r"^X: expected an array, got a Batch: pass batch\.X$"):
        checks.require_array("X", batch, (None, 3))
    with pytest.raises(TypeError, match=r"^y: expected an array, got a Batch: pass batch\.y$"):
        checks.require_labels("y", batch, 2, F64)


def test_nan_and_infinity_are_counted():
    array = np.array([1.0, 2.0])
    assert checks.require_finite("X", array) is array
    with pytest.raises(ValueError, match="X: expected finite numbers, got 2 NaN or infinite"):
        checks.require_finite("X", np.array([np.nan, 1.0, -np.inf]))


def test_labels_are_signs():
    assert checks.require_labels("y", [1, -1], 2, F32).dtype == F32
    for bad in ([1.0, 0.0], [1.0, 2.0], [1.0, np.nan]):
        with pytest.raises(ValueError, match="y: expected labels -1 and"):
            checks.require_labels("y", bad, 2, F64)
    with pytest.raises(ValueError, match="one label per sample"):
        checks.require_labels("y", [1.0], 2, F64)


def test_a_dictionary_is_orthonormal():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert np.array_equal(checks.require_orthonormal("M", turn, 2), turn)
    with pytest.raises(ValueError, match=r"M: expected an orthonormal matrix, got \|M\^T M - I\|"):
        checks.require_orthonormal("M", 1.001 * turn, 2)
    with pytest.raises(ValueError, match="a dictionary is square"):
        checks.require_orthonormal("M", turn[:, :1], 2)
    with pytest.raises(ValueError, match="M: expected finite numbers"):
        checks.require_orthonormal("M", turn * np.nan, 2)
