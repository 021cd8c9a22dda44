"""Golden requests: every file has some that its model answers again, and that another one does not."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from minidl import runtime
from recsys import loading
from recsys.data import Interactions
from recsys.errors import ArtifactError, ParameterError
from recsys.estimator import golden, storing
from recsys.estimator.scorers.constant import Constant
from recsys.models import EASE, MLP, REGISTRY, MatrixFactorization, UserKNN
from tests.recsys.models.conftest import make, mixed, simulated

DATA = simulated(n=300)


def saved(fitted, path, **options):
    storing.save(fitted, path, **options)
    return storing.load(path), loading.manifest(path)


@pytest.mark.parametrize("name", REGISTRY)
def test_every_model_answers_what_its_file_says(name, tmp_path):
    fitted = make(name).fit(DATA).require("save")
    loaded, card = saved(fitted, tmp_path / "model")
    assert golden.replay(loaded, card) is True
    assert golden.replay(fitted, card) is True
    assert all(("history" in request) == fitted.can.fold_in for request in card["golden"])
    assert len(card["golden"]) == 3
    assert all(request["items"] for request in card["golden"])
    saved(loaded, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


@pytest.mark.parametrize("name", REGISTRY)
def test_items_that_are_permuted_are_found_out(name, tmp_path):
    """A file whose ids are swapped answers internal numbers as before; one whose vectors are does not."""
    fitted = make(name).fit(DATA).require("save")
    described = DATA.item_features.take(np.random.default_rng(0).permutation(DATA.n_items))
    mixed = replace(DATA, item=DATA.n_items - 1 - DATA.item, item_features=described)
    other = make(name).fit(mixed).require("save")
    _, card = saved(fitted, tmp_path / "model")
    with pytest.raises(ArtifactError, match=r"golden request \d \((history|user) .* is answered otherwise"):
        golden.replay(other, card)


def test_close_scores_may_change_places_and_others_not():
    def scores(*values):
        bias = np.array(values, np.float32)
        return replace(FITTED, learned=replace(FITTED.learned, scorer=Constant(FITTED.can, bias)))

    before = scores(*np.linspace(5, 1, DATA.n_items - 2), 10.0, 9.9999)
    card = {"golden": golden.make(before)}
    assert golden.replay(scores(*np.linspace(5, 1, DATA.n_items - 2), 9.9999, 10.0), card)
    for values in ((9.9, 10.0), (10.0, 10.0021), (10.0, np.nan)):
        with pytest.raises(ArtifactError, match="golden request 0"):
            golden.replay(scores(*np.linspace(5, 1, DATA.n_items - 2), *values), card)
    with pytest.raises(ArtifactError, match="the best have the score 50 instead of 10 in place 1"):
        golden.replay(scores(*np.linspace(5, 1, DATA.n_items - 2)[:-1], 50.0, 10.0, 9.9999), card)


FITTED = make("Popular").fit(DATA).require("make")


def test_files_without_requests_say_so(tmp_path):
    assert golden.replay(FITTED, {}) is False
    users = MLP(factors=4, epochs=1).fit(DATA).require("save")
    loaded, card = saved(users, tmp_path / "model", seen=False)
    assert card["golden"] == []  # it knows but users, who are left out
    assert golden.replay(loaded, card) is False
    hidden, card = saved(EASE().fit(DATA).require("save"), tmp_path / "ease", seen=False)
    assert golden.replay(hidden, card) is True


@pytest.mark.parametrize("broken", [{}, {"history": [10**6], "items": [], "scores": []}, {"history": "abc"},
                                    {"history": [0], "items": [10**6], "scores": [1.0]}, {"user": 0, "items": [0]}])
def test_requests_that_cannot_be_asked_are_an_artifact_error(broken):
    with pytest.raises(ArtifactError, match="golden request 0"):
        golden.replay(FITTED, {"golden": [broken]})


def test_few_items_and_ratings_that_diverged(tmp_path):
    one = EASE(reg=1.0).fit(Interactions.from_arrays([1, 2], [5, 5])).require("save")
    loaded, card = saved(one, tmp_path / "one")
    assert len(card["golden"]) == 1
    assert golden.replay(loaded, card)
    model = MatrixFactorization(factors=2, epochs=1).fit(DATA).require("save")
    factors = copy.copy(model.scorer)
    factors.item_factors = np.full_like(factors.item_factors, np.nan)
    lost = replace(model, learned=replace(model.learned, scorer=factors))
    loaded, card = saved(lost, tmp_path / "lost")
    assert card["golden"] == []  # it is told when it is asked
    assert golden.replay(loaded, card) is False
    with pytest.raises(ArtifactError, match="golden request 0"):
        golden.replay(loaded, {"golden": golden.make(model)})


def test_blends_and_threads(tmp_path):
    parts = [make(name).fit(DATA).require("save") for name in ("EASE", "UserKNN", "ALS")]
    blend = mixed(parts, [1, 2, 0.5])
    before, found = runtime.threads(), []
    try:
        for n in (1, before):
            runtime.set_threads(n)
            with runtime.blas_threads(n):
                found.append(golden.make(blend))
    finally:
        runtime.set_threads(before)
    assert found[0] == found[1]
    loaded, card = saved(blend, tmp_path / "blend")
    assert golden.replay(loaded, card)


def test_cards_may_say_more_but_nothing_else(tmp_path):
    _, card = saved(UserKNN().fit(DATA).require("save"), tmp_path / "model", card={"log": {"learned_to": 7}})
    assert card["log"] == {"learned_to": 7}
    with pytest.raises(ParameterError, match="card has golden, scorer"):
        saved(FITTED, tmp_path / "other", card={"golden": [], "scorer": 1})
    assert not (tmp_path / "other").exists()
