"""The one table of papers: what can be simulated, and where it stands. To add one: a line here.

The folder of a paper, here and in :mod:`theory`, bears its name. Here it has

    config.py       CONFIG, its settings, a subclass of :class:`simulator.runs.config.Config`
    presets.py      PRESETS, named settings; a value may be an expression in the others, so that
                    ``--set d=256`` moves everything that scales with d along with it
    experiment.py   the objects of one run, built from its config
    run.py          CONFIG, check(config), cost(config) and simulate(config, folder=None,
                    progress=silent): does a run
    summary.py      the keys of its summary, and the rows of the table that shows it

and is imported when it is asked for: this file loads neither NumPy nor Numba.
"""

import importlib
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from simulator.errors import RunError
from simulator.names import hint, require_known

if TYPE_CHECKING:
    from simulator.protocols import Attack, DataModel, Network
    from simulator.runs.config import Config
    from simulator.runs.folder import RunFolder
    from simulator.runs.run import Run
    from simulator.runs.stages import Progress

__all__ = ["PAPERS", "Paper", "chosen", "config_class", "config_of", "experiment_module", "paper",
           "preset", "preset_names", "presets", "simulate", "stored", "stored_config",
           "summary_module"]


class Paper(NamedTuple):
    """A paper whose model is run and whose claims are confronted.

    Attributes
    ----------
    name : str
        Its folder in ``simulator/experiments``, ``theory`` and ``tests``.
    model : str
        Value of ``model`` in the settings of its runs: part of the hash of their folders.
    aliases : tuple of str
        Other words for it on the command line.
    letters : str
        The first letters of its claims.
    authors, title, arxiv : str
    """

    name: str
    model: str
    aliases: tuple[str, ...]
    letters: str
    authors: str
    title: str
    arxiv: str


PAPERS = (
    Paper("feature_purification", "purification", (), "AR", "Allen-Zhu & Li",
          "Feature Purification: How Adversarial Training Performs Robust Deep Learning",
          "2005.10190"),
    Paper("structured_features", "patches", ("structured",), "B", "Li & Li",
          "Adversarial Training Can Provably Improve Robustness: Theoretical Analysis of Feature "
          "Learning Process Under Structured Data", "2410.08503"),
    Paper("ntk_evolution", "ntk", (), "C", "Loo, Hasani, Amini & Rus",
          "Evolution of Neural Tangent Kernels under Benign and Adversarial Training",
          "2210.12030"),
    Paper("winning_tickets", "tickets", (), "D", "Shi et al.",
          "Finding Dynamics Preserving Adversarial Winning Tickets", "2202.06488"),
    # the pictures of the authors' article about the first paper, on images that need no download
    Paper("real_images", "images", (), "I", "Allen-Zhu & Li",
          "Newly discovered principle reveals how adversarial training can perform robust deep "
          "learning", "2005.10190"),
)
DEFAULT = PAPERS[0]


def paper(word: str) -> Paper:
    """Return the paper of a name, model or alias, or raise ValueError with the nearest name."""
    for entry in PAPERS:
        if word in (entry.name, entry.model, *entry.aliases):
            return entry
    known = [name for entry in PAPERS for name in (entry.name, entry.model, *entry.aliases)]
    raise ValueError(f"paper {word}: unknown; {hint(str(word), known)}")


def experiment_module(word: str) -> ModuleType:
    """Return the module that does the runs of a paper: CONFIG, check, cost, simulate."""
    return _module(word, "run")


def summary_module(word: str) -> ModuleType:
    """Return the module that knows the summaries of a paper's runs: tables(config, summary),
    and current(summary), which says in today's words what an older run wrote.
    """
    return _module(word, "summary")


def config_class(settings: Mapping[str, Any]) -> "type[Config]":
    """Return the class of settings; those that name no model are of a purification run."""
    model = require_known("model", settings.get("model", DEFAULT.model),
                          (entry.model for entry in PAPERS))
    return _module(model, "config").CONFIG


def config_of(settings: Mapping[str, Any]) -> "Config":
    """Return the config that settings resolve to; see :meth:`Config.from_settings`."""
    return config_class(settings).from_settings(settings)


def preset_names(word: str = DEFAULT.name) -> list[str]:
    """Return the names of a paper's presets."""
    return list(_module(word, "presets").PRESETS)


