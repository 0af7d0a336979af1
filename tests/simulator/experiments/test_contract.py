"""What holds for the run of every paper: bits, resuming, words, costs, presets."""

import dataclasses
import importlib
import json
import math

import numpy as np
import pytest

from simulator.attacks.gradient import FGM
from simulator.errors import Stopped
from simulator.experiments import PAPERS, config_of, experiment_module, preset, preset_names
from simulator.experiments import stored as load
from simulator.networks.linear import LinearClassifier
from simulator.runs.folder import RunFolder

SMALL = {
    "feature_purification": {
        "d": 20, "k": 2, "m": 40, "batch_size": 50, "clean_steps": 30, "adversarial_steps": 20,
        "test_samples": 60, "evaluation_chunk": 60, "bracket_samples": 6, "bracket_nodes": 3,
        "record_every": 10},
    "structured_features": {
        "d": 20, "m": 8, "nonrobust_patches": 20, "alpha": 2.0, "learning_rate": 0.5,
        "standard_steps": 30, "one_step_steps": 20, "pgd_steps": 6, "multi_start_steps": 6,
        "test_samples": 20, "attack_steps": 2, "evaluation_chunk": 20, "certified_samples": 2,
        "certificate_boxes": 2},
    "ntk_evolution": {
        "d": 16, "k": 2, "m": 40, "batch_size": 60, "steps": 20, "record_every": 5,
        "freeze_every": 20, "frozen_steps": 4, "probe_samples": 40, "spectrum_samples": 50,
        "test_samples": 30, "evaluation_chunk": 30},
    "winning_tickets": {
        "d": 16, "k": 2, "m": 40, "keep_percents": "50", "search_samples": 20,
        "search_steps": 4, "swaps": 20, "steps": 4, "record_every": 2, "batch_size": 40,
        "kernel_samples": 20, "flow_samples": 6, "test_samples": 40},
    "real_images": {
        "m": 12, "clean_steps": 20, "adversarial_steps": 10, "record_every": 10,
        "training_samples": 120, "test_samples": 24, "certified_samples": 4,
        "certificate_boxes": 2, "natural_patches": 400, "features": 20},
}
# One stage of each kind: training, attacks, certificates, kernels, masks.
STAGES = {
    "feature_purification": ("adversarial", "clean: attacks", "clean: curves", "adversarial: r50",
                             "adversarial: masking", "clean: bracket", "adversarial: interval"),
    "structured_features": ("pgd", "attacking one_step", "certifying multi_start"),
    "ntk_evolution": ("second clean", "attacking clean", "spectrum adversarial", "distances",
                      "frozen adversarial 20 centred masked"),
    "winning_tickets": ("dense kernel", "finding swapped-ticket 50 %", "snip 50 %",
                        "random 50 % on common examples"),
    "real_images": ("photographs", "longer", "second adversarial", "attacking adversarial",
                    "certifying clean"),
}
NAMES = [entry.name for entry in PAPERS]
MOMENTS = (0.0, 0.1, 0.4, 0.7, 0.98)  # shares of all steps

pytestmark = pytest.mark.usefixtures("brief_attacks")


def small(name, **changes):
    return config_of(preset("smoke", name) | SMALL[name] | changes)


def simulate(config, *arguments, **parts):
    return experiment_module(config.MODEL).simulate(config, *arguments, **parts)


class Listener:
    """A progress callback that remembers what it was told, and may stop the run."""

    def __init__(self, share=math.inf, what=None):
        self.share, self.what, self.steps, self.names = share, what, [], []

    def __call__(self, step, total, what):
        self.total = total
        self.steps.append(step)
        self.names.append(what)
        if step >= self.share * total or what == self.what:
            raise Stopped


@pytest.fixture(scope="module", params=NAMES)
def whole(request, brief_attacks, tmp_path_factory):
    """(paper, config, folder, result, listener) of a run that nobody disturbed."""
    config, listener = small(request.param), Listener()
    folder = RunFolder.create(tmp_path_factory.mktemp("whole"), config)
    return request.param, config, folder, simulate(config, folder, listener), listener


def files_of(folder):
    return {name: (folder.path / name).read_bytes()
            for name in ("arrays.npz", "metrics.csv", "summary.json")}


def stopped_and_resumed(whole, place, listeners):
    """Stop a run, let it go on, stop it again: it ends as if nobody had disturbed it."""
    _, config, undisturbed, _, _ = whole
    folder = RunFolder.create(place, config)
    for listener in listeners:
        with pytest.raises(Stopped):
            simulate(config, RunFolder.create(place, config, resume=True), listener)
        assert folder.status()["state"] == "interrupted"
    simulate(config, RunFolder.create(place, config, resume=True))
    assert folder.is_done() and files_of(folder) == files_of(undisturbed)


