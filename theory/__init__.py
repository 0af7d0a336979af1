"""What is claimed: the statements of the papers confronted with what simulator measures.

    import simulator as sim, theory
    theory.figures(run)["coefficients"]            # a matplotlib Figure
    theory.confront("A6", runs)                    # a table of findings
    theory.claims("winning_tickets")               # the claims of a paper

A claim is one file ``theory/<paper>/<what it says>.py``, or any file of yours, with ``CLAIM`` (what
is stated and what is accepted), ``RUNS`` (what it must be confronted with, by plan) and
``confront(runs)``. It is found by itself: nothing lists it.
"""

import importlib
import importlib.util
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from simulator import experiments
from simulator.experiments import DEFAULT, PAPERS
from simulator.names import hint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from theory.claim import Assumption, Claim, Finding, Findings, Measurement, Run, Theorem
    from theory.drawing.style import DrawingError

__all__ = ["Assumption", "Claim", "DrawingError", "Finding", "Findings", "Measurement", "Run",
           "Theorem", "animate", "claims", "confront", "draw_run", "drawings", "figures",
           "load_claims", "paper_of", "run_page"]

_HOMES = {"DrawingError": "theory.drawing.style"} | dict.fromkeys(
    ("Assumption", "Claim", "Finding", "Findings", "Measurement", "Run", "Theorem"),
    "theory.claim")
