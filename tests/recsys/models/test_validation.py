"""What validation chooses: one learning curve for all models, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recsys.data import Interactions
from recsys.data.splits import split_random
from recsys.evaluation import evaluate, run
from recsys.models import Recommender
from tests.recsys.models.conftest import simulated

DATA = simulated(3)
SPLIT = split_random(DATA.clean(), valid=0.2, test=0.2, by="global")


def curve_of(model: Recommender) -> list[float]:
    return getattr(model, "history_", {}).get("valid", [])


def test_validation_adds_the_curve_valid_whose_largest_value_is_that_of_the_model(new: Callable[[], Recommender]):
    alone, validated = new().fit(SPLIT.train), new().fit(SPLIT.train, SPLIT.valid)
    curves = [getattr(model, "history_", {}) for model in (alone, validated)]
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
    (_, curve), (epochs, none) = fitted
    assert not none
    assert epochs == (int(np.argmax(curve)) + 1 if curve else model.get_params().get("epochs"))
