"""The guard around every command: one line and an exit code, whatever goes wrong."""

import errno
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from scripts import command
from scripts.command import guarded, show, tell
from simulator.errors import Diverged, RunError, Stopped

ROOT = Path(command.__file__).parent.parent


def raising(error):
    def work():
        raise error
    return work


@pytest.mark.parametrize("error, code, line", [
    (RunError("there is no run"), 2, "purify x: error: there is no run"),
    (ValueError("k: expected\n  at most 5"), 2, "purify x: error: k: expected at most 5"),
    (TypeError("d: expected a number"), 2, "purify x: error: d: expected a number"),
    (OverflowError("int too large"), 2, "purify x: error: a number is too large: int too large"),
    (RecursionError("maximum depth"), 2,
     "purify x: error: expected settings, got something nested too deep"),
    (OSError(errno.ENAMETOOLONG, "File name too long", "runs/a"), 2,
     "purify x: error: runs/a: File name too long"),
    (MemoryError("Unable to allocate 8 GiB"), 2,
     "purify x: error: out of memory: Unable to allocate 8 GiB"),
    (MemoryError(), 2, "purify x: error: out of memory: expected a smaller size"),
    (ModuleNotFoundError("No module named 'torch'"), 2,
     "purify x: error: No module named 'torch'"),
    (KeyError("weights"), 2, "purify x: error: KeyError: 'weights' (not foreseen: "
     "PURIFY_TRACEBACK=1 shows where)"),
    (Diverged(7, np.inf), 3, "purify x: error: training diverged at step 7: loss inf"),
    (Stopped(), 130, "purify x: interrupted"),
    (KeyboardInterrupt(), 130, "purify x: interrupted")], ids=repr)
def test_an_error_is_one_line_and_an_exit_code(capsys, error, code, line):
    assert guarded("purify x", raising(error), own=False) == code
    assert capsys.readouterr() == ("", f"{line}\n")


def test_who_looks_for_the_cause_gets_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("PURIFY_TRACEBACK", "1")
    assert guarded("purify x", raising(KeyError("weights")), own=False) == 2
    assert "Traceback" in capsys.readouterr().err


def test_the_code_of_the_work_is_passed_on(capsys):
    for code in (0, 1, 3):
        assert guarded("purify x", lambda: code, own=False) == code
    assert capsys.readouterr() == ("", "")


def test_a_run_that_overflows_says_so_once_and_in_one_line(capsys):
    def work():
        for _ in range(3):
            np.float64(1e300) * np.float64(1e300)
            np.array([1.0]) / 0.0
        warnings.warn("an old setting", FutureWarning)
        return 0

    assert guarded("purify x", work, own=False) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "warning: an old setting"
    assert len(lines) == 2 and "overflow" in lines[1] and "divide by zero" in lines[1]


def test_a_run_that_diverges_leaves_the_warnings_of_numpy_out(capsys):
    def work():
        np.float64(1e300) * np.float64(1e300)
        raise Diverged(1, np.inf)

    assert guarded("purify x", work, own=False) == 3
    assert capsys.readouterr().err == "purify x: error: training diverged at step 1: loss inf\n"


def test_what_shadows_a_package_of_ours_is_named(capsys, monkeypatch, tmp_path):
    import types
    foreign = types.ModuleType("simulator")
    foreign.__file__ = str(tmp_path / "simulator.py")
    monkeypatch.setitem(sys.modules, "simulator", foreign)
    assert guarded("purify x", raising(ModuleNotFoundError("'simulator' is not a package")),
                   own=False) == 2
    error = capsys.readouterr().err
    assert f"found {tmp_path / 'simulator.py'}, which shadows it" in error
    assert error.count("\n") == 1


def test_a_message_never_fails(monkeypatch):
    class Closed:
        def write(self, *text):
            raise BrokenPipeError
        flush = isatty = write

    monkeypatch.setattr(sys, "stderr", Closed())
    tell("anything")
    monkeypatch.setattr(sys, "stderr", None)
    tell("anything")


def purify(arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "scripts.cli", *arguments], text=True, cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


PRINTING = ("import sys; from scripts.command import *\n"
            "sys.exit(guarded('purify x', lambda: [show('a' * 99) for _ in range(9999)] and 0, "
            "own=True))")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_is_quiet(unbuffered):
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", PRINTING], stdout=writer, cwd=ROOT,
                               stderr=subprocess.PIPE, env=os.environ | {
                                   "PYTHONUNBUFFERED": unbuffered})
    os.close(writer)
    os.read(reader, 100)
    os.close(reader)
    assert process.communicate()[1] == b""
    assert process.returncode == 0


@pytest.mark.parametrize("code", [PRINTING, PRINTING.replace("show('a' * 99)", "print()")
                                  .replace("9999", "9")])
def test_a_full_disk_behind_stdout_is_one_line(code):
    with open("/dev/full", "w") as full:
        process = subprocess.run([sys.executable, "-c", code], stdout=full, text=True, cwd=ROOT,
                                 stderr=subprocess.PIPE)
    assert process.returncode == 2
    assert process.stderr.startswith("purify x: error: ") and process.stderr.count("\n") == 1
    assert "No space left on device" in process.stderr


def test_a_terminal_without_the_letters_gets_others():
    code = PRINTING.replace("'a' * 99", "'\\u2212'").replace("9999", "1")
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT,
                             env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (process.returncode, process.stdout, process.stderr) == (0, b"?\n", b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("loading", ["_multiarray_umath", "llvmlite", "scipy"])
def test_an_interrupt_while_modules_load_is_quiet(number, loading, tmp_path):
    process = purify(["simulate", "--preset", "smoke", "--out", str(tmp_path), "--no-figures"])
    while loading not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    error = process.communicate()[1]
    assert process.returncode == 130
    assert error.count("\n") == 1 and "interrupted" in error


def test_once_it_is_ready_an_interrupt_can_be_cleaned_up_after():
    code = ("import os, signal, sys; from scripts.command import *\n"
            "def work():\n"
            "    ready()\n"
            "    try:\n"
            "        os.kill(os.getpid(), signal.SIGTERM)\n"
            "    finally:\n"
            "        show('cleaned up')\n"
            "sys.exit(guarded('purify x', work, own=True))")
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (process.returncode, process.stdout, process.stderr) == (
        130, "cleaned up\n", "purify x: interrupted\n")


def test_an_interrupt_inside_generated_code_is_an_exit_code_too(tmp_path):
    """As ``python -m``: only there Python looks at its end whether such an interrupt came."""
    (tmp_path / "interrupted.py").write_text(
        "import sys; from scripts.command import *\n"
        "def work():\n"
        "    ready()\n"
        "    exec('import os, signal; os.kill(os.getpid(), signal.SIGINT)')\n"
        "sys.exit(guarded('purify x', work, own=True))")
    process = subprocess.run(
        [sys.executable, "-m", "interrupted"], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"})
    assert (process.returncode, process.stderr) == (130, "purify x: interrupted\n")


def test_a_command_in_this_process_leaves_its_signals_alone():
    before = signal.getsignal(signal.SIGINT)
    guarded("purify x", lambda: 0, own=False)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_result_is_printed_at_once(capsys):
    show("a result")
    assert capsys.readouterr().out == "a result\n"