_NO_CLAIMS = {"assumptions", "captions", "figures", "film", "plans", "player", "quantities"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'theory' has no attribute {name!r}; {hint(name, __all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def claims(paper: str = DEFAULT.name) -> "tuple[Theorem, ...]":
    """Return the claims of a paper, in the order of their ids: A9 before A10."""
    name = experiments.paper(paper).name
    package = importlib.import_module(f"theory.{name}")
    modules = [importlib.import_module(f"theory.{name}.{found.name}")
               for found in pkgutil.iter_modules(package.__path__)
               if found.name not in _NO_CLAIMS]
    return tuple(sorted((_theorem(module) for module in modules if hasattr(module, "CLAIM")),
                        key=lambda theorem: theorem.order))


def paper_of(claim: str) -> str:
    """Return the name of the paper whose claims have the letter of ``claim``, or raise ValueError.

    Parameters
    ----------
    claim : str
        An id, as in "A6".
    """
    if not isinstance(claim, str):
        from simulator.checks import seen
        raise TypeError(f"claim: expected an id such as \"A6\", got {seen(claim)}")
    for entry in PAPERS:
        if claim[:1].upper() in tuple(entry.letters):
            return entry.name
    known = [theorem.claim.id for entry in PAPERS for theorem in claims(entry.name)]
    raise ValueError(f"claim {claim}: unknown; {hint(claim.upper(), known)}")


def load_claims(path: str | Path) -> "tuple[Theorem, ...]":
    """Return the claim of a file outside the package, in a tuple; the file is run as Python.

    Parameters
    ----------
    path : str or Path
        A file with ``CLAIM``, ``RUNS`` and ``confront``; ``PAPER`` where its runs are not those
        of the first paper. With ``CLAIMS``, a sequence of Theorem, it may hold several.

    Raises
    ------
    ValueError
        No such file, it does not run, it has none of these, or an id of ours; one line.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: expected a file with CLAIM, RUNS and confront(runs), got none")
    if path.suffix != ".py":
        raise ValueError(f"{path}: expected a Python file (.py), got {path.suffix or 'no ending'}")
    name = f"claims_of_{path.stem}"
    loader = _FromSource(name, str(path))
    module = ModuleType(name)
    module.__file__ = str(path)
    try:
        loader.exec_module(module)
    except Exception as error:  # whatever a file of the user's may do
        raise ValueError(f"{path}: cannot be run: {_mistake(error, path)}") from None
    found = tuple(getattr(module, "CLAIMS", ())) or (_outside_theorem(module, path),)
    taken = {theorem.claim.id for entry in PAPERS for theorem in claims(entry.name)}
    for theorem in found:
        if theorem.claim.id in taken:
            raise ValueError(f"{path}: claim {theorem.claim.id}: expected an id of its own, got "
                             "one of the project's")
        _require_runs(theorem, path)
    return tuple(replace(theorem, confront=_told(theorem, path)) for theorem in found)


def _require_runs(theorem: "Theorem", path: Path) -> None:
    """Raise ValueError where no runs could be made of what a file's claim declares."""
    from theory.plans import settings_of
    for plan in theorem.runs:
        try:
            for settings in settings_of([theorem], plan, [0], theorem.paper or DEFAULT.name):
                experiments.config_of(settings)
        except Exception as error:  # whatever a file of the user's may hold
            words = str(error) if isinstance(error, ValueError) else _mistake(error, path)
            raise ValueError(f"{path}: claim {theorem.claim.id}: RUNS: {plan}: {words}") from None


def _mistake(error: Exception, path: Path) -> str:
    """Say what went wrong in a file of the user's, and in which line of it."""
    words = error.args[0] if isinstance(error, KeyError) and error.args else error
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == str(path)]
    line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
    return f"{type(error).__name__}: {words}" + (f" (line {line})" if line else "")


def _told(theorem: "Theorem", path: Path) -> "Callable[[Sequence[Run]], Finding]":
    """Return the claim's confront, whose mistakes are told with the claim, its file and line."""
    def confront(runs: "Sequence[Run]") -> "Finding":
        from simulator.errors import RunError
        from theory.claim import Finding
        place = f"{path}: claim {theorem.claim.id}: confront"
        try:
            finding = theorem.confront(runs)
        except RunError:  # a run that cannot be read is no mistake of the claim
            raise
        except Exception as error:  # whatever a file of the user's may do
            raise ValueError(f"{place}: {_mistake(error, path)}") from error
        if not isinstance(finding, Finding):
            raise ValueError(f"{place}: expected a Finding, got {finding!r:.60}: return "
                             "theory.claim.conclude(...)")
        return finding

    return confront


class _FromSource(SourceFileLoader):
    """Reads a file as it is: bytecode beside it may be of what it was within the same second."""

    def path_stats(self, path: Any) -> Any:
        """Know no date of the source, so that no bytecode is read or written."""
        raise OSError(f"{path}: its date is not asked for")


def confront(wanted: str | Iterable[str], runs: "Sequence[Run] | Run") -> "Findings":
    """Confront claims with runs.

    Parameters
    ----------
    wanted : str or iterable of str
        Ids, as in "A6" or ["A1", "A6"].
    runs : Run or sequence of Run
        Of the paper's model; those outside a claim's regime are left out, and it says so.

    Returns
    -------
    Findings
        One for each claim, corrected for their number (Holm); a table where it is shown.

    Raises
    ------
    TypeError, ValueError
        Unknown ids, no runs, or runs of another paper.
    """
    from theory.claim import Findings, Run, confront_all
    if not isinstance(wanted, Iterable):
        from simulator.checks import seen
        raise TypeError(f"wanted: expected ids such as [\"A1\", \"A6\"], got {seen(wanted)}")
    ids = [wanted] if isinstance(wanted, str) else list(wanted)
    theorems = [_known(claim) for claim in ids]
    given = ([runs] if isinstance(runs, (Run, str, Path)) or not isinstance(runs, Iterable)
             else list(runs))
    for run in given:
        _require_run("runs", run)
        models = {theorem.claim.id: experiments.paper(paper_of(theorem.claim.id)).model
                  for theorem in theorems}
        for claim, model in models.items():
            if run.config.MODEL != model:
                raise ValueError(f"runs: expected runs of {experiments.paper(model).name} for "
                                 f"claim {claim}, got one of "
                                 f"{experiments.paper(run.config.MODEL).name}")
    return Findings(confront_all(given, theorems))


def figures(run: "Run") -> "dict[str, Figure]":
    """Return the figures of a run by name, each a matplotlib Figure of its own, drawn now.

    Raises
    ------
    DrawingError
        One of them cannot be drawn.
    """
    from theory.drawing.style import draw_all
    return draw_all(_drawn_anew(run))


def drawings(run: "Run") -> "dict[str, Callable[[], Figure]]":
    """Return what draws the figures of a run, by name: each draws once and keeps its figure."""
    return {name: cache(draw) for name, draw in _drawn_anew(run).items()}


def _drawn_anew(run: "Run") -> "dict[str, Callable[[], Figure]]":
    _require_run("run", run)
    paper = experiments.paper(run.config.MODEL).name
    module = importlib.import_module(f"theory.{paper}.figures")
    run = run.held()  # each figure looks at the arrays many times
    return {name: partial(draw, run) for name, draw in module.figures(run).items()}


def draw_run(run: "Run", folder: Path,
             drawn: "Mapping[str, Callable[[], Figure]] | None" = None) -> list[Path]:
    """Draw the figures of a run as PDF and PNG into a folder; return the files written.

    Parameters
    ----------
    run : Run
    folder : Path
    drawn : mapping of str to callable, or None
        :func:`drawings` of the run, where its page shows the same figures.

    Raises
    ------
    DrawingError
        Whatever goes wrong, after all figures that can be drawn are.
    """
    from theory.drawing.style import save_figures
    return save_figures(drawings(run) if drawn is None else drawn, folder)


def run_page(run: "Run", drawn: "Mapping[str, Callable[[], Figure]] | None" = None) -> str:
    """Return the page of a run: one HTML file that needs no other; see :mod:`theory.pages.run`."""
    from theory.pages.run import Film, run_page
    captions, player = _of_paper(run, "captions"), _of_paper(run, "player")
    run = run.held()
    body: Any = player.player(run) if player is not None else ""
    conclude = getattr(captions, "conclusion", None)
    return run_page(run, drawings(run) if drawn is None else drawn, narrow=_drawn_anew(run),
                    captions=captions.CAPTIONS if captions else {},
                    conclusion=conclude(run) if conclude is not None else "",
                    film=Film(body, player.STYLE, player.SCRIPT) if player and body else None)


def animate(run: "Run", path: Path) -> Path:
    """Write the training of a run as a GIF and return its path.

    Raises
    ------
    DrawingError
        The run has no frames, or the file cannot be written.
    """
    from theory.drawing.style import DrawingError
    film = _of_paper(run, "film")
    if film is None:
        raise DrawingError(f"runs of {experiments.paper(run.config.MODEL).name}: have no frames to "
                           "animate")
    written: Path = film.save_gif(run.held(), path)
    return written


def _require_run(name: str, run: Any) -> None:
    """Raise TypeError for anything but a run."""
    if hasattr(run, "config") and hasattr(run, "summary"):
        return
    hint = (f": write simulator.load({str(run)!r})" if isinstance(run, (str, Path))
            else ": one run at a time" if isinstance(run, (list, tuple)) else "")
    raise TypeError(f"{name}: expected a Run, as simulate and load give it, got a value of type "
                    f"{type(run).__name__}{hint}")


def _of_paper(run: "Run", part: str) -> ModuleType | None:
    """A module of a run's paper that not every paper has."""
    _require_run("run", run)
    name = f"theory.{experiments.paper(run.config.MODEL).name}.{part}"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def _known(claim: str) -> "Theorem":
    theorems = {theorem.claim.id: theorem for theorem in claims(paper_of(claim))}
    if claim.upper() not in theorems:
        raise ValueError(f"claim {claim}: unknown; {hint(claim.upper(), theorems)}")
    return theorems[claim.upper()]


def _theorem(module: ModuleType) -> "Theorem":
    from theory.claim import Theorem
    return Theorem(module.CLAIM, module.confront, module.RUNS)


def _outside_theorem(module: ModuleType, path: Path) -> "Theorem":
    from theory.claim import Claim, Theorem
    missing = [name for name in ("CLAIM", "RUNS", "confront") if not hasattr(module, name)]
    if missing:
        raise ValueError(f"{path}: expected CLAIM, RUNS and confront(runs), got no "
                         f"{' and no '.join(missing)}")
    if not isinstance(module.CLAIM, Claim):
        raise ValueError(f"{path}: CLAIM: expected a theory.Claim, got {module.CLAIM!r:.60}")
    if not isinstance(module.RUNS, Mapping) or not module.RUNS:
        raise ValueError(f"{path}: RUNS: expected families of runs by plan, such as "
                         f"{{'desk': (Family('lottery'),)}}, got {module.RUNS!r:.60}")
    return Theorem(module.CLAIM, module.confront, module.RUNS,
                   experiments.paper(getattr(module, "PAPER", DEFAULT.name)).name)
