"""One Run: returned by a simulation, stored in a folder, read back; its history as columns."""

import numpy as np
import pytest

from simulator.errors import RunError
from simulator.experiments import simulate, stored
from simulator.runs.folder import RunFolder
from simulator.runs.run import History, Run, Size, load_run, write_run

from small import SMALL, small_config

pytestmark = pytest.mark.usefixtures("brief_attacks")

ROWS = [{"step": 0, "phase": "clean", "loss": 0.1 + 0.2},
        {"step": 5, "phase": "clean", "loss": float("nan")}]


@pytest.fixture
def run():
    return Run(small_config(), {"a": 1.5, "clean": {"accuracy": 0.5, "masking": ["x"]}}, ROWS,
               {"x": np.arange(4)})


def test_a_history_is_columns_and_gives_its_rows_back():
    history = History(ROWS)
    assert list(history) == ["step", "phase", "loss"]
    assert history["step"].dtype == np.int64 and history["phase"].tolist() == ["clean", "clean"]
    assert repr(history.rows()) == repr(ROWS)  # repr: NaN is not equal to itself
    assert repr(history) == "<History of 2 rows: step, phase, loss>"


def test_rows_may_lack_a_column_and_there_may_be_none():
    assert np.isnan(History([{"a": 1.0}, {"b": 2.0}])["b"][0])
    assert History().rows() == [] and len(History()) == 0


def test_an_unknown_column_offers_the_nearest():
    with pytest.raises(KeyError, match="column los: unknown; did you mean loss?"):
        History(ROWS)["los"]


def test_a_written_run_is_believed_and_read_back(run, tmp_path):
    folder = RunFolder.create(tmp_path, run.config)
    assert write_run(run, folder, 3) is run and run.folder is folder
    assert folder.is_done() and folder.status()["step"] == 3
    again = stored(folder.path)
    assert (again.config, again.size) == (run.config, run.size)
    assert again.summary == {"certified_samples": 0} | run.summary
    assert repr(again.history.rows()) == repr([{**row, "step": float(row["step"])}
                                               for row in ROWS])
    assert np.array_equal(again.arrays["x"], run.arrays["x"])
    assert again.arrays["x"] is not again.arrays["x"]  # read when asked for, and not kept


def test_what_is_not_finite_is_nan_when_it_is_read_back(tmp_path):
    run = Run(small_config(), {"clean": {"purity": float("nan")}})
    folder = RunFolder.create(tmp_path, run.config)
    assert np.isnan(load_run(run.config, write_run(run, folder, 1).folder).summary["clean"][
        "purity"])


def test_only_a_finished_run_can_be_read(tmp_path):
    folder = RunFolder.create(tmp_path, small_config())
    with pytest.raises(RunError, match="expected a finished run, got one that is running"):
        stored(folder.path)
    with pytest.raises(RunError, match="found no config.json"):
        stored(tmp_path / "nothing")


def test_a_run_is_shown_in_a_line_and_in_a_notebook_as_a_table(run):
    assert repr(run).startswith("<Run smoke-") and "seed 0: clean; in memory" in repr(run)
    assert len(repr(run)) < 120
    shown = run._repr_html_()
    assert "<td>accuracy</td><td>0.5</td>" in shown and "masking" not in shown
    assert run.size == Size("smoke", 20, 2) and str(run.size) == "(20, 2)"


def test_a_preset_with_changes_is_simulated_in_memory():
    run = simulate("smoke", **SMALL | {"d": 24, "m": "2*d"}, seed=3)
    assert (run.config.m, run.config.seed, run.folder) == (48, 3, None)
    assert run.config.with_(d=30).m == 60
    assert {"clean", "adversarial"} <= set(run.summary)


def test_a_run_with_a_folder_is_stored_and_found_again(tmp_path):
    config = small_config()
    first = simulate(config, folder=tmp_path)
    assert first.folder.is_done()
    again = simulate(config, folder=str(tmp_path), progress=lambda *_: pytest.fail("run again"))
    assert again.summary == first.summary


@pytest.mark.parametrize("arguments, error, message", [
    ((3,), TypeError, "expected the name of a preset or settings, got 3"),
    (("smok",), ValueError, "preset smok: unknown; did you mean smoke?")], ids=str)
def test_what_is_no_preset_is_told(arguments, error, message):
    with pytest.raises(error, match=message):
        simulate(*arguments)


def test_a_preset_is_found_in_the_paper_that_has_it():
    with pytest.raises(ValueError, match="dd: unknown setting; did you mean"):
        simulate("transition", dd=3)
    with pytest.raises(ValueError, match="nonrobust_patches: unknown setting"):
        simulate("smoke", paper="ntk", nonrobust_patches=3)
