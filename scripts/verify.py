"""``purify verify``: run what the claims need, confront them, and write a report.

Runs are ordinary run folders in --out: finished ones are found again, so the same command
continues where it was stopped. The verdicts go to stdout and, with figures and one HTML page,
to <out>/verify-<preset>/.
"""

import argparse
import difflib
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from scripts.options import Parser
from scripts.presets import PLANS, plan, plan_settings

__all__ = ["main"]

LOG = logging.getLogger("purify")


def main(argv: Sequence[str] | None = None) -> int:
    """Verify claims; return the exit code, 1 if one fails."""
    parser = Parser(prog="purify verify", description=__doc__)
    parser.add_argument("--preset", metavar="NAME", default="desk",
                        help=f"{', '.join(PLANS)} (default: desk): under a minute, up to 20 "
                        "minutes, many hours")
    parser.add_argument("--claims", metavar="IDS", help="some of the claims, as in A2,A6")
    parser.add_argument("--seeds", metavar="N", type=int, help="seeds 0 to N-1 of every size")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs"),
                        help="folder that holds the run folders (default: runs)")
    parser.add_argument("--dry-run", action="store_true", help="list the runs, and do nothing")
    parser.add_argument("--format", choices=("text", "json"), default="text",
                        help="json prints the findings alone on stdout")
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    LOG.setLevel(logging.INFO)
    from simulator.runs import RunError
    try:
        return _verify(arguments, list(sys.argv[1:] if argv is None else argv))
    except (RunError, TypeError, ValueError) as error:
        print(f"purify verify: error: {error}", file=sys.stderr)
        return 2


def _verify(arguments: argparse.Namespace, typed: list[str]) -> int:
    from simulator.config import SimulationConfig
    from simulator.simulation import Stopped
    from simulator.training import Diverged
    chosen = plan(arguments.preset)
    if arguments.seeds is not None and arguments.seeds < 1:
        raise ValueError(f"--seeds: expected at least 1, got {arguments.seeds}")
    claims = _claims(arguments.claims)
    configs = [SimulationConfig.from_settings(settings) for settings in plan_settings(
        chosen, [module.CLAIM.id for module in claims], arguments.seeds)]
    if arguments.dry_run:
        for config in configs:
            print(f"{config.name:<8} d={config.d:<4} k={config.k:<3} m={config.m:<6} "
                  f"seed={config.seed}")
        return 0
    try:
        runs = _finished(configs, arguments.out)
    except Diverged as error:
        print(f"purify verify: {error}", file=sys.stderr)
        return 3
    except Stopped:
        print("purify verify: interrupted; the same command continues", file=sys.stderr)
        return 130
    return _conclude(arguments, "purify verify " + " ".join(typed), claims, runs)


def _claims(text: str | None) -> tuple[ModuleType, ...]:
    """The claims named, in the order of the paper."""
    from theory.feature_purification import CLAIMS
    if text is None:
        return CLAIMS
    known = {module.CLAIM.id: module for module in CLAIMS}
    wanted = [name.strip() for name in text.split(",")]
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise ValueError(f"--claims {name}: unknown; {hint}")
    return tuple(module for name, module in known.items() if name in wanted)


def _finished(configs: Sequence[Any], root: Path) -> list[Any]:
    """Do the runs that are not done yet; return all of them."""
    from scripts.simulate import Progress
    from simulator.config import config_hash
    from simulator.runs import RunError, RunFolder
    from simulator.simulation import simulate
    from theory.claim import Run
    runs = []
    for number, config in enumerate(configs, 1):
        folder = RunFolder(root / f"{config.name}-{config_hash(config)}")
        state = folder.status().get("state")
        if state == "done" and not folder.is_done():
            raise RunError(f"{folder.path}: finished, but its files have changed since: "
                           "delete the folder to run again")
        if state != "done":
            LOG.info("run %d of %d: %s, d=%d, k=%d, seed %d", number, len(configs), config.name,
                     config.d, config.k, config.seed)
            folder = RunFolder.create(root, config, resume=state is not None)
            with Progress() as progress:
                simulate(config, folder, progress)
        runs.append(Run.stored(folder))
    return runs


def _conclude(arguments: argparse.Namespace, command: str, claims: Sequence[ModuleType],
              runs: Sequence[Any]) -> int:
    from simulator.runs import environment, write_atomic
    from theory.claim import FAILS
    from theory.claim_plots import draw_findings
    from theory.feature_purification import confront_all
    from theory.report import html_report
    LOG.info("confronting %d claims with %d runs", len(claims), len(runs))
    findings = confront_all(runs, claims)
    folder = arguments.out / f"verify-{arguments.preset}"
    draw_findings(findings, folder / "figures")
    content = json.dumps({"findings": [finding.to_dict() for finding in findings]}, indent=2)
    write_atomic(folder / "findings.json", f"{content}\n".encode())
    page = html_report(findings, runs, command, environment(runs[0].config.threads))
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
