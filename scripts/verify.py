"""``purify verify``: run what the claims need, confront them, and write a report.

Runs are ordinary run folders in --out: finished ones are found again, so the same command
continues where it was stopped. The verdicts go to stdout and, with figures and one HTML page, to
a folder verify-PRESET in --out; another paper than the first has its name in it. Some claims of a
paper update their rows of that page. What seeds below 2000 say is no verdict, and goes to a folder
of its own, verify-PRESET-exploring.

A theorem need not be of this package: --claims-from takes a file with CLAIM, RUNS and
confront(runs), like those in theory/feature_purification. Its page is verify-PRESET-own.
"""

import argparse
import logging
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.command import DIVERGED, FAILED, INTERRUPTED, OK, explained, guarded, ready, show, tell
from scripts.options import (Parser, add_format_option, add_out_option, add_paper_option,
                             add_workers_option, given_paper, require_free, require_memory,
                             require_word)
from scripts.progress import Stop, shown
from simulator.experiments import PAPERS, Paper, paper
from simulator.names import hint, require_known

if TYPE_CHECKING:
    from simulator.runs.config import Config
    from simulator.sweeps.local import Outcome
    from theory.claim import Finding, Theorem

__all__ = ["main", "parser", "table"]

LOG = logging.getLogger("purify")
WIDTH = 100
PATIENCE = 600.0  # seconds for another call to add its findings to the same page


