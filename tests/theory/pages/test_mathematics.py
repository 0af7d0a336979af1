"""Mathematics in the texts of claims is shown as formulas, and words stay words."""

import html
import re

import pytest

import theory
from simulator.experiments import PAPERS
from theory.pages.mathematics import GREEK, with_mathml, written

TAG = re.compile(r"<[^>]+>")


def formulas(text):
    """Each formula of a text, without its tags; powers and roots keep a sign."""
    return [TAG.sub("", found.replace("<msqrt>", "√").replace("</mrow><mrow>", "^"))
            for found in re.findall(r"<math>(.*?)</math>", with_mathml(text))]


@pytest.mark.parametrize("text, shown", [
    ("k <= sqrt(d), tau -> 0", ["k≤√d", "τ→0"]),
    ("r50 ~ sqrt(d)/k^2, derived here", ["r50~√d/k^2"]),
    ("<w*, z> and <w, v> over", ["⟨w⋆,z⟩", "⟨w,v⟩"]),
    ("kappa = sum beta^q / sum alpha^q", ["κ=∑β^q/∑α^q"]),
    ("of size Theta(k/d) at the start", ["Θ(k/d)"]),
    ("falls like d^(1/2 - 2a)", ["d^1/2−2a"]),
    ("scores w*_j <w_i(0), M_j> of", ["wj⋆⟨wi(0),Mj⟩"]),
    ("path (sum of S(K_t, K_(t+dt))) in", ["S(Kt,Kt+dt)"]),
    ("||v_i||/||p_i|| above 1", ["‖vi‖/‖pi‖"]),
    ("beta < epsilon < alpha", ["β&lt;ε&lt;α"]),
    ("sigma_0 sqrt(log d)", ["σ0√logd"]), ("m >= 15 d", ["m≥15d"])])
def test_a_formula_is_read(text, shown):
    assert formulas(text) == shown


@pytest.mark.parametrize("text", [
    "a neuron of size k", "judged on 2026-12-01 in [1, 5]", "seeds 2000-2007 of A2-A6", "w/o it",
    "nothing <was> measured & <file>", "accuracy and/or margin", "at (200, 7): 0.5",
    "Gaussian's share", "1/sqrt(keep)", "version 3-4", "simulator/ntk/frozen_flow.py", "a theatre"])
def test_what_is_no_formula_stays_text(text):
    assert with_mathml(text) == html.escape(written(text))


def test_a_factor_is_no_article():
    assert formulas("r = 2 a neuron") == ["r=2"] and formulas("x = a r") == ["x=ar"]


def test_no_letter_of_any_claim_is_lost():
    """Of all claims there are: what is shown has the letters and digits of the text, in order."""
    read = 0
    for paper in PAPERS:
        for theorem in theory.claims(paper.name):
            claim = theorem.claim
            for text in (claim.title, claim.statement, claim.law, claim.quantity, claim.source,
                         *(assumption.name for assumption in claim.assumptions)):
                shown = with_mathml(text)
                read += "<math>" in shown
                assert letters(html.unescape(TAG.sub("", shown))) == letters(text), text
    assert read > 50


def letters(text):
    """What must not be lost, whatever its place: an index and a star change theirs."""
    for name, letter in GREEK.items():
        text = re.sub(rf"\b{name}(?![a-z])", letter, text)
    return sorted(re.sub(r"\bsqrt|\bsum\b|\binfinity\b|\W|_", "", text))
