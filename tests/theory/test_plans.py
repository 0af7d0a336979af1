"""What is run for the claims: every plan resolves, and each claim gets the runs it declares."""

import pytest

import theory
from simulator.experiments import PAPERS, config_of
from simulator.experiments.feature_purification.config import PurificationConfig
from theory.claim import Claim, Theorem
from theory.feature_purification.phase_picture import POWERS
from theory.plans import Family, for_plan, plan_names, settings_of
from theory.scaling import MIN_RATIO, MIN_SEEDS, MIN_SIZES, vary_separately

CLAIMS = {theorem.claim.id: theorem for theorem in theory.claims()}


def configs_of(ids, name, seeds=None):
    return [PurificationConfig.from_settings(entry)
            for entry in settings_of([CLAIMS[claim] for claim in ids], name, seeds)]


@pytest.mark.parametrize("paper", [paper.name for paper in PAPERS])
def test_every_claim_has_runs_in_some_plan_with_seeds_enough(paper):
    for theorem in theory.claims(paper):
        assert theorem.runs, theorem.claim.id
        for name, families in theorem.runs.items():
            assert all(family.seeds >= MIN_SEEDS for family in families)
            assert [config_of(settings) for settings in settings_of([theorem], name, 1, paper)]


@pytest.mark.parametrize("name, family", [("desk", "theorem-wide"), ("paper", "theorem-wide"),
                                          ("regimes", "lottery"), ("paper", "lottery")])
def test_a_plan_is_valid_and_varies_d_and_k_separately(name, family):
    configs = configs_of([claim for claim in CLAIMS if claim != "R1"  # it rounds k to d^a
                          and name in CLAIMS[claim].runs], name, 1)
    assert all(config.k**2 <= config.d for config in configs)
    own = [config for config in configs if config.name == family]
    assert len(own) >= MIN_SIZES
    assert vary_separately([c.d for c in own], [c.k for c in own])


@pytest.mark.parametrize("name", ["phase", "paper"])
def test_the_plan_of_the_phase_picture_has_every_size_of_it_once(name):
    configs = configs_of(["R1"], name, 1)
    assert len(set(configs)) == len(configs) == len({config.size for config in configs})
    for power in POWERS:
        d = sorted(config.d for config in configs if config.k == round(config.d**power))
        assert len(d) >= MIN_SIZES and d[-1] >= MIN_RATIO * d[0]


def test_a_claim_gets_only_the_families_it_declares():
    assert {config.name for config in configs_of(["A2"], "desk", 1)} == {"theorem-wide"}
    assert {config.seed for config in configs_of(["A3"], "desk", 2)} == {0, 1}
    assert {config.seed for config in configs_of(["A3"], "desk", [7, 2000])} == {7, 2000}
    assert {config.name for config in configs_of(["A8"], "desk")} == {"desk-learners"}


def test_runs_that_several_claims_share_are_done_once():
    assert len(configs_of(["A1", "A2", "A6"], "desk")) == len(configs_of(["A1"], "desk"))


def test_seeds_that_were_looked_at_do_not_judge():
    """The measurement of A8 changed with an eye on 2000 to 2007; a width needs common seeds."""
    family = Family("smoke", seeds=3, first=2008)
    assert (family.those("judging"), family.those("exploring")) == (range(2008, 2011), range(3))
    assert {config.seed for config in configs_of(["A8"], "theorem")} == set(range(2008, 2016))
    width = configs_of(["A0"], "width")
    largest = {config.seed for config in width if config.d == 3200}
    assert largest <= {config.seed for config in width if config.d == 800}


def test_all_sizes_of_a_seed_come_before_the_next_seed():
    seeds = [config.seed for config in configs_of(["A3", "A8"], "desk")]
    assert seeds == sorted(seeds)


def test_a_plan_is_made_for_the_claims_with_runs_in_it():
    assert [theorem.claim.id for theorem in for_plan(CLAIMS.values(), "phase")] == ["R1"]
    assert "R1" not in [theorem.claim.id for theorem in for_plan(CLAIMS.values(), "desk")]
    assert plan_names(CLAIMS.values()) == [
        "smoke", "theorem", "width", "paper", "desk", "regimes", "phase", "large"]


def test_a_claim_without_runs_in_a_plan_names_the_plans_that_have_them():
    with pytest.raises(ValueError, match="claim R1: expected runs in the plan desk, got none: "
                                         "they are in --preset smoke or --preset phase or"):
        for_plan(CLAIMS.values(), "desk", ["R1"])


def test_a_theorem_is_one_object_with_its_runs():
    claim = Claim("Z12", "t", "s", "o", (), "q", "l", 1.0)
    theorem = Theorem(claim, lambda runs: None, {"desk": (Family("smoke", seeds=3),)})
    assert theorem.order == ("Z", 12, "Z12")
    assert len(settings_of([theorem], "desk")) == 3
