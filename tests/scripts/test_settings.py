"""``purify settings``: nothing that can be set is left out, and each has a meaning."""

import json

import pytest

from scripts import settings
from simulator.experiments import PAPERS, config_class, config_of, preset, preset_names


@pytest.mark.parametrize("entry", PAPERS, ids=lambda entry: entry.name)
def test_every_setting_has_a_type_a_meaning_and_a_value_in_each_preset(entry):
    found = settings.settings_of_paper(entry)
    assert [setting.name for setting in found] == list(config_class({"model": entry.model}).types())
    for setting in found:
        assert setting.kind and setting.meaning, setting.name
        assert "`" not in setting.meaning
        assert list(setting.presets) == preset_names(entry.name)


def test_the_values_make_the_preset():
    for entry in PAPERS:
        for name in preset_names(entry.name):
            listed = {setting.name: setting.presets[name]
                      for setting in settings.settings_of_paper(entry)}
            assert config_of({"model": entry.model} | listed) == config_of(preset(name, entry.name))


def test_a_word_is_shown_with_the_words_it_may_be():
    kinds = {setting.name: setting.kind for setting in settings.settings_of_paper(PAPERS[0])}
    assert kinds["norm"] == "l2 or linf" and kinds["dtype"] == "float64 or float32"
    assert (kinds["d"], kinds["tau"], kinds["name"]) == ("integer", "number", "word")


def test_the_list_fits_a_terminal_and_shows_what_presets_share(capsys):
    assert settings.main(["--paper", "purification"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert "arXiv 2005.10190" in text
    assert "    m                  integer; 3*d (desk, theorem, smoke), 20*d (lottery)\n" in text
    assert "structured_features" not in text


def test_without_a_paper_all_are_listed(capsys):
    assert settings.main(["--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [entry.name for entry in PAPERS]
    assert found["ntk_evolution"]["d"]["type"] == "integer"


def test_an_unknown_paper_is_one_line(capsys):
    assert settings.main(["--paper", "purificatoin"]) == 2
    error = capsys.readouterr().err
    assert "did you mean purification?" in error and error.count("\n") == 1