def presets() -> dict[str, list[str]]:
    """Return the names of all presets by paper."""
    return {entry.name: preset_names(entry.name) for entry in PAPERS}


def preset(name: str, word: str = DEFAULT.name) -> dict[str, Any]:
    """Return the settings of a preset of a paper, or raise ValueError.

    The error offers the nearest name, or the paper that has such a preset.
    """
    known: dict[str, dict[str, Any]] = _module(word, "presets").PRESETS
    homes = [entry.name for entry in PAPERS if name in preset_names(entry.name)]
    if name not in known and homes:
        raise ValueError(f"preset {name}: expected one of {paper(word).name} "
                         f"({', '.join(known)}), got one of {homes[0]}: "
                         f"add --paper {homes[0]}")
    return {"model": paper(word).model} | known[require_known("preset", name, known)]


def stored_config(folder: "RunFolder") -> "Config":
    """Return the settings of the run in a folder, or raise RunError where they are none."""
    try:
        return config_of(folder.settings())
    except (TypeError, ValueError) as error:
        raise RunError(f"{folder.path / 'config.json'}: {error}") from None


def stored(path: Path | str) -> "Run":
    """Return the finished run in a folder.

    Raises
    ------
    RunError
        There is none, it is not finished, or its files have changed since.
    """
    from simulator.runs.folder import RunFolder
    from simulator.runs.run import load_run
    folder = RunFolder.existing(Path(path))
    state = folder.status().get("state", "without a status")
    if state != "done":
        raise RunError(f"{folder.path}: expected a finished run, got one that is {state}")
    folder.require_unchanged()
    config = stored_config(folder)
    run = load_run(config, folder)
    run.summary = summary_module(config.MODEL).current(run.summary)
    return run


def simulate(what: "str | Config" = "desk", *, paper: str | None = None,
             folder: Path | str | None = None, progress: "Progress | bool" = False,
             network: "Network | None" = None, data: "DataModel | None" = None,
             attack: "Attack | None" = None, **changes: Any) -> "Run":
    """Do a run and return it.

    Parameters
    ----------
    what : str or Config
        The name of a preset, or settings.
    paper : str or None
        Whose preset; None takes the first paper that has one of this name.
    folder : path or None
        Folder for runs, as in ``purify simulate --out``: the run is stored in a folder of its
        own there, or read from it if it is finished. None keeps it in memory.
    progress : callable or bool
        True shows a bar; a callable is called with (steps done, steps in all, what).
    network, data, attack : objects or None
        Replace those of the settings; see :mod:`simulator.protocols`. The network is copied, and
        is the one before training; the attack is the one trained against.
    **changes
        Settings to change; a number may be an expression, as in ``m="20*d"``, and what follows
        from a changed setting follows.

    Raises
    ------
    TypeError, ValueError
        Unknown or bad settings, parts that do not fit, or parts together with a folder.
    Diverged, RunError
        See :func:`simulator.runs.stages.run_stages`.
    """
    config = chosen(what, paper, changes)
    parts = {name: part for name, part in (("network", network), ("data", data),
                                           ("attack", attack)) if part is not None}
    if parts and folder is not None:
        raise ValueError(f"folder: expected none beside {', '.join(parts)}=, got {folder}: "
                         "the name of a run folder stands for its settings alone")
    from simulator.runs.folder import RunFolder
    from simulator.runs.stages import bar, silent
    module = experiment_module(config.MODEL)
    module.check(config)
    place = None if folder is None else RunFolder.create(Path(folder), config, resume=True)
    if place is not None and place.status().get("state") == "done":
        return stored(place.path)
    if isinstance(progress, bool):
        with bar() if progress else nullcontext(silent) as shown:
            return module.simulate(config, place, shown, **parts)
    return module.simulate(config, place, progress, **parts)


def chosen(what: "str | Config", word: str | None, changes: Mapping[str, Any]) -> "Config":
    """Return the settings of :func:`simulate`: a preset's or given ones, with changes."""
    if isinstance(what, str):
        homes = [entry.name for entry in PAPERS if what in preset_names(entry.name)]
        return config_of({**preset(what, word or (homes or [DEFAULT.name])[0]), **changes})
    if not hasattr(what, "with_"):
        raise TypeError(f"simulate: expected the name of a preset or settings, got {what!r}")
    return what.with_(**changes)


def _module(word: str, part: str) -> ModuleType:
    return importlib.import_module(f"simulator.experiments.{paper(word).name}.{part}")
