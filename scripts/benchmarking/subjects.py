"""The networks of the case "certificates": of small runs trained here, or of stored ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.benchmarking.certificates import Subject
from scripts.progress import Progress
from simulator.attacks.adversary import Adversary
from simulator.balls import L2Ball, LinfBall, ball_of
from simulator.checks import require_int
from simulator.errors import RunError
from simulator.experiments import PAPERS, paper, stored
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.experiment import PHASES
from simulator.experiments.feature_purification.run import simulate
from simulator.runs.config import config_hash
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run

__all__ = ["SIZES", "stored_run", "subject_of", "trained_run"]

# Sizes at which peers end in minutes: the presets' own take hours.
SIZES: dict[str, dict[str, Any]] = {"desk": {"d": 100, "k": 5}, "lottery": {"d": 64, "k": 4}}
SHARES = {"l2": (0.5, 1.0, 1.5), "linf": (0.5, 1.0, 2.0)}  # radii, in units of tau


def trained_run(config: PurificationConfig, root: Path) -> Run:
    """Return the run of a config in a folder below ``root``, trained now unless it is there.

    Raises
    ------
    Diverged, Stopped, RunError
        As for every run.
    """
    folder = RunFolder.create(root, config, resume=True)
    if folder.is_done():
        return stored(folder.path)
    with Progress() as progress:
        return simulate(config, folder, progress)


def stored_run(path: Path) -> Run:
    """Return a finished run whose networks have bounds, or raise RunError."""
    run = stored(path)
    config = run.config
    if paper(config.MODEL) != PAPERS[0]:
        raise RunError(f"{path}: expected a run of {PAPERS[0].name}, got one of "
                       f"{paper(config.MODEL).name}: peers read the symmetric network alone")
    if config.smoothing > 0.0:
        raise RunError(f"{path}: expected networks without smoothing, got smoothing="
                       f"{config.smoothing:g}: the bounds are for the plain soft threshold")
    return run


def subject_of(run: Run, samples: int, norm: str | None, radii: Sequence[float]) -> Subject:
    """Return the networks of a run with their first test samples.

    Parameters
    ----------
    run : Run
    samples : int
    norm : "l2", "linf" or None
        None is the run's own.
    radii : sequence of float
        Ascending; none of them: shares of tau, which a run of another norm does not tell.

    Raises
    ------
    ValueError
        More samples than there are, or no radii of that norm.
    """
    config = run.config
    require_int("--samples", samples, low=1, high=config.test_samples,
                why=f"the run has {config.test_samples} test samples")
    norm = norm or config.norm
    if not radii and norm != config.norm:
        raise ValueError(f"--norm {norm}: expected --radius R too: {config.name}-"
                         f"{config_hash(config)} has a tau of {config.norm}")
    adversary: Adversary = run.adversary
    if norm != config.norm:
        adversary = Adversary(ball_of(norm, 0.0), adversary.attacks, strong=adversary.strong,
                              seed=adversary.seed, chunk=adversary.chunk)
    networks: dict[str, Any] = {phase: run.network(phase) for phase in PHASES}
    assert isinstance(adversary.ball, (L2Ball, LinfBall))
    return Subject(f"{config.name}-{config_hash(config)}", networks, run.test_set[:samples],
                   adversary, list(radii) or [share * config.tau for share in SHARES[norm]],
                   run.experiment.data.dictionary if norm == "l2" else None)
