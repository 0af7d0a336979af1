"""What a notebook types, as it stands: in a script, and in a notebook that a kernel executes."""

import pytest

from processes import ROOT, run_script

A_RUN = '''import simulator as sim, theory
run = sim.simulate("smoke", d=64, k=4, seed=0)
theory.figures(run)["coefficients"]
sim.bracket(run.network("adversarial"), run.test_set[:20], run.adversary, radii=[0.1, 0.2], boxes=2)
theory.confront("A6", sim.sweep("smoke", d=[40, 50], seeds=2, workers=1, bracket_samples=0))
'''
BY_HAND = '''import simulator as sim
data = sim.SparseCoding(d=64, k=4)
net = sim.SymmetricReLU.initialise(m=1280, d=64, scale=0.01, rng=0)
sim.train(net, data, learning_rate=0.5, steps=500, schedule=sim.TrackingNorm(1.0))
sim.train(net, data, learning_rate=0.5, steps=500,
          adversary=sim.Adversary(sim.L2Ball(0.25), sim.FGM()))
print(sim.feature_metrics(sim.decompose(net, data)))
'''


AS_IT_STANDS = '''import simulator as sim, theory
run = sim.simulate("lottery", d=64, k=4, seed=0)
theory.figures(run)["coefficients"]
sim.bracket(run.network("adversarial"), run.test_set[:20], run.adversary, radii=[0.1, 0.2])
theory.confront("A6", sim.sweep("lottery", d=[64, 128, 256], seeds=3))
'''

# Ten trainings are enough; that the attacks after them are whole ones is asked elsewhere.
BRIEFLY = """from types import SimpleNamespace
from small import shorten_attacks
shorten_attacks(SimpleNamespace(setattr=setattr))
"""


@pytest.mark.parametrize("code", [
    BY_HAND.replace("500", "20"), pytest.param(BY_HAND, marks=pytest.mark.slow),
    pytest.param(BRIEFLY + AS_IT_STANDS, marks=pytest.mark.slow)],
    ids=["by hand, for a moment", "by hand", "a run and a sweep"])
def test_the_snippets_run_in_a_script_as_they_stand(code):
    done = run_script("-c", code, cwd=ROOT, timeout=7200)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_snippets_run_in_a_notebook(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="extra test not installed")
    nbclient = pytest.importorskip("nbclient", reason="extra test not installed")
    pytest.importorskip("ipykernel", reason="extra test not installed")
    cells = [nbformat.v4.new_code_cell(f"import sys; sys.path.insert(0, {str(ROOT)!r})"),
             *(nbformat.v4.new_code_cell(code) for code in (A_RUN, BY_HAND.replace("500", "50")))]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3",
                            resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = notebook.cells[1].outputs[-1]
    assert "text/html" in shown["data"]  # the findings are shown as a table
    assert "mixture_ratio" in notebook.cells[2].outputs[-1]["text"]
