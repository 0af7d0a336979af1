"""``purify view``: the page is found or written, opened, and served to this machine alone."""

import http.client
import threading
import webbrowser

import pytest

import theory
from scripts import view
from simulator import experiments
from theory.claim import Claim, Finding, Measurement
from theory.findings import SINCE, Call, write_findings

pytestmark = pytest.mark.usefixtures("brief_attacks")


@pytest.fixture
def opened(monkeypatch):
    """The addresses that a browser was asked to open."""
    asked = []
    monkeypatch.setattr(webbrowser, "open", lambda address: asked.append(address) or True)
    return asked


def verdicts(folder, *ids):
    """A folder of findings about claims, as purify verify leaves it, and its page."""
    folder.mkdir()
    part = Measurement("part", 0.625, 0.5, 0.75, (0.25, 1.0), 0.001)
    found = [Finding(Claim(name, f"title of {name}", "", "", (), "", "", 0.5), "holds", (part,),
                     runs=("gone-0123456789",), plan="desk") for name in ids]
    write_findings(folder, found, ids, Call("2026-11-28", "purify verify --as-it-was-typed", ids,
                                            {"version": "0"}))
    (folder / "report.html").write_text("old")
    return folder, folder / "report.html"


def test_the_page_that_is_there_is_opened_as_a_file(folder, capsys, opened):
    before = (folder / "report.html").read_bytes()  # purify simulate wrote it
    assert view.main([str(folder)]) == 0
    assert opened == [(folder / "report.html").resolve().as_uri()]
    assert capsys.readouterr().out.strip() == str((folder / "report.html").resolve())
    assert (folder / "report.html").read_bytes() == before


def test_a_missing_page_is_written_and_an_old_one_written_anew(folder, opened, monkeypatch):
    monkeypatch.setattr(theory, "run_page", lambda run, drawn: f"page of {run.config.name}")
    (folder / "report.html").unlink()
    assert view.main([str(folder), "--no-open"]) == 0
    assert (folder / "report.html").read_text() == "page of smoke"
    (folder / "report.html").write_text("old")
    assert view.main([str(folder), "--no-open", "--rewrite"]) == 0
    assert (folder / "report.html").read_text() == "page of smoke"
    assert opened == []


def test_verdicts_have_a_page_too(tmp_path, opened):
    (tmp_path / "findings.json").write_text("{}")
    (tmp_path / "report.html").write_text("")
    assert view.main([str(tmp_path)]) == 0
    assert len(opened) == 1


@pytest.mark.parametrize("ids, paper", [
    (("B1", "B2"), "structured_features"), (("Z1", "B2"), "structured_features"),
    (("A1",), "feature_purification"), (("Z1",), "feature_purification")])
def test_the_page_of_verdicts_is_made_of_what_the_folder_keeps(tmp_path, opened, ids, paper):
    folder, page = verdicts(tmp_path / "moved", *ids)
    assert view.main([str(folder), "--no-open", "--rewrite"]) == 0
    text = page.read_text()
    for word in (*ids, "0.625", "purify verify --as-it-was-typed", "gone-0123456789"):
        assert word in text
    assert f"<title>{experiments.paper(paper).title}: claims" in text
    assert (SINCE in text) == (ids != ("Z1",))  # as purify verify says it of claims that it knows
    page.unlink()
    assert view.main([str(folder), "--no-open"]) == 0
    assert page.read_text() == text and opened == []


@pytest.mark.parametrize("name, content, said", [
    ("findings.json", None, "expected JSON, got something else or half a file"),
    ("findings.json", "{}", "expected findings of purify verify, got none"),
    ("findings.json", '{"findings": 3}', "expected findings of purify verify, got TypeError"),
    ("calls.json", None, "expected JSON, got something else or half a file"),
    ("calls.json", '{"calls": [{}]}', "expected calls of purify verify, got KeyError")])
def test_verdicts_that_are_damaged_are_one_line_and_leave_the_page(tmp_path, capsys, name, content,
                                                                   said):
    folder, page = verdicts(tmp_path / "verify-desk", "A1")
    text = (folder / name).read_text()
    (folder / name).write_text(text[:len(text) // 2] if content is None else content)
    assert view.main([str(folder), "--no-open", "--rewrite"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"{name}: {said}" in error
    assert page.read_text() == "old"


def test_a_folder_of_something_else_is_one_line(tmp_path, capsys):
    assert view.main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "expected the folder of a run" in error


def test_an_unfinished_run_is_one_line(unfinished, capsys):
    (unfinished / "report.html").unlink()
    assert view.main([str(unfinished)]) == 2
    assert "expected a finished run" in capsys.readouterr().err


def test_where_nothing_opens_a_file_it_says_so_and_serves_nothing(folder, capsys, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    monkeypatch.setattr(view, "server_of", lambda page: pytest.fail("nobody asked for a server"))
    assert view.main([str(folder)]) == 0
    assert "--serve" in capsys.readouterr().err


# --- the server -------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path):
    """The port of a server of one page, beside another and a file that is none of its business."""
    for name, text in (("sweep", "of the sweep"), ("run", "of the run"), ("zwei Läufe", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.html").write_text(text)
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "report.html").write_text("outside")
    with view.server_of(tmp_path / "sweep" / "report.html") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked(server, path, host="127.0.0.1"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", path, headers={"Host": f"{host}:{server.server_port}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_it_answers_on_the_loopback_address_alone(served):
    assert served.server_address[0] == "127.0.0.1"


def test_it_gives_out_pages_and_nothing_else(served):
    assert asked(served, "/sweep/report.html") == (200, "of the sweep")
    assert asked(served, "/run/report.html") == (200, "of the run")
    assert asked(served, "/zwei%20L%C3%A4ufe/report.html") == (200, "two")
    for path in ("/", "/run/", "/run/config.json", "/report.html", "/sweep/../report.html",
                 "/sweep/%2e%2e/report.html", "//etc/passwd"):
        assert asked(served, path)[0] == 404


def test_it_does_not_answer_to_another_name(served):
    assert asked(served, "/sweep/report.html", "somewhere.example")[0] == 404
    assert asked(served, "/sweep/report.html", "localhost")[0] == 200