def main(argv: Sequence[str] | None = None) -> int:
    """Verify claims; return the exit code, 1 if one fails."""
    typed = list(sys.argv[1:] if argv is None else argv)
    return guarded("purify verify", lambda: _verify(parser().parse_args(typed), typed),
                   own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify verify", description=__doc__)
    built.add_argument("--preset", metavar="NAME", default="desk",
                       help="smoke, desk, theorem (the abstract, A0), regimes (presets lottery and "
                       "desk), width, paper, and for claim R1 phase and large; --dry-run "
                       "tells how long each takes (default: desk)")
    add_paper_option(built, f"that of --claims, or {PAPERS[0].name}")
    built.add_argument("--claims", metavar="IDS", help="some claims of a paper, as in A2,A6")
    built.add_argument("--claims-from", metavar="FILE", type=Path, action="append", default=[],
                       help="a theorem of your own; may be given again")
    built.add_argument("--seeds", metavar="N",
                       help="first:end, as in 2000:2008, or N for 0 to N-1, or exploring "
                       "(default: judging, each family's own from 2000); a verdict needs seeds "
                       "from 2000")
    add_workers_option(built)
    built.add_argument("--shard", metavar="I/N", help="only do piece I of N of the runs; when "
                       "all are in --out, the command without --shard confronts them")
    add_out_option(built)
    built.add_argument("--dry-run", action="store_true",
                       help="list the runs with memory, disk and time, and do nothing")
    add_format_option(built, "the findings")
    return built


def _verify(arguments: argparse.Namespace, typed: list[str]) -> int:
    """Choose claims, do the runs they need, confront them."""
    require_word("--preset", arguments.preset)
    ready()
    from simulator.checks import require_int
    from simulator.sweeps.plan import shard_of
    if arguments.workers is not None:
        require_int("--workers", arguments.workers, low=1)
    piece = shard_of(arguments.shard) if arguments.shard is not None else None
    task = _task(arguments)
    require_free([arguments.out / task.folder / name for name in (
        "findings.json", "calls.json", "report.html")], force=True, read=arguments.claims_from)
    configs = list(task.configs)
    if piece is not None:
        configs = configs[piece[0]::piece[1]]
        if not configs:
            LOG.info("nothing to do for shard %s: there are %d runs, one to a piece",
                     arguments.shard, len(task.configs))
            return OK
    require_memory(configs)
    if arguments.dry_run:
        from scripts.costs import cost_lines
        show("\n".join(cost_lines(configs, arguments.out, arguments.workers, _described)))
        return OK
    code = _complete(configs, arguments)
    if code == OK and piece is None:
        return _conclude(arguments, task, "purify verify " + " ".join(typed))
    if code == OK:
        LOG.info("%d runs done; with all pieces in %s, the command without --shard confronts them",
                 len(configs), arguments.out)
    return code


class _Task(NamedTuple):
    """What is verified, of the claims that are known, the runs for each, and where it is told.

    ``pages`` is what the names of all folders for this paper and plan begin with.
    """

    title: str
    pages: str
    folder: str
    plan: str
    known: "tuple[Theorem, ...]"
    theorems: "tuple[Theorem, ...]"
    hashes: Mapping[str, str]
    made_for: "Mapping[str, frozenset[Config]]"
    configs: "tuple[Config, ...]"


def _task(arguments: argparse.Namespace) -> _Task:
    """Return the claims that were asked for, each with the runs it declares.

    Raises
    ------
    ValueError
        An unknown claim or preset, a file without a claim, or a claim without runs in the preset.
    """
    import theory
    from simulator.experiments import config_of
    from theory.plans import (EXPLORING, JUDGING, for_plan, kind_of, plan_hashes, plan_names,
                              settings_of)
    seeds = _seeds(arguments.seeds)
    outside = [theorem for file in arguments.claims_from for theorem in theory.load_claims(file)]
    entry = _paper(arguments, outside)
    known = [*theory.claims(entry.name), *outside]
    plan = require_known("preset", arguments.preset, plan_names(known))
    # a file given on the command line is meant to be confronted, with others only if they are named
    wanted = (_named(known, arguments.claims) if arguments.claims is not None
              else [theorem.claim.id for theorem in outside] or None)
    theorems = for_plan(known, plan, wanted)
    ids = [theorem.claim.id for theorem in theorems]
    if len(set(ids)) < len(ids):
        raise ValueError(f"--claims-from: expected each id once, got {', '.join(ids)}")

    made: dict[str, Config] = {}  # claims share most runs

    def run(settings: "Mapping[str, Any]") -> "Config":
        key = repr(sorted(settings.items()))
        if key not in made:
            made[key] = config_of(settings)
        return made[key]

    def runs(chosen: "Sequence[Theorem]") -> "list[Config]":
        return [run(settings) for settings in settings_of(chosen, plan, seeds, entry.name)]

    configs = tuple(runs(theorems))
    pages = "-".join(["verify", *([] if entry == PAPERS[0] else [entry.name]), plan])
    # a page is what Holm's correction is over: of the claims of a paper, and of judging seeds alone
    own = ["own"] if outside else []
    explored = [EXPLORING] if kind_of(config.seed for config in configs) != JUDGING else []
    return _Task(entry.title, pages, "-".join([pages, *own, *explored]), plan, tuple(known),
                 tuple(theorems),
                 plan_hashes(known, dict.fromkeys(
                     (theorem.claim.id for theorem in known), plan), entry.name),
                 {theorem.claim.id: frozenset(runs([theorem])) for theorem in theorems}, configs)


def _paper(arguments: argparse.Namespace, outside: "list[Theorem]") -> Paper:
    """Return the paper that is named, or that of the claims, or the first.

    Raises
    ------
    ValueError
        A claim, or a file's, is of another paper.
    """
    own = {theorem.claim.id.upper() for theorem in outside}
    of_claims = {name: _paper_of(name) for name in _names(arguments.claims or "")
                 if name not in own}
    of_files = {paper(theorem.paper or PAPERS[0].name) for theorem in outside}
    chosen = (given_paper(arguments) or next(filter(None, of_claims.values()), None)
              or next(iter(of_files), PAPERS[0]))
    for name, entry in of_claims.items():
        if entry not in (chosen, None):
            raise ValueError(f"--claims: expected claims of {chosen.name}, got {name}, which is of "
                             f"{entry.name}: a page is of one paper")
    for other in of_files - {chosen}:
        raise ValueError(f"--claims-from: expected claims about runs of {chosen.name}, got some "
                         f"about runs of {other.name}")
    return chosen


def _paper_of(name: str) -> Paper | None:
    """The paper that has a claim of this id, if one has."""
    import theory
    return next((entry for entry in PAPERS if name[:1] in tuple(entry.letters)
                 and name in {theorem.claim.id for theorem in theory.claims(entry.name)}), None)


def _names(text: str) -> list[str]:
    """Ids as they were typed, in capitals."""
    return [name.strip().upper() for name in text.split(",")]


def _named(known: "Sequence[Theorem]", text: str) -> list[str]:
    """The ids that are named, each of them known."""
    ids = {theorem.claim.id.upper(): theorem.claim.id for theorem in known}
    for name in _names(text):
        if name not in ids:
            raise ValueError(f"--claims {name}: unknown; {hint(name, list(ids.values()))}")
    return [ids[name] for name in _names(text)]


def _seeds(text: str | None) -> int | str | range | None:
    """Read ``8`` (0 to 7), ``2000:2008`` (2000 to 2007), or one of the two kinds."""
    from simulator.checks import require_int
    from theory.plans import EXPLORING, JUDGING
    if text in (None, EXPLORING, JUDGING):
        return text
    first, colon, last = text.partition(":")
    ends = [part for part in (first, last) if part or colon]
    if not all(part.isascii() and part.lstrip("-").isdigit() for part in ends):
        raise ValueError(f"--seeds {text}: expected a number, first:end as in "
                         "2000:2008, judging or exploring")
    if not colon:
        return require_int("--seeds", int(first), low=1)
    begin = require_int("--seeds: first", int(first), low=0)
    return range(begin, require_int("--seeds: end", int(last), low=begin + 1))


def _described(config: "Config") -> str:
    settings = config.to_dict()
    shown = " ".join(f"{key}={settings[key]}" for key in ("d", "k", "m", "seed") if key in settings)
    return f"{config.name:<8} {shown}"


def _complete(configs: "Sequence[Config]", arguments: argparse.Namespace) -> int:
    """Do the runs that are not done yet; return an exit code, 0 if all are done."""
    from simulator.runs.files import require_usable
    from simulator.runs.folder import RunFolder
    from simulator.sweeps.local import CHANGED, left_to_do, tally
    require_usable(arguments.out)
    todo, settled = left_to_do(arguments.out, configs, resume=True)
    again = []  # one that diverged or failed is tried again: the reason may be gone
    for outcome in settled:
        if outcome.error == CHANGED:
            RunFolder.of(arguments.out, outcome.config).require_unchanged()
        if outcome.state != "done":
            again.append(outcome.config)
    todo += again
    with Stop() as stop:
        outcomes = list(shown(len(configs), len(configs) - len(todo),
                              _engine(todo, arguments, stop), _described))
    if stop():
        tell("purify verify: interrupted; the same command continues")
        return INTERRUPTED
    if any(outcome.state != "done" for outcome in outcomes):
        tell(f"purify verify: nothing confronted: {tally(outcomes, {})}; the same command tries "
             "again")
        return DIVERGED
    return OK


def _engine(todo: "list[Config]", arguments: argparse.Namespace,
            stop: Stop) -> "Iterator[Outcome]":
    """Return the iterator that does the runs."""
    from simulator.sweeps.local import here, processes, worker_count
    workers = worker_count(todo, arguments.workers)
    if workers == 1:
        return here(todo, arguments.out, stop)
    return processes(todo, arguments.out, workers, stop)


def _conclude(arguments: argparse.Namespace, task: _Task, command: str) -> int:
    """Confront each claim with the runs made for it, and add what came of it to the folder."""
    from simulator.experiments import stored
    from simulator.runs.environment import environment
    from simulator.runs.files import locked
    from simulator.runs.folder import RunFolder
    from theory.claim import FAILS, confront_all
    from theory.findings import Call, findings_json, kept_findings, write_findings
    runs = [stored(RunFolder.of(arguments.out, config).path) for config in task.configs]
    LOG.info("confronting %d claims with %d runs", len(task.theorems), len(runs))
    new = [replace(finding, plan=task.plan, plan_hash=task.hashes[finding.id],
                   runs=tuple(RunFolder.of(arguments.out, config).path.name
                              for config in task.configs if config in task.made_for[finding.id]))
           for finding in confront_all(runs, task.theorems, lambda theorem, run:
                                       run.config in task.made_for[theorem.claim.id])]
    ids = {finding.id for finding in new}
    folder = arguments.out / task.folder
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, patience=PATIENCE):
        before = kept_findings(folder, task.known, task.hashes)
        findings = _together(folder, task, before, new)
        held = {finding.id: finding.verdict for finding in before}
        turned = {finding.id for finding in findings
                  if finding.id not in ids and finding.verdict != held[finding.id]}
        shown = [finding for finding in findings if finding.id in ids | turned]
        for name in sorted(turned):
            LOG.warning("warning: claim %s: its verdict changed too, with Holm's correction over "
                        "the claims of the page", name)
        write_findings(folder, findings, ids, Call(today(), command, tuple(sorted(ids)),
                                                   environment(runs[0].config.threads)))
        show(findings_json(shown) if arguments.format == "json" else table(shown))
        _report(folder, task.title, findings, ids)
    return FAILED if any(finding.verdict == FAILS for finding in shown) else OK


