"""The examples are short, run in seconds, and end with what a reader learns from them."""

import importlib
from pathlib import Path

import pytest

import simulator as sim
from scripts.cli import main
from simulator.training import train

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def test_there_are_eight_examples_of_at_most_40_lines():
    assert len(EXAMPLES) == 8
    for name in EXAMPLES:
        lines = (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 40, name


LEARNED = {
    "train_by_hand": "removed the dense mixtures", "certify_a_sample": "no attack can do",
    "own_network": "resist where lines break", "own_attack": "does nearly all",
    "own_data": "with the best one", "own_theorem": "X1  holds",
    "compare_masks": "what random ones lose", "own_weights": "breaks nothing of what is cert"}


def run(name):
    importlib.import_module(f"scripts.examples.{name}").main()


@pytest.mark.parametrize("name", [name for name in LEARNED if name != "own_theorem"])
def test_an_example_runs_to_its_end(name, capsys, brief_attacks, monkeypatch):
    """With a tenth of its steps; the theorem, which needs whole runs, is asked about below."""
    monkeypatch.setattr(sim, "train", lambda *parts, steps, **options: train(
        *parts, steps=steps // 10, **options))
    run(name)
    assert LEARNED[name] in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNED)
def test_an_example_says_what_is_learned(name, capsys):
    run(name)
    assert LEARNED[name] in capsys.readouterr().out


def test_the_example_of_a_theorem_is_what_verify_takes(capsys):
    assert main(["verify", "--claims-from", str(FOLDER / "own_theorem.py"), "--preset", "smoke",
                 "--dry-run"]) == 0
    assert "3" in capsys.readouterr().out
