"""What validation chooses: one learning curve for all models, and what is made of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from recsys.data import Interactions
from recsys.data.splits import split_random
from recsys.estimator import Fitted
from recsys.evaluation import evaluate, evaluator, run
from recsys.models import BPR, GMF, Recommender
from recsys.models.factorisation import bpr
from tests.recsys.models.conftest import simulated

DATA = simulated(3)
SPLIT = split_random(DATA.clean(), valid=0.2, test=0.2, by="global")


def curve_of(model: Recommender) -> list[float]:
    return getattr(model, "curves_", {}).get("valid", [])


def test_validation_adds_the_curve_valid_whose_largest_value_is_that_of_the_model(new: Callable[[], Recommender]):
    alone, validated = new().fit(SPLIT.train), new().fit(SPLIT.train, SPLIT.valid)
    curves = [getattr(model, "curves_", {}) for model in (alone, validated)]
    assert set(curves[1]) - set(curves[0]) <= {"valid"}
    if curve_of(validated):
        task, metric, sign = ("ratings", "rmse", -1) if validated.can.ratings else ("ranking", "ndcg@10", 1)
        found = evaluate(validated, SPLIT, metrics=[metric], part="valid", task=task).metrics[metric]
        assert sign * found == pytest.approx(max(curve_of(validated)), rel=1e-5)


def test_refitting_takes_the_best_epoch_of_every_model_that_validates(new: Callable[[], Recommender], monkeypatch):
    model, fitted = new(), []
    fit = type(model).fit

    def watched(self: Recommender, data: Interactions, valid: Interactions | None = None, **options):
        fit(self, data, valid, **options)
        fitted.append((self.get_params().get("epochs"), curve_of(self)))
        return self

    monkeypatch.setattr(type(model), "fit", watched)
    run(model, SPLIT, "predefined-ratings" if model.can.ratings else "predefined", refit=True)
    *before, (epochs, none) = fitted
    assert len(before) == ("epochs" in model.get_params())  # who has nothing to choose does not learn twice
    curve = before[0][1] if before else []
    assert not none
    assert epochs == (int(np.argmax(curve)) + 1 if curve else model.get_params().get("epochs"))


@pytest.mark.parametrize("kind", [BPR, GMF])
def test_validation_is_warned_of_once_and_asks_for_no_leak(kind, monkeypatch):
    def never(*given):
        raise AssertionError("looked for leaks")

    monkeypatch.setattr(evaluator, "seen_in_training", never)
    again = replace(SPLIT.train, value=SPLIT.train.value * 0)  # worth nothing, and nothing that could be found
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = kind(epochs=25, factors=2).fit(SPLIT.train, again)
    assert len(curve_of(model)) == 25
    assert sum("events have a value of 0 or less" in str(each.message) for each in said) == 1
    assert sum("targets of the valid part can be found" in str(each.message) for each in said) == 1


def test_bpr_validates_on_some_users(monkeypatch):
    monkeypatch.setattr(bpr, "_ASKED", 7)
    some = SPLIT.sample_valid(7)
    assert BPR(epochs=3).fit(SPLIT.train, SPLIT.valid).curves_ == BPR(epochs=3).fit(SPLIT.train, some.valid).curves_


def test_what_is_measured_while_it_is_learned_is_not_the_model(monkeypatch):
    states, ask, model = [], evaluator.Question.ask, BPR(epochs=1)

    def asked(self, measured, progress=None):
        states.append((isinstance(measured, Fitted), model.fitted))
        return ask(self, measured, progress)

    monkeypatch.setattr(evaluator.Question, "ask", asked)
    model.fit(SPLIT.train, SPLIT.valid)
    assert states == [(True, False)]