def _together(folder: Path, task: _Task, kept: "Sequence[Finding]",
              new: "Sequence[Finding]") -> "list[Finding]":
    """Return what the folder holds with the new findings in their places, and remembered."""
    from theory.confirmation import remembered
    from theory.findings import merged
    findings = merged(kept, new)
    before = _before(folder, task)
    ids = {finding.id for finding in new}
    return [remembered(finding, before.get(finding.id), today()) if finding.id in ids else finding
            for finding in findings]


def _report(folder: Path, title: str, findings: "Sequence[Finding]", new: set[str]) -> None:
    """Write figures of what is new and the page of all; trouble with them is told."""
    from simulator.runs.files import write_atomic
    from theory.drawing.claims import draw_findings
    from theory.report import folder_report
    try:
        draw_findings([finding for finding in findings if finding.id in new], folder / "figures")
        page = folder_report(folder, findings, title)
    except Exception as error:  # whatever Matplotlib or its settings do: the verdicts stand
        LOG.warning("warning: no report: %s", explained(error)[1])
    else:
        write_atomic(folder / "report.html", page.encode())
        LOG.info("report: %s, of %d claims", folder / "report.html", len(findings))


def today() -> str:
    """Return the date, UTC, that verdicts are given on."""
    return datetime.now(timezone.utc).date().isoformat()


