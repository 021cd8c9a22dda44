"""What was fitted is a frozen copy: hyper-parameters count from the next `fit`, which replaces all or nothing."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recsys import loading
from recsys.data import Features, IdMap, Interactions, splits
from recsys.errors import DataError, NotFittedError, ParameterError
from recsys.estimator import Can, Context, Fitted, Learned
from recsys.estimator.scorers.constant import Constant
from recsys.evaluation import evaluate
from recsys.models import (
    EASE,
    FactorizationMachine,
    ItemKNN,
    Markov,
    MatrixFactorization,
    NeuMF,
    Popular,
    Recommender,
    SASRec,
)
from tests.recsys.models.conftest import make


def answers(model: Recommender) -> dict[str, bytes]:
    """Everything a model says, as bytes."""
    recs = model.recommend(k=9)
    data = {"items": recs.items, "scores": recs.scores, "ids": model.items.ids, "counts": model.item_counts,
            "block": model.score_block(np.arange(5, dtype=np.int32))}
    if model.can.fold_in:
        data["history"] = model.recommend(history=["item 01", "item 02"], values=[4, 5]).scores
    return {key: value.tobytes() for key, value in data.items()} | {"can": repr(model.can).encode()}


def other_values(model: Recommender) -> Iterator[tuple[str, Any]]:
    """For each hyper-parameter another value that is allowed."""
    for name, value in model.get_params().items():
        tries = [not value] if isinstance(value, bool) else [
            1, 2, 8, 0.5, None, "squares", "bce", "value", "idf", "mean", "users", "relu", "times", "none", (3,),
            "lstm"]
        for other in tries:
            changed = model.clone().set_params(**{name: other})
            with suppress(ParameterError, TypeError):
                if other != value:
                    changed.check_parameters()
                    yield name, other
                    break


# ------------------------------------------------------------------------------------- hyper-parameters

@pytest.mark.parametrize("how", ["set_params", "assignment"])
def test_hyper_parameters_count_from_the_next_fit(model: Recommender, how: str, tmp_path: Any) -> None:
    fitted, changed = copy.copy(model), {}
    fitted.save(tmp_path / "before")
    for name, value in other_values(fitted):
        changed[name] = value
        if how == "set_params":
            fitted.set_params(**{name: value})
        else:
            setattr(fitted, name, value)
    assert changed or not fitted.get_params()
    assert answers(fitted) == answers(model)
    fitted.save(tmp_path / "after")
    assert (tmp_path / "after").read_bytes() == (tmp_path / "before").read_bytes()
    assert answers(loading.load(tmp_path / "after")) == answers(model)
    assert fitted.fitted_params == model.get_params()
    assert fitted.get_params() == model.get_params() | changed
    assert fitted.clone().get_params() == fitted.get_params()


def test_the_cases_that_were_found(data: Interactions, tmp_path: Any) -> None:
    attention = SASRec(factors=8, epochs=1).fit(data)
    attention.set_params(factors=16).save(tmp_path / "model")
    assert loading.load(tmp_path / "model").get_params()["factors"] == 8
    near = ItemKNN().fit(data)
    before = near.recommend(k=5).items.tolist()
    assert near.set_params(recent=1).recommend(k=5).items.tolist() == before
    assert near.fit(data).recommend(k=5).items.tolist() != before
    pairs = NeuMF(factors=4, epochs=1).fit(data.binarise())
    pairs.loss = "mse"
    assert not pairs.can.ratings
    assert pairs.lacks(data.binarise()) == "data with values"  # to learn anew
    assert pairs.fit(data).can.ratings


def test_a_hyper_parameter_that_is_changed_in_place_does_not_count(data: Interactions) -> None:
    widths = [4]
    model = NeuMF(factors=4, hidden=widths, epochs=1).fit(data)
    widths.append(2)
    assert model.fitted_params["hidden"] == [4]
    assert model.get_params()["hidden"] == [4, 2]


def test_what_was_learned_cannot_be_set(data: Interactions) -> None:
    model = EASE().fit(data)
    for name in ("item_weights", "seen", "users", "item_counts", "history"):
        with pytest.raises(AttributeError, match=rf"EASE\.{name} was learned by fit and cannot be set; fit again"):
            setattr(model, name, None)
    model.note = "mine"
    assert model.note == "mine"


def test_before_fit(data: Interactions) -> None:
    model = EASE()
    with pytest.raises(AttributeError, match=r"no attribute 'item_weights' \(it is not fitted\)"):
        _ = model.item_weights
    with pytest.raises(NotFittedError, match=r"EASE\.fitted_params"):
        _ = model.fitted_params
    with pytest.raises(NotFittedError, match=r"EASE\.evaluate needs a fitted model; call fit\(data\) first"):
        evaluate(model, splits.split_random(data))


def test_an_evaluation_names_the_model_that_answered(data: Interactions) -> None:
    split = splits.split_random(data)
    model = ItemKNN(shrink=3).fit(split.train).set_params(shrink=9)
    assert evaluate(model, split).model == "ItemKNN(shrink=3)"
    assert repr(model) == "ItemKNN(shrink=9)"


@pytest.mark.parametrize("twin", [copy.deepcopy, copy.copy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("kind", [Popular, EASE, SASRec, NeuMF])
def test_copies_answer_alike(data: Interactions, kind: type[Recommender],
                             twin: Callable[[Recommender], Recommender]) -> None:
    model = make(kind.__name__).fit(replace(data, item_features=None))
    again = twin(model)
    assert answers(again) == answers(model)
    assert answers(again.fit(data.take(np.arange(200)))) != answers(model)


# ------------------------------------------------------------------------------------- all or nothing

class Stop(BaseException):
    """No error that anybody catches."""


class Interrupting:
    """A display of progress that interrupts."""

    def __init__(self, error: BaseException, at: str) -> None:
        self.error, self.at = error, at

    def start(self, total: Any, description: str) -> None:
        self._reach("start")

    def advance(self, n: int = 1, **fields: Any) -> None:
        self._reach("advance")

    def stop(self) -> None:
        pass

    def _reach(self, place: str) -> None:
        if place == self.at:
            raise self.error


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt(), Stop(), ValueError("no")])
@pytest.mark.parametrize("place", ["learn", "training", "as_fitted"])
def test_a_fit_that_fails_keeps_the_old_model(model: Recommender, data: Interactions, error: BaseException, place: str,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    if place == "training" and not model.trains:
        pytest.skip("learns another way")
    fitted, before = copy.copy(model), answers(model)
    inner = getattr(type(model), place)

    def fails(self: Recommender, *arguments: Any) -> Any:
        inner(self, *arguments)  # whatever it does has been done
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(type(model), place, fails)
        with pytest.raises(type(error)):
            fitted.fit(data.take(np.arange(200)))
    assert answers(fitted) == before
    assert not vars(fitted).keys() - {"_fitted", *fitted.get_params()}


@pytest.mark.parametrize("at", ["start", "advance"])
def test_a_fit_that_is_interrupted_in_an_epoch_keeps_the_old_model(model: Recommender, data: Interactions,
                                                                   at: str) -> None:
    if not hasattr(model, "curves_"):
        pytest.skip("has no epochs")
    fitted = copy.copy(model)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(data.take(np.arange(200)), progress=Interrupting(KeyboardInterrupt(), at))
    assert answers(fitted) == answers(model)


def test_data_that_is_refused_keeps_the_old_model(model: Recommender, data: Interactions) -> None:
    fitted = copy.copy(model)
    with pytest.raises(DataError, match="no rows"):
        fitted.fit(data.take(np.zeros(0, int)))
    assert answers(fitted) == answers(model)


def test_a_model_that_memory_does_not_hold(data: Interactions) -> None:
    model = EASE().fit(data)
    before = answers(model)
    with pytest.raises(ParameterError, match="max_gib"):
        model.set_params(max_gib=1e-9).fit(data)
    assert answers(model) == before


@pytest.mark.parametrize("kind", [Popular, Markov])
@pytest.mark.parametrize("place", ["update", "as_fitted"])
def test_a_partial_fit_that_fails_keeps_the_old_model(data: Interactions, kind: type[Recommender], place: str,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    model = kind().fit(data)
    before, inner = answers(model), getattr(kind, place)

    def fails(self: Recommender, *arguments: Any) -> Any:
        inner(self, *arguments)
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(kind, place, fails)
        with pytest.raises(MemoryError):
            model.partial_fit(data)
    assert answers(model) == before
    assert answers(model.partial_fit(data)) != before


def test_a_partial_fit_in_place_does_not_touch_the_old_model(data: Interactions) -> None:
    class Counting(Recommender):
        can = Can(partial_fit=True)

        def learn(self, data: Interactions, context: Context) -> Learned:
            return Learned(Constant(self.can, context.facts.item_counts.astype(np.float32)))

        def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
            fitted.scorer.item_bias.sum()
            raise Stop

    model = Counting().fit(data)
    with pytest.raises(Stop):
        model.partial_fit(data)
    np.testing.assert_array_equal(model.item_bias, model.item_counts)


# ----------------------------------------------------------------------------------------- what is kept

def test_training_data_is_forgotten(new: Callable[[], Recommender], data: Interactions) -> None:
    fresh = replace(data, item_features=replace(data.item_features, attributes={
        "poster": data.item_features.attributes["poster"].copy()}))  # type: ignore[union-attr]
    split = splits.split_random(fresh, seed=1)
    model = new()
    gone = [weakref.ref(part) for part in (fresh, split.train, split.valid, split.test)]
    gone.append(weakref.ref(fresh.item_features.attributes["poster"]))  # type: ignore[union-attr]
    model.fit(split.train, split.valid)
    del fresh, split
    gc.collect()
    assert [each() for each in gone] == [None] * len(gone)
    assert model.title("item 03") == "Title 3"
    assert model.recommend(7, k=3).counts == 3


def test_training_data_is_forgotten_by_a_fit_that_fails(new: Callable[[], Recommender], data: Interactions,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    model, place = new(), "as_fitted"

    def fails(self: Recommender, *arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(type(model), place, fails)
    part = data.take(np.arange(len(data)))
    gone = weakref.ref(part)
    with suppress(MemoryError):
        model.fit(part)
    del part
    gc.collect()
    assert gone() is None
    assert not model.fitted


# ------------------------------------------------------------------------------------------- other ids

def test_validation_that_is_numbered_differently_is_refused(new: Callable[[], Recommender],
                                                            data: Interactions) -> None:
    split = splits.split_random(data, seed=1)
    order = np.random.default_rng(0).permutation(data.n_items)
    moved = split.valid.reindex(data.users, IdMap(data.items.ids[order]))  # type: ignore[union-attr]
    model = new()
    says = (rf"{type(model).__name__}\.fit: valid: its items are numbered differently from train's \(24 and 24 ids; "
            rf"first difference: number \d+ is 'item \d+' and 'item \d+'\); "
            rf".*valid\.reindex\(train\.users, train\.items\)")
    with pytest.raises(DataError, match=says):
        model.fit(split.train, moved)
    assert not model.fitted
    with pytest.raises(DataError, match="fit: valid_history: its users are numbered differently from train's"):
        model.fit(split.train, split.valid, valid_history=split.train.compact().take([0]).compact())


def test_the_epoch_that_wins_is_the_right_one(data: Interactions) -> None:
    split = splits.split_random(data, seed=1)
    order = np.random.default_rng(0).permutation(data.n_items)
    moved = split.valid.reindex(data.users, IdMap(data.items.ids[order]))  # type: ignore[union-attr]
    model = MatrixFactorization(factors=4, epochs=5)
    back = moved.reindex(split.train.users, split.train.items)  # as the message says
    assert model.clone().fit(split.train, back).curves_ == model.fit(split.train, split.valid).curves_


def test_a_checkpoint_of_data_that_is_numbered_differently_is_refused(data: Interactions, tmp_path: Any) -> None:
    model, path = SASRec(factors=4, epochs=2), tmp_path / "run.npz"
    model.fit(data, checkpoint=path)
    moved = data.reindex(data.users, IdMap(data.items.ids[::-1]))
    assert moved.fingerprint() == data.fingerprint()
    with pytest.raises(ParameterError, match="another training: numbering is"):
        model.fit(moved, checkpoint=path)


def test_a_checkpoint_of_another_class_of_the_same_name_is_refused(data: Interactions, tmp_path: Any) -> None:
    other = type("SASRec", (SASRec,), {"__module__": __name__})
    SASRec(factors=4, epochs=1).fit(data, checkpoint=tmp_path / "run.npz")
    with pytest.raises(ParameterError, match="another training: class is"):
        other(factors=4, epochs=1).fit(data, checkpoint=tmp_path / "run.npz")


def test_a_checkpoint_of_data_with_other_features_is_refused(data: Interactions, tmp_path: Any) -> None:
    model, path = FactorizationMachine(factors=4, epochs=2), tmp_path / "run.npz"
    aged = [replace(data, user_features=Features(attributes={"age": [str(i % k) for i in range(data.n_users)]}))
            for k in (2, 3)]
    model.fit(aged[0], checkpoint=path)
    with pytest.raises(ParameterError, match="another training: features is"):
        model.fit(aged[1], checkpoint=path)


def test_no_attribute_of_the_class_hides_what_was_learned(model):
    learned = vars(model.require_fitted("test"))
    hidden = [name for name in learned if name not in model.get_params() and hasattr(type(model), name)]
    assert not [name for name in hidden if not name.startswith("_")]
