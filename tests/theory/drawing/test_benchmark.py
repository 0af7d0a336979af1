"""The figure of the benchmark can be read, for one size, for three and for more."""

import itertools

import pytest

from theory.drawing.benchmark import PEERS, benchmark_figure
from theory.drawing.style import COLUMN, PAGE, house_style

from legible import faults


def rows(sizes):
    """Rows in which everybody is slower than ours by a factor of its own."""
    places = [("clean", "start"), ("clean", "trained"), ("adversarial", "trained"), ("run", "")]
    names = {"ours": 1.0} | {name: 2.0 + 7.0 * place for place, name in enumerate(PEERS)}
    return [{"d": d, "k": k, "dtype": dtype, "case": case, "weights": weights,
             "implementation": name, "median_ms": 3.0 * slower, "spread": 0.2}
            for (d, k), dtype, (case, weights), (name, slower) in itertools.product(
                sizes, ("float32", "float64"), places, names.items())]


@pytest.mark.parametrize("sizes, width", [
    (((128, 8),), COLUMN), (((128, 8), (512, 8), (1024, 8)), PAGE),
    (((512, 8), (256, 16), (512, 23), (1024, 32), (2048, 45)), PAGE)])
def test_the_figure_can_be_read(sizes, width):
    with house_style():
        figure = benchmark_figure(rows(sizes))
        assert figure.get_size_inches()[0] == width and faults(figure) == []
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(PEERS)
    assert figure.axes[0].get_title() == "d = {}, k = {}, float32".format(*sizes[0])
