"""Every model has a space that its checks accept, around its defaults."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import models
from recsys.models import EASE, GMF, ConvNCF, SASRec
from recsys.tuning.spaces import Range, space_of

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

UNTUNED = {"Private", "Sharded", "WeightedHybrid", "SwitchingHybrid"}  # what they wrap is tuned; weights are learned
TAKEN = {"reg": 10.0, "reg_user": 3.0, "reg_item": 3.0, "neighbours": 50, "alpha": 2.0, "decay": 0.9, "factors": 20,
         "low_pass": 0.3, "degree": 8, "shape": 2.0, "asymmetry": 0.3, "reg_l1": 1.0, "reg_exponent": 1.0}


@pytest.mark.parametrize("name", models.REGISTRY)
def test_every_model_has_one(name):
    model = models.find(name)()
    nothing = {key: value for key, value in TAKEN.items() if key in model.get_params() and
               model.get_params()[key] is None}
    space = space_of(model, nothing)
    assert bool(space) is (name not in UNTUNED)
    for each, found in space.items():
        assert found.holds(found.usual), each
        assert found.usual == nothing.get(each, model.get_params()[each])
        assert str(found)


@given(st.sampled_from(sorted(set(models.REGISTRY) - UNTUNED)), st.integers(0, 2**20))
def test_what_is_drawn_passes_the_checks(name, seed):
    optuna = pytest.importorskip("optuna")
    from recsys.tuning.study import distribution

    kind = models.find(name)
    usual = {key: value for key, value in TAKEN.items() if kind().get_params().get(key, 0) is None}
    space = space_of(kind(), usual)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    drawn = study.ask({each: distribution(found) for each, found in space.items()}).params
    kind(**drawn).check_parameters()
    for each, value in drawn.items():
        assert space[each].holds(value)


def test_what_is_given_moves_the_range_and_what_is_fixed_has_none():
    around = space_of(GMF(lr=0.5), fixed=("factors",))
    assert around["lr"] == Range(0.5, 0.1, 2.5, log=True)
    assert "factors" not in around
    assert "seed" not in around


def test_what_a_fit_takes_is_the_middle():
    assert "reg" not in space_of(EASE())
    assert space_of(EASE(), {"reg": 60.0})["reg"].low == 6.0


def test_a_check_that_no_bound_tells_is_asked():
    assert space_of(ConvNCF())["factors"].options == (2, 4, 8, 16, 32)


def test_a_value_that_a_word_does_not_name_is_tried_too():
    assert 77 in space_of(SASRec(recent=77))["recent"].options
