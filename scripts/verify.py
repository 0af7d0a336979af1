"""``purify verify``: run what the claims need, confront them, and write a report.

Runs are ordinary run folders in --out: finished ones are found again, so the same command
continues where it was stopped. The verdicts go to stdout and, with figures and one HTML page,
to <out>/verify-<preset>/ (verify-<paper>-<preset>/ for a companion paper).
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from scripts.options import Parser
from scripts.progress import Stop, shown
from simulator.experiments import PAPERS, paper
from simulator.names import hint

__all__ = ["main"]

LOG = logging.getLogger("purify")


def main(argv: Sequence[str] | None = None) -> int:
    """Verify claims; return the exit code, 1 if one fails."""
    parser = Parser(prog="purify verify", description=__doc__)
    parser.add_argument("--preset", metavar="NAME", default="desk",
                        help="smoke, desk, phase, paper (default: desk): under a minute, up to 20 "
                        "minutes, an hour (claim R1), many hours")
    parser.add_argument("--paper", metavar="NAME", help="the paper of the claims "
                        "(default: that of --claims, or purification)")
    parser.add_argument("--claims", metavar="IDS", help="some claims of a paper, as in A2,A6")
    parser.add_argument("--seeds", metavar="N", type=int, help="seeds 0 to N-1 of every size")
    parser.add_argument("--workers", metavar="N", type=int,
                        help="runs at once (default: one a core, fewer where memory is short)")
    parser.add_argument("--shard", metavar="I/N", help="only do piece I of N of the runs; when "
                        "all are in --out, the command without --shard confronts them")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs"),
                        help="folder that holds the run folders (default: runs)")
    parser.add_argument("--dry-run", action="store_true", help="list the runs, and do nothing")
    parser.add_argument("--format", choices=("text", "json"), default="text",
                        help="json prints the findings alone on stdout")
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    LOG.setLevel(logging.INFO)
    from simulator.errors import RunError
    try:
        return _verify(arguments, list(sys.argv[1:] if argv is None else argv))
    except (RunError, TypeError, ValueError) as error:
        print(f"purify verify: error: {error}", file=sys.stderr)
        return 2


def _verify(arguments: argparse.Namespace, typed: list[str]) -> int:
    from simulator.checks import require_int
    from simulator.experiments import config_of
    from simulator.sweeps.plan import shard_of
    from theory.plans import plan, plan_settings
    for flag in ("seeds", "workers"):
        if getattr(arguments, flag) is not None:
            require_int(f"--{flag}", getattr(arguments, flag), low=1)
    module, name = _paper(arguments)
    chosen = plan(arguments.preset, name)
    theorems = _chosen(module, arguments.claims, chosen.get("claims", ()))

    def configs_for(claims: list[str]) -> list[Any]:
        return [config_of(settings) for settings in plan_settings(chosen, claims, arguments.seeds,
                                                                  name)]

    configs = configs_for([theorem.claim.id for theorem in theorems])
    if arguments.shard is not None:
        index, count = shard_of(arguments.shard)
        configs = configs[index::count]
    if arguments.dry_run:
        for config in configs:
            print(_described(config))
        return 0
    code = _complete(configs, arguments)
    if code != 0:
        return code
    if arguments.shard is not None:
        LOG.info("%d runs done; with all pieces in %s, the command without --shard confronts them",
                 len(configs), arguments.out)
        return 0
    made_for = {theorem: set(configs_for([theorem.claim.id])) for theorem in theorems}
    return _conclude(arguments, name, "purify verify " + " ".join(typed), module.TITLE, made_for,
                     configs)


def _paper(arguments: argparse.Namespace) -> tuple[ModuleType, str]:
    """Return the module and the name of the paper: the one named, or that of the claims."""
    from theory.papers import paper as module_of
    letter = (arguments.claims or "").strip()[:1].upper()
    if arguments.paper is not None:
        chosen = paper(arguments.paper)
    else:
        chosen = next((entry for entry in PAPERS if letter and letter in entry.letters), PAPERS[0])
    return module_of(chosen.name), chosen.name


def _chosen(module: ModuleType, text: str | None, default: Sequence[str]) -> tuple[Any, ...]:
    """The claims named, in the order of the paper; without names the plan's, or all."""
    if text is None:
        return tuple(theorem for theorem in module.CLAIMS
                     if not default or theorem.claim.id in default)
    known = {theorem.claim.id: theorem for theorem in module.CLAIMS}
    wanted = [name.strip() for name in text.split(",")]
    for name in wanted:
        if name not in known:
            raise ValueError(f"--claims {name}: unknown; {hint(name.upper(), known)}")
    return tuple(theorem for name, theorem in known.items() if name in wanted)


