"""``purify plot``: the figures of a finished run, where they are wanted."""

import pytest

from scripts import plot
from simulator.runs.run import Run
from theory.feature_purification import figures

pytestmark = pytest.mark.usefixtures("brief_attacks")


def drawn(place):
    return {path.name: path.read_bytes() for path in place.iterdir()}


@pytest.mark.parametrize("some", [
    {"history": figures.history_figure, "perturbation": figures.perturbation_figure},
    pytest.param(None, marks=pytest.mark.slow)], ids=["two", "all"])
def test_plot_redraws_the_same_figures_from_the_folder(folder, capsys, monkeypatch, some):
    place = folder / "figures"
    before = {name: content for name, content in drawn(place).items()
              if some is None or name.split(".")[0] in some}
    for path in place.iterdir():
        path.unlink()
    if some is not None:
        monkeypatch.setattr(figures, "figures", lambda run: some)
    assert plot.main([str(folder)]) == 0
    assert sorted(capsys.readouterr().out.split()) == sorted(map(str, place.iterdir()))
    assert drawn(place) == before


def test_figures_can_be_drawn_elsewhere(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "figures", lambda run: {"history": figures.history_figure})
    (folder / "figures").rename(tmp_path / "before")
    assert plot.main([str(folder), "--out", str(tmp_path / "pictures" / "inner")]) == 0
    found = drawn(tmp_path / "pictures" / "inner")
    assert found == {name: content for name, content in drawn(tmp_path / "before").items()
                     if name in ("history.pdf", "history.png")}
    assert not (folder / "figures").exists()


def test_elsewhere_nothing_is_written_over_unless_it_may_be(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "figures", lambda run: {"history": figures.history_figure})
    place = tmp_path / "pictures"
    place.mkdir()
    (place / "history.png").write_text("of somebody")
    assert plot.main([str(folder), "--out", str(place)]) == 2
    assert "history.png: expected a new file, got one that is there" in one_line(capsys)
    assert drawn(place) == {"history.png": b"of somebody"}
    assert plot.main([str(folder), "--out", str(place), "--force"]) == 0
    assert drawn(place)["history.png"] != b"of somebody"
    (place / "training.gif").write_text("of somebody")
    assert plot.main([str(folder), "--out", str(place), "--animate"]) == 2
    assert (place / "training.gif").read_text() == "of somebody"


def test_the_training_is_written_as_a_gif(folder, capsys):
    assert plot.main([str(folder), "--animate"]) == 0
    (path,) = capsys.readouterr().out.split()
    assert path == str(folder / "figures" / "training.gif")
    assert (folder / "figures" / "training.gif").read_bytes().startswith(b"GIF89a")


def test_without_frames_there_is_nothing_to_animate(folder, capsys, monkeypatch):
    monkeypatch.setattr(Run, "frames", {})
    assert plot.main([str(folder), "--animate"]) == 2
    assert "has no frames to animate" in one_line(capsys)


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("purify plot: error: ")
    return error


def test_figures_that_are_a_file_are_one_line(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert plot.main([str(folder), "--out", str(tmp_path / "file")]) == 2
    assert str(tmp_path / "file") in one_line(capsys)


def test_what_is_no_finished_run_is_refused(tmp_path, unfinished, capsys):
    assert plot.main([str(tmp_path / "nowhere")]) == 2
    assert "expected a run folder" in one_line(capsys)
    assert plot.main([str(unfinished)]) == 2
    assert "expected a finished run" in one_line(capsys)


@pytest.mark.parametrize("name, content", [
    ("summary.json", "{}"), ("status.json", '{"state": "done", "files": [1]}'),
    ("status.json", "half"), ("config.json", "[]")])
def test_a_run_whose_files_were_changed_is_refused_by_name(folder, capsys, name, content):
    (folder / name).write_text(content)
    assert plot.main([str(folder)]) == 2
    assert folder.name in one_line(capsys)
