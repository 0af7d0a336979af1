"""The one table of papers: every word for a paper leads to it, and looking at it is quick."""

import subprocess
import sys
from pathlib import Path

import pytest

from simulator.experiments import (PAPERS, config_class, config_of, experiment_module, paper,
                                   preset, preset_names, presets)

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("entry", PAPERS, ids=lambda entry: entry.name)
def test_every_word_for_a_paper_leads_to_it(entry):
    assert {paper(word) for word in (entry.name, entry.model, *entry.aliases)} == {entry}
    assert config_class({"model": entry.model}) is experiment_module(entry.name).CONFIG
    for folder in ("simulator/experiments", "theory", "tests/theory"):
        assert (ROOT / folder / entry.name).is_dir()


def test_no_word_and_no_letter_belongs_to_two_papers():
    words = [word for entry in PAPERS for word in {entry.name, entry.model, *entry.aliases}]
    assert len(set(words)) == len(words)
    letters = "".join(entry.letters for entry in PAPERS)
    assert len(set(letters)) == len(letters)


@pytest.mark.parametrize("word, hint", [("structurd", "did you mean structured?"),
                                        ("", "there are feature_purification")])
def test_an_unknown_paper_offers_the_nearest(word, hint):
    with pytest.raises(ValueError, match=f"paper {word}: unknown; {hint}"):
        paper(word)


def test_settings_without_a_model_are_of_the_first_paper():
    assert config_class({}).MODEL == "purification"
    assert config_of(preset("smoke")).to_dict() == {
        **config_of(preset("smoke")).to_dict(), "model": "purification"}


def test_a_preset_of_another_paper_says_where_it_is():
    with pytest.raises(ValueError, match="preset transition: expected one of feature_purification "
                       r"\(desk, lottery, theorem, smoke\), got one of structured_features: "
                       "add --paper structured_features"):
        preset("transition")
    with pytest.raises(ValueError, match="preset smok: unknown; did you mean smoke?"):
        preset("smok", "ntk")


def test_the_presets_are_listed_by_paper():
    assert presets() == {entry.name: preset_names(entry.name) for entry in PAPERS}
    assert all("smoke" in names for names in presets().values())


@pytest.mark.parametrize("code", [
    "from simulator.experiments import presets, preset; presets(); preset('smoke')",
    *(f"from scripts import {name}\ntry:\n    {name}.main(['--help'])\nexcept SystemExit: pass"
      for name in ("simulate", "sweep", "verify", "plot", "info", "benchmark"))])
def test_looking_at_it_loads_nothing_heavy(code):
    heavy = {"numpy", "numba", "scipy", "matplotlib", "distributed", "dask"}
    report = f"import sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], cwd=ROOT, text=True,
                          capture_output=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
