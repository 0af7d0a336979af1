"""``purify view``: open the page of a run, of a sweep or of verdicts in the browser.

The page is a file that needs no other; it is written if it is not there yet: of verdicts from what
their folder keeps, findings.json and beside it calls.json and figures/. Where no browser can open a
file, as on a machine without a screen, --serve shows the page on a free port of this
machine's own address (127.0.0.1) until Ctrl-C; nobody else can reach it.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from scripts.command import OK, guarded, ready, show, tell
from scripts.options import Parser

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simulator.experiments import Paper
    from theory.claim import Finding

__all__ = ["main", "page_of", "parser", "server_of", "write_findings_page",
           "write_run_page", "write_sweep_page"]

LOG = logging.getLogger("purify")
PAGE = "report.html"
FINDINGS = "findings.json"
OWN_NAMES = ("127.0.0.1", "localhost")


def main(argv: Sequence[str] | None = None) -> int:
    """Open the page; return 0, or 2 where there is none to open."""
    return guarded("purify view", lambda: _view(parser().parse_args(argv)), own=argv is None)


def parser() -> Parser:
    """Return the parser of the command."""
    built = Parser(prog="purify view", description=__doc__)
    built.add_argument("place", metavar="FOLDER", type=Path,
                       help="folder of a run, of a sweep or of purify verify")
    built.add_argument("--rewrite", action="store_true", help="write the page anew")
    how = built.add_mutually_exclusive_group()
    how.add_argument("--no-open", action="store_true", help="only say where the page is")
    how.add_argument("--serve", action="store_true",
                     help="show it on 127.0.0.1 until Ctrl-C, and do not open it")
    return built


def _view(arguments: argparse.Namespace) -> int:
    page = page_of(arguments.place, arguments.rewrite)
    show(str(page))
    if arguments.no_open or not arguments.serve and _opened(page):
        return OK
    if not arguments.serve and not sys.stderr.isatty():
        LOG.info("no browser could open it here: copy the file, or add --serve")
        return OK
    with server_of(page) as server:
        address = quote(f"{page.parent.name}/{page.name}")
        tell(f"http://127.0.0.1:{server.server_port}/{address}  (Ctrl-C ends; "
             f"from afar: ssh -L {server.server_port}:127.0.0.1:{server.server_port} ...)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return OK
    return OK


def page_of(place: Path, rewrite: bool = False) -> Path:
    """Return the page of a folder, written now where it is missing.

    Raises
    ------
    RunError
        It is no folder of a finished run, of a sweep or of verdicts.
    """
    from simulator.errors import RunError
    page = place.resolve() / PAGE
    if (place / "config.json").is_file():
        return page if page.is_file() and not rewrite else write_run_page(place)
    if (place / "plan.json").is_file():
        return page if page.is_file() and not rewrite else write_sweep_page(place)
    if (place / FINDINGS).is_file():
        return page if page.is_file() and not rewrite else write_findings_page(place)
    raise RunError(f"{place}: expected the folder of a run, a sweep or of purify verify, found "
                   f"no config.json, plan.json or {FINDINGS} in it")


def write_run_page(place: Path,
                   drawn: "Mapping[str, Callable[[], Figure]] | None" = None) -> Path:
    """Write the page of a finished run into its folder and return it."""
    ready()
    from simulator.experiments import stored
    from simulator.runs.files import write_atomic
    from theory import run_page
    page = place.resolve() / PAGE
    write_atomic(page, run_page(stored(place), drawn).encode())
    return page


def write_sweep_page(place: Path) -> Path:
    """Write the page of a sweep, and its tables, into its folder and return the page."""
    ready()
    from simulator.runs.files import write_atomic
    from simulator.sweeps.local import write_summary
    from simulator.sweeps.plan import load_plan
    from theory.pages.sweep import sweep_page
    folder, plan = load_plan(place)
    write_summary(folder, plan)
    page = folder.resolve() / PAGE
    write_atomic(page, sweep_page(folder, plan).encode())
    return page


def write_findings_page(place: Path) -> Path:
    """Write the page of verdicts into their folder, from what it keeps, and return the page.

    Raises
    ------
    RunError
        There are no findings, or what the folder keeps is damaged: the page stays as it was.
    """
    ready()
    from simulator.runs.files import locked, write_atomic
    from theory.report import folder_report
    folder = place.resolve()
    with locked(folder):  # purify verify may be at it
        entry, findings = _findings(folder)
        write_atomic(folder / PAGE, folder_report(folder, findings, entry.title).encode())
    return folder / PAGE


def _findings(folder: Path) -> "tuple[Paper, list[Finding]]":
    """Return the findings that a folder keeps, and the paper that they are about."""
    import theory
    from simulator.errors import RunError
    from simulator.experiments import PAPERS
    from theory.findings import kept_findings
    from theory.plans import plan_hashes
    kept = kept_findings(folder, ())
    if not kept:
        raise RunError(f"{folder / FINDINGS}: expected findings of purify verify, got none that "
                       "can be shown: purify verify gives them")
    known = {entry: theory.claims(entry.name) for entry in PAPERS}
    ids = {finding.id for finding in kept}
    entry = next((entry for entry, theorems in known.items()
                  if ids & {theorem.claim.id for theorem in theorems}),
                 next((entry for entry in PAPERS
                       if folder.name.startswith(f"verify-{entry.name}-")), PAPERS[0]))
    hashes = plan_hashes(known[entry], {finding.id: finding.plan for finding in kept}, entry.name)
    return entry, kept_findings(folder, known[entry], hashes)


def _opened(page: Path) -> bool:
    import webbrowser
    try:
        return webbrowser.open(page.as_uri())
    except (webbrowser.Error, OSError):
        return False


def server_of(page: Path) -> ThreadingHTTPServer:
    """Return a server, on a free port of the loopback address, of a page and those beside it.

    It answers for pages alone, files called report.html in the folders beside that of the page (a
    sweep's page links to those of its runs), and only to whoever calls it by its own name.
    """
    root = page.parent.parent
    pages = {f"/{path.parent.name}/{PAGE}": path for path in (page, *root.glob(f"*/{PAGE}"))}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = (self.headers.get("Host") or "").rsplit(":", 1)[0]
            path = _found(pages, self.path) if name in OWN_NAMES else None
            if path is None:
                self.send_error(404)
                return
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing: the terminal is the user's."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def _found(pages: Mapping[str, Path], address: str) -> Path | None:
    return pages.get(unquote(address.split("?")[0]))


if __name__ == "__main__":
    sys.exit(main())
