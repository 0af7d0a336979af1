"""The mathematics in the texts of claims, which a terminal shows too, as MathML.

``r50 ~ sqrt(d)/k^2`` in a sentence becomes a formula; the words around it stay words. Read as
mathematics is only what cannot be anything else: names of one letter (with a number or a star),
Greek letters by name, numbers, ``<a, b>``, ``||v||``, functions of a short list, joined by
``= <= >= ~ -> + - * / ^ _``, or a product of letters on one side of one of these. Everything that
this grammar does not take, such as a letter by itself or ``k is at most sqrt`` without its
bracket, is shown as the text that it is.
"""

import html
import re
from collections.abc import Callable

from theory.pages.kit import Html

__all__ = ["with_mathml", "written"]

GREEK = {"alpha": "α", "beta": "β", "delta": "δ", "epsilon": "ε", "eta": "η", "gamma": "γ",
         "kappa": "κ", "lambda": "λ", "rho": "ρ", "sigma": "σ", "tau": "τ", "xi": "ξ",
         "Theta": "Θ"}
FUNCTIONS = ("log", "cos", "max", "min", "sign", "median")
RELATIONS = {"<=": "≤", ">=": "≥", "->": "→", "=": "=", "~": "~", "<": "&lt;", ">": "&gt;"}
# How the words between formulas look where every letter can be shown.
SIGNS = (("<=", "≤"), (">=", "≥"), ("->", "→"), ("+-", "±"), (" infinity", " ∞"))
NUMBER = r"\d+(?:\.\d+)?(?:e-?\d+)?|\.\d+"
NAME = r"dt(?![A-Za-z])|(?:" + "|".join(GREEK) + r")(?![A-Za-z])|[A-Za-z](?:\d+)?(?![A-Za-z])"
TOKEN = re.compile(
    rf"\s*(?:(?P<function>(?:sqrt|sum|{'|'.join(FUNCTIONS)})(?![A-Za-z]))"
    rf"|(?P<name>{NAME})|(?P<number>{NUMBER})"
    r"|(?P<sign><=|>=|->|\+-|\|\||[=~<>+\-*/^_(){}\[\],|]))")
START = re.compile(r"(?<![\w.^_)*/+'’-])(?!(?:w/o|n/a)\b)(?=[A-Za-z0-9.<|(])")
PROSE = ("a", "A", "I", "C", "O")  # letters that are words, or names of constants, by themselves


class _NoFormula(Exception):
    """What stands here is text."""


def with_mathml(text: str) -> Html:
    """Return a text as HTML, with what is mathematics in it as MathML."""
    pieces, done = [], 0
    for start in START.finditer(text):
        if start.start() < done:
            continue
        found = _formula(text, start.start())
        if found is not None:
            end, formula = found
            pieces += [html.escape(written(text[done:start.start()])),
                       f"<math><mrow>{formula}</mrow></math>"]
            done = end
    return Html("".join(pieces) + html.escape(written(text[done:])))


def written(text: str) -> str:
    """Return a text with signs and Greek letters for their names, and else as it is."""
    for sign, letter in SIGNS:
        text = text.replace(sign, letter)
    return re.sub(r"\b(" + "|".join(GREEK) + r")(?![a-z])", lambda found: GREEK[found[1]], text)


def _formula(text: str, start: int) -> tuple[int, str] | None:
    """Return the end of the longest formula that starts here and its MathML, or None."""
    reader = _Reader(text, start)
    try:
        formula = reader.relation()
    except _NoFormula:
        return None
    # a letter or a number alone is no formula, nor are numbers with signs, such as a date, nor is
    # what ends inside a word
    if not (reader.joined and reader.has_names) or re.match(r"[\w(]|\.\d", text[reader.at:]):
        return None
    return reader.at, formula