def _before(folder: Path, task: _Task) -> dict[str, Any]:
    """Return the entries of the findings that are about to be replaced, by id.

    Those of some claims had folders of their own once, verify-PRESET-CLAIMS, and exploration has
    one today: a verdict in another is remembered where this folder has none.

    Raises
    ------
    Damaged
        They cannot be read: verdicts that somebody may rely on are not overwritten unseen.
    """
    from simulator.runs.files import read_json
    other = folder.parent / task.pages
    files = [folder / "findings.json", other / "findings.json",
             *sorted(folder.parent.glob(f"{task.pages}-*/findings.json"))]
    entries = [entry for file in files if file.exists()
               for entry in read_json(file).get("findings", ())]
    return {entry["id"]: entry for entry in reversed(entries)
            if "thresholds" in entry and entry.get("plan") == task.plan}


def table(findings: "Sequence[Finding]") -> str:
    """Return the findings as text: numbers and verdict, then the claim and what to know of it."""
    from theory.claim import accepted_range
    from theory.confirmation import basis
    from theory.pages.kit import number
    lines = [f"{'':5}{'verdict':<20}{'measured':>9}  {'95 % interval':<18}accepted"]
    for finding in findings:
        interval = accepted = ""
        part = finding.deciding
        if part is not None:
            interval = f"[{number(part.low)}, {number(part.high)}]"
            accepted = accepted_range(part)
        measured = number(finding.measured if part is None else part.measured)
        lines.append(f"{finding.id:<5}{finding.verdict:<20}{measured:>9}  "
                     f"{interval:<18}{accepted}".rstrip())
        told = (basis(finding), *finding.caveats)
        for text, indent in ((finding.claim.title, 5), *((note, 7) for note in told if note)):
            lines += textwrap.wrap(text, WIDTH, initial_indent=" " * indent,
                                   subsequent_indent=" " * indent)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