def _described(config: Any) -> str:
    settings = config.to_dict()
    shown = " ".join(f"{key}={settings[key]}" for key in ("d", "k", "m", "seed") if key in settings)
    return f"{config.name:<8} {shown}"


def _complete(configs: Sequence[Any], arguments: argparse.Namespace) -> int:
    """Do the runs that are not done yet; return an exit code, 0 if all are done."""
    from simulator.errors import RunError
    from simulator.sweeps.local import CHANGED, left_to_do
    todo, settled = left_to_do(arguments.out, configs, resume=True)
    again = []  # one that diverged or failed is tried again: the reason may be gone
    for outcome in settled:
        if outcome.error == CHANGED:
            raise RunError(f"{outcome.config.name}, {_described(outcome.config)}: {CHANGED}: "
                           "delete its folder to run again")
        if outcome.state != "done":
            again.append(outcome.config)
    todo += again
    with Stop() as stop:
        outcomes = list(shown(len(configs), len(configs) - len(todo),
                              _engine(todo, arguments, stop), _described))
    if stop():
        print("purify verify: interrupted; the same command continues", file=sys.stderr)
        return 130
    bad = [outcome for outcome in outcomes if outcome.state != "done"]
    for outcome in bad:
        print(f"purify verify: {_described(outcome.config)}: {outcome.state}: {outcome.error}",
              file=sys.stderr)
    return 3 if bad else 0


def _engine(todo: list[Any], arguments: argparse.Namespace, stop: Stop) -> Iterator[Any]:
    """Return the iterator that does the runs."""
    from simulator.sweeps.local import here, processes, worker_count
    workers = worker_count(todo, arguments.workers)
    if workers == 1:
        return here(todo, arguments.out, stop)
    return processes(todo, arguments.out, workers, stop)


def _conclude(arguments: argparse.Namespace, name: str, command: str, title: str,
              made_for: dict[Any, set[Any]], configs: Sequence[Any]) -> int:
    """Confront each claim with the runs made for it, and write what came of it."""
    from simulator.runs.folder import RunFolder, environment, write_atomic
    from theory.claim import FAILS, Run, confront_all
    from theory.drawing.claims import draw_findings
    from theory.report import html_report
    runs = [Run.stored(RunFolder.of(arguments.out, config)) for config in configs]
    LOG.info("confronting %d claims with %d runs", len(made_for), len(runs))
    findings = confront_all(runs, list(made_for),
                            lambda theorem, run: run.config in made_for[theorem])
    which = arguments.preset if name == PAPERS[0].name else f"{name}-{arguments.preset}"
    folder = arguments.out / f"verify-{which}"
    draw_findings(findings, folder / "figures")
    content = json.dumps({"findings": [finding.to_dict() for finding in findings]}, indent=2)
    write_atomic(folder / "findings.json", f"{content}\n".encode())
    page = html_report(findings, runs, command, environment(runs[0].config.threads), title)
    write_atomic(folder / "report.html", page.encode())
    print(content if arguments.format == "json" else _table(findings))
    LOG.info("report: %s", folder / "report.html")
    return 1 if any(finding.verdict == FAILS for finding in findings) else 0


def _table(findings: Sequence[Any]) -> str:
    from theory.report import number
    lines = [f"{'':4}{'verdict':<20}{'measured':>9}  {'95 % interval':<18}{'expected':>9}  claim"]
    for finding in findings:
        interval = (f"[{number(finding.low)}, {number(finding.high)}]" if finding.measurements
                    else "")
        lines.append(f"{finding.id:<4}{finding.verdict:<20}{number(finding.measured):>9}  "
                     f"{interval:<18}{number(finding.claim.expected):>9}  {finding.claim.title}")
        lines += [f"      {caveat}" for caveat in finding.caveats]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