class _Reader:
    """Reads a formula by descent; where it goes on with no formula, it ends before that.

    Attributes
    ----------
    at : int
        Where the formula ends that was read so far.
    joined : bool
        Whether something in it is more than a name or number.
    has_names : bool
        Whether there is more than numbers in it.
    """

    def __init__(self, text: str, at: int) -> None:
        self.text, self.at, self.joined, self.has_names = text, at, False, False

    def relation(self) -> str:
        """One side, or several with relations between."""
        return self._several(self._sum, RELATIONS)

    def _sum(self) -> str:
        return self._several(self._product, {"+": "+", "-": "−", "+-": "±"})

    def _several(self, part: Callable[[], str], signs: dict[str, str]) -> str:
        found = part()
        while (sign := self._peek()[1]) in signs and self._stands_alone(sign):
            before, was = self.at, self.joined
            try:
                self._take()
                following = part()
            except _NoFormula:
                self.at, self.joined = before, was
                break
            found += f"<mo>{signs[sign]}</mo>{following}"
            self.joined = True
        return found

    def _stands_alone(self, sign: str) -> bool:
        """Whether a sign that may be something else, a bracket or a hyphen, has its spaces."""
        return sign not in ("<", ">", "-") or bool(
            re.match(rf"\s+{re.escape(sign)}\s", self.text[self.at:]))

    def _product(self) -> str:
        found = self._power()
        while True:
            before, was = self.at, self.joined
            kind, sign = self._peek()
            try:
                if sign in ("/", "*"):
                    self._take()
                    found += f"<mo>{'/' if sign == '/' else '·'}</mo>{self._power()}"
                    self.joined = True
                elif (kind in ("name", "function") and self._is_factor()
                        or sign == "<" and not self._stands_alone(sign)):
                    found += f"<mspace width=\"0.17em\"/>{self._power()}"
                else:
                    return found
            except _NoFormula:
                self.at, self.joined = before, was
                return found

    def _is_factor(self) -> bool:
        """Whether the next letter multiplies the one before: not the "a" of "a neuron"."""
        name = TOKEN.match(self.text, self.at)
        follows = self.text[name.end():] if name else ""
        is_word = re.match(r" +[A-Za-z]{2}|[^\w^_*]|$", follows)
        return not (name and name["name"] in PROSE and is_word
                    and not re.match(r" *[=/+^)]", follows))

    def _power(self) -> str:
        base = self._base()
        kind, sign = self._peek()
        if sign == "^" and self.text[self.at] == "^":
            self._take()
            self.joined = True
            return f"<msup>{_row(base)}{_row(self._exponent())}</msup>"
        return base

    def _exponent(self) -> str:
        kind, sign = self._peek()
        if sign == "-":
            self._take()
            return f"<mo>−</mo>{self._base()}"
        return self._bracketed(")") if sign == "(" else self._base()

    def _base(self) -> str:
        kind, found = self._take()
        if kind == "number":
            return f"<mn>{found}</mn>"
        self.has_names = self.has_names or kind in ("name", "function")
        if kind == "name":
            return self._name(found)
        if kind == "function":
            return self._function(found)
        if found == "-":
            return f"<mo>−</mo>{self._base()}"
        closing = {"(": ")", "<": ">", "||": "||", "|": "|"}.get(found)
        if closing is None:
            raise _NoFormula
        self.at -= len(found)
        return self._bracketed(closing, shown=True)

    def _name(self, found: str) -> str:
        if found in GREEK:
            self.joined = True
        letter, number = re.fullmatch(r"([A-Za-z]+?)(\d*)", found).groups()  # type: ignore
        name = f"<mi>{GREEK.get(letter, letter)}</mi>"
        star = self.text[self.at:self.at + 1] == "*" and not re.match(
            r"\* ?[A-Za-z0-9(]", self.text[self.at:])
        if star:
            self.at += 1
            self.joined = True
        index = f"<mn>{number}</mn>" if number else ""
        if self.text[self.at:self.at + 1] == "_":
            index = self._index()
        if star:
            return (f"<msubsup>{name}{index}<mo>⋆</mo></msubsup>" if index
                    else f"<msup>{name}<mo>⋆</mo></msup>")
        name = f"<msub>{name}{index}</msub>" if index else name
        if self.text[self.at:self.at + 1] == "(":  # a function of something
            before, was = self.at, self.joined
            try:
                return name + self._bracketed(")", shown=True)
            except _NoFormula:
                self.at, self.joined = before, was
        return name

    def _index(self) -> str:
        """What stands below: ``_ij``, or ``_(t+dt)`` in brackets."""
        self.joined = True
        under = re.compile(r"_([A-Za-z0-9]{1,3})(?!\w)").match(self.text, self.at)
        if under:
            self.at = under.end()
            return f"<mi>{under[1]}</mi>"
        if not self.text.startswith("_(", self.at):
            raise _NoFormula
        self.at += 1
        return _row(self._bracketed(")"))

    def _function(self, found: str) -> str:
        kind, sign = self._peek()
        if found == "sqrt":
            if sign != "(":
                raise _NoFormula
            self.joined = True
            return f"<msqrt>{_row(self._bracketed(')'))}</msqrt>"
        if found == "sum":
            inner = self._power()
            self.joined = True
            return f"<mo>∑</mo>{inner}"
        inner = self._bracketed(")", shown=True) if sign == "(" else self._power()
        self.joined = True
        return f"<mi>{found}</mi><mspace width=\"0.17em\"/>{inner}"

    def _bracketed(self, closing: str, shown: bool = False) -> str:
        """What stands in brackets, with them where they are shown."""
        _, opening = self._take()
        parts = [self._sum() if closing == ">" else self.relation()]
        while self._peek()[1] == ",":
            self._take()
            parts.append(self._sum() if closing == ">" else self.relation())
        if self._take()[1] != closing:
            raise _NoFormula
        inner = "<mo>,</mo>".join(parts)
        if closing == ">" and len(parts) != 2:
            raise _NoFormula  # a placeholder, such as <file>
        if not shown:
            return inner
        if closing in (">", "||", "|"):
            self.joined = True
        left, right = {">": ("⟨", "⟩"), "||": ("‖", "‖"), "|": ("|", "|")}.get(
            closing, (opening, closing))
        return (f'<mrow><mo stretchy="false">{left}</mo>{inner}'
                f'<mo stretchy="false">{right}</mo></mrow>')

    def _peek(self) -> tuple[str, str]:
        found = TOKEN.match(self.text, self.at)
        return (str(found.lastgroup), found[found.lastgroup or 0]) if found else ("", "")

    def _take(self) -> tuple[str, str]:
        found = TOKEN.match(self.text, self.at)
        if found is None:
            raise _NoFormula
        self.at = found.end()
        return str(found.lastgroup), found[found.lastgroup or 0]


def _row(inner: str) -> str:
    return f"<mrow>{inner}</mrow>"
