"""What the tests of commands share: a finished run, and its kin that went wrong."""

import json
import shutil

import pytest

from scripts import simulate

from small import CERTIFIED, shorten_attacks, small_flags


@pytest.fixture(scope="package")
def finished(tmp_path_factory):
    """A folder that holds one finished run, certified, with figures; not to be changed."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        shorten_attacks(patch)
        assert simulate.main([*small_flags(**CERTIFIED), "--out", str(root)]) == 0
    return root


@pytest.fixture
def runs(finished, tmp_path):
    """A copy of the folder with the finished run."""
    return shutil.copytree(finished, tmp_path / "runs")


@pytest.fixture
def folder(runs):
    """The finished run in :func:`runs`."""
    (path,) = runs.iterdir()
    return path


@pytest.fixture
def unfinished(folder):
    """The same run as if it had been interrupted at its end."""
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"state": "interrupted", "files": {}}))
    return folder