def test_a_run_stopped_at_any_step_goes_on_to_the_same_bytes(whole, tmp_path):
    stopped_and_resumed(whole, tmp_path, map(Listener, MOMENTS))


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_stopped_once_goes_on_to_the_same_bytes(whole, tmp_path, moment):
    stopped_and_resumed(whole, tmp_path, [Listener(moment)])


def test_a_run_stopped_in_any_kind_of_stage_goes_on_to_the_same_bytes(whole, tmp_path):
    stages = sorted(STAGES[whole[0]], key=whole[-1].names.index)
    stopped_and_resumed(whole, tmp_path, [Listener(what=name) for name in stages])


def test_what_was_trained_before_a_stop_is_not_trained_again(whole, tmp_path):
    _, config, _, _, listener = whole
    folder = RunFolder.create(tmp_path, config)
    with pytest.raises(Stopped):
        simulate(config, folder, Listener(0.4))
    again = Listener()
    simulate(config, RunFolder.create(tmp_path, config, resume=True), again)
    assert again.steps[0] >= 0.4 * listener.total - 1


def test_a_run_in_memory_is_the_one_on_disk(whole):
    _, config, folder, result, _ = whole
    again, stored = simulate(config), load(folder.path)
    for name, array in result.arrays.items():
        assert np.array_equal(array, again.arrays[name], equal_nan=array.dtype.kind == "f"), name
        assert array.tobytes() == stored.arrays[name].tobytes(), name
    assert again.summary == result.summary == stored.summary
    assert list(again.arrays) == list(stored.arrays)
    assert list(again.history) == list(stored.history)


def test_another_seed_is_another_run(whole):
    _, config, _, result, _ = whole
    assert simulate(config.with_seed(config.seed + 1)).summary != result.summary


def test_progress_never_goes_back_and_ends_at_the_end(whole):
    listener = whole[-1]
    assert listener.steps == sorted(listener.steps) and listener.steps[0] == 0
    assert listener.steps[-1] <= listener.total == whole[2].status()["step"]


def test_a_summary_is_strict_json_of_known_words(whole):
    name, config, _, result, _ = whole
    json.dumps(result.summary, allow_nan=False)
    summary = importlib.import_module(f"simulator.experiments.{name}.summary")
    for numbers in networks_of(result.summary):
        for key, value in numbers.items():
            # a number is the percentage that a mask keeps
            assert key in summary.ROWS or key in summary.__doc__ or key.isdecimal(), key
    assert summary.current(result.summary) == result.summary


def networks_of(content):
    """The dictionaries of a summary that hold numbers themselves, the summary among them."""
    inner = [value for value in content.values() if isinstance(value, dict)]
    if any(not isinstance(value, (dict, list)) for value in content.values()):
        yield {key: value for key, value in content.items() if not isinstance(value, dict)}
    for numbers in inner:
        yield from networks_of(numbers)


def test_the_tables_show_what_the_summary_has_and_fit_a_terminal(whole):
    name, config, _, result, _ = whole
    summary = importlib.import_module(f"simulator.experiments.{name}.summary")
    shown = summary.tables(config, result.summary)
    assert shown and all(len(cells) == len(table.columns) for table in shown
                         for _, cells in table.rows)
    for table in shown:
        label = max(len(words) for words, _ in table.rows)
        longest = [max(map(len, head.split())) for head in table.columns]
        assert label + sum(max(8, width) + 2 for width in longest) <= 100


def test_parts_of_ones_own_are_taken_or_refused_in_a_line(whole):
    name, config, _, result, _ = whole
    experiment = config.experiment()
    network = experiment.network(*experiment.everything).plain if name == "winning_tickets" else (
        experiment.initial_network())
    network.weights *= 1.5
    weights = network.weights.copy()
    other = simulate(config, network=network, data=experiment.data, attack=FGM())
    assert other.summary != result.summary
    assert np.array_equal(network.weights, weights)  # a copy was trained
    refused = [(FGM(), "network: expected an object with a method gradient_step")]
    if name != "feature_purification":  # whose trainings and attacks take any network
        refused.append((LinearClassifier(np.ones(config.d)), "network: expected a S"))
    for part, message in refused:
        with pytest.raises(TypeError, match=message):
            config.experiment(network=part)


@pytest.mark.parametrize("name", NAMES)
def test_a_larger_run_costs_more(name):
    module, config = experiment_module(name), small(name)
    larger = dataclasses.replace(config, d=2 * config.d, m=2 * config.m)
    assert module.cost(larger).memory > module.cost(config).memory > 0
    assert module.cost(larger).training_flops > module.cost(config).training_flops > 0
    assert module.cost(config).steps > 0


@pytest.mark.parametrize("name, word", [(name, word) for name in NAMES
                                        for word in preset_names(name)])
def test_every_preset_is_a_config_whose_objects_can_be_made(name, word):
    config = config_of(preset(word, name))
    experiment_module(name).check(config)
    assert config.size[0] == config.d and config.to_dict()["model"] == config.MODEL
