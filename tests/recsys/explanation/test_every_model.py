"""What explanations promise, of each model of the registry."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from recsys import loading
from recsys.errors import UnsupportedError
from recsys.estimator import storing
from recsys.explanation import METHODS, explain
from recsys.explanation.explaining import attribute, person_of
from recsys.models import REGISTRY
from tests.recsys.models.conftest import make, simulated

NETWORKS = {"MLP", "NeuMF", "ConvNCF", "DeepFM", "LinearAutoencoder", "CDAE", "MultDAE", "MultVAE", "Caser",
            "CausalCNN", "LRURec", "SequenceRecommender", "GRU4Rec", "SASRec"}
MIXED = {"WeightedHybrid", "SwitchingHybrid", "CascadeHybrid", "Sharded"}  # standardised scores, averaged
ROUNDING = 1e-6


@pytest.fixture(scope="module")
def data():
    return simulated()


@pytest.fixture(scope="module", params=list(REGISTRY))
def model(request, data):
    return make(request.param).fit(data)


def history_of(model, data, user):
    """A history and its values, as the model takes them."""
    own = data.user == user
    values = data.value[own] if model.require("values").scorer.needs_values else None
    return {"history": data.items.ids[data.item[own]], "values": values}


def test_parts_sum_to_the_score_by_the_method_that_is_named(model, data):
    name = type(model).__name__
    asked = [{"user": 7}, {"user": 17}] + [history_of(model, data, user) for user in (2, 3) if model.can.fold_in]
    for who in asked:
        found = explain(model, removed=0, **who)
        assert found.method == ("integrated gradients" if name in NETWORKS else
                                "leave-one-out" if name in MIXED else "exact")
        assert found.model == name
        assert found.score == pytest.approx(_score(model, found.item, who), abs=1e-6)
        total = sum(part.value for part in found.parts)
        if found.method == "exact":
            assert abs(found.score - total) <= ROUNDING * max(abs(found.score), *(abs(p.value) for p in found.parts))
            assert found.residual == pytest.approx(found.score - total)
        elif found.method == "integrated gradients":
            changed = sum(part.value for part in found.history) if found.history else found.score
            assert abs(found.residual) <= 0.0101 * max(abs(changed), 1e-4)
            assert found.steps > 0
        else:
            assert math.isnan(found.residual)
        shares = [part.share for part in found.parts]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1)
        assert len(found.unit) > 5


def test_the_first_item_is_that_of_the_list(model):
    recs = model.recommend(7, k=5)
    if recs.source[0] != "popular":
        assert explain(model, 7, removed=0).item == recs.items[0]
        assert [explain(model, 7, item, removed=0).place for item in recs.items] == [1, 2, 3, 4, 5]


def _score(model, item, who):
    number = int(model.items.encode([item])[0])
    fitted = model.require("score")
    if "user" in who:
        return float(fitted.score_block(model.users.encode([who["user"]]))[0, number])
    rows, _ = fitted.encode_history("score", who["history"], who["values"], "raise")
    return float(fitted.score_block(np.array([-1]), rows)[0, number])


def test_leaving_out_asks_the_model_again(model, data):
    fitted = model.require("explain")
    person = person_of(fitted, 7, None)
    if not person.reads_history:
        with pytest.raises(UnsupportedError, match="leave-one-out"):
            explain(model, 7, method="leave-one-out")
        return
    item = int(np.flatnonzero(person.open)[0])
    found = attribute(person, item, "leave-one-out")
    index = person.indices[0]
    expected = person.whole[item] - person.scores(person.indices != index if person.n == 0 else
                                                  (person.indices != index)[None])[0, item]
    assert found.events[person.indices == index].sum() == pytest.approx(float(expected), abs=1e-5)


def test_a_file_explains_as_the_model_does(model, data, tmp_path):
    model.save(tmp_path / "one.recsys")
    for other in (storing.load(tmp_path / "one.recsys"), loading.load(tmp_path / "one.recsys")):
        one, two = explain(model, 7), explain(other, 7)
        assert [part.label for part in one.parts] == [part.label for part in two.parts]
        np.testing.assert_allclose([p.value for p in one.parts], [p.value for p in two.parts], rtol=1e-5, atol=1e-7)
        assert one.sentences == two.sentences
        assert one.method == two.method
        assert [dataclasses.astuple(part)[:2] for part in one.content] == [
            dataclasses.astuple(part)[:2] for part in two.content]


def test_the_unknown_is_a_sentence(model, data):
    seen = int(data.item[data.user == 0][0])
    found = explain(model, 7, data.items.ids[seen])
    assert found.place is None
    assert found.sentences or found.source == "model"
    if not model.can.fold_in:
        with pytest.raises(UnsupportedError):
            explain(model, history=[data.items.ids[0]])
        return
    nobody = explain(model, history=[])
    assert nobody.sentences
    assert nobody.source == "popular" or model.can.cold_user or type(model).__name__ in MIXED


def test_other_methods_say_what_they_cannot(model):
    able = []
    for method in METHODS:
        try:
            able.append(explain(model, 7, method=method, removed=0).method)
        except UnsupportedError as error:
            assert f"cannot be explained by {method}" in str(error)  # noqa: PT017
    assert able


def test_gradients_leave_no_trace(model):
    network = getattr(model.require("explain").scorer, "network", None)
    if network is None:
        return
    before = {name: np.array(value) for name, value in network.state_dict().items()}
    explain(model, 7)
    assert all(np.array_equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters()) or type(model).__name__ not in NETWORKS
