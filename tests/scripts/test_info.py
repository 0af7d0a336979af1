"""``purify info``."""

import json

from scripts import info
from simulator import __version__


def test_info_names_versions_threads_and_caches(capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert info.main([]) == 0
    text = capsys.readouterr().out
    assert f"version           {__version__}\n" in text
    for word in ("numba", "blas", "threads", "OMP_NUM_THREADS=3", "kernel cache", "figure cache"):
        assert word in text


def test_json_has_the_same_facts(capsys):
    assert info.main(["--format", "json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(info.facts())
