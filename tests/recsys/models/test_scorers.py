"""Scorers on their own: they answer, are stored and found again, shared, blended; and trainings that can be opened."""

from __future__ import annotations

import copy
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions
from recsys.errors import ArtifactError, ParameterError, UnsupportedError
from recsys.estimator import Can, Facts, Fitted, Learned, Recommender, Scorer, scorers
from recsys.estimator.arrays import prefixed, within
from recsys.models import EASE, GMF, REGISTRY, MatrixFactorization, Popular, SASRec, model_class
from recsys.training import Trainer
from tests.recsys.models.conftest import mixed

USERS = np.arange(30, dtype=np.int32)


@pytest.fixture(scope="session")
def fitted(model: Recommender) -> Fitted:
    return model.require("test")


def test_a_scorer_is_found_again_by_its_state(fitted: Fitted) -> None:
    settings, arrays = scorers.state_of(fitted.scorer)
    again = scorers.restore(settings, arrays, fitted.facts)
    assert type(again) is type(fitted.scorer)
    assert again.can == fitted.can
    assert again.score(USERS).tobytes() == fitted.scorer.score(USERS).tobytes()
    assert scorers.state_of(again)[0] == settings


def test_what_answers_is_copied_pickled_and_shared(fitted: Fitted) -> None:
    expected = fitted.recommend(k=5)
    for other in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert other.recommend(k=5).scores.tobytes() == expected.scores.tobytes()
    found = []
    threads = [threading.Thread(target=lambda: found.append(fitted.recommend(k=5).scores.tobytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected.scores.tobytes()] * 4


@pytest.mark.parametrize("name", REGISTRY)
def test_a_model_has_few_bases(name: str) -> None:
    bases = [base for base in model_class(name).__mro__[1:] if base.__module__.startswith("recsys")]
    assert len(bases) <= 3, bases


def test_a_model_forwards_what_its_fitted_thing_answers(fitted: Fitted, model: Recommender, data: Interactions) -> None:
    assert model.recommend(k=4).scores.tobytes() == fitted.recommend(k=4).scores.tobytes()
    users, items = data.users.ids[:5], data.items.ids[:5]
    assert model.predict(users, items).tobytes() == fitted.predict(users, items).tobytes()
    assert fitted.title("item 05") == "Title 5"
    assert model.require_fitted("test").fitted_params == dict(fitted.parameters)


# ------------------------------------------------------------------------------------------------ blends
def test_a_blend_answers_is_stored_and_found_again(data: Interactions, tmp_path: Path) -> None:
    one = mixed([model.fit(data).require("test") for model in (EASE(), Popular())], [1.0, 0.01])
    recs = one.recommend(history=["item 01", "item 02"], k=5)
    assert set(recs.source) == {"model"}
    from recsys.estimator import storing

    storing.save(one, tmp_path / "blend")
    again = storing.load(tmp_path / "blend", mmap=True)
    assert again.recommend(history=["item 01", "item 02"], k=5).scores.tobytes() == recs.scores.tobytes()
    assert again.recommend(k=5).scores.tobytes() == one.recommend(k=5).scores.tobytes()
    storing.save(one, tmp_path / "public", seen=False)
    assert b"history" not in b"".join(name.encode() for name in storing.container.manifest(tmp_path / "public")[
        "members"])
    public = storing.load(tmp_path / "public")
    assert public.recommend(history=["item 01"], k=5).counts == 5
    with pytest.raises(UnsupportedError, match="without its users' histories"):
        public.recommend(7, filter_seen=False)


# ------------------------------------------------------------------------------------------ one's own, and files
class Reverse(Scorer):
    """The last item first."""

    def __init__(self, n_items: int) -> None:
        self.can, self.n_items = Can(), n_items

    def score(self, users: np.ndarray) -> np.ndarray:
        return np.tile(np.arange(self.n_items, dtype=np.float32), (len(users), 1))


def test_a_scorer_of_ones_own_answers_and_is_in_no_file(data: Interactions, tmp_path: Path) -> None:
    one = Fitted("Mine", {}, Facts.of(data, keep_events=False), Learned(Reverse(data.n_items)))
    assert one.recommend(7, k=1, filter_seen=False).items.tolist() == ["item 23"]
    with pytest.raises(UnsupportedError, match="Mine does not support recommend from a history"):
        one.recommend(history=["item 01"])
    from recsys.estimator import storing

    with pytest.raises(ArtifactError, match="a scorer of class Reverse cannot be stored"):
        storing.save(one, tmp_path / "mine")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{"kind": "nonsense"}, {"fold_in": {"kind": "nonsense"}}])
def test_kinds_that_there_are_not(data: Interactions, change: dict[str, object]) -> None:
    one = MatrixFactorization(factors=2, epochs=1).fit(data).require("test")
    settings, arrays = scorers.state_of(one.scorer)
    with pytest.raises(ArtifactError, match="of kind 'nonsense'"):
        scorers.restore(settings | change, arrays, one.facts)


@given(st.dictionaries(st.text(min_size=1), st.just(np.zeros(1))))
def test_parts_have_names_of_their_own(arrays: dict[str, np.ndarray]) -> None:
    assert within("a", {**prefixed("a", arrays), **prefixed("b", arrays)}).keys() == arrays.keys()


# ----------------------------------------------------------------------------------------------- trainings
def test_a_training_that_is_opened_and_run_gives_what_fit_gives(data: Interactions) -> None:
    model = GMF(factors=4, epochs=3)
    run = model.prepare(data)
    curves = Trainer(epochs=3, batch_size=model.batch_size, seed=model.seed).fit(run)
    again = model.fit(data)
    assert curves == again.curves_
    np.testing.assert_array_equal(run.network.users.weight.data, again.user_factors)


def test_a_prepared_training_validates(data: Interactions) -> None:
    run = SASRec(factors=4).prepare(data.take(np.arange(300)), data.take(np.arange(300, 400)))
    assert run.validate is not None
    assert 0 <= run.validate() <= 1


def test_models_without_a_network_prepare_nothing(data: Interactions) -> None:
    with pytest.raises(UnsupportedError, match=r"EASE\.prepare: this model is no network"):
        EASE().prepare(data)
    with pytest.raises(ParameterError, match=r"EASE\.fit does not train a network, so there is no checkpoint"):
        EASE().fit(data, checkpoint="run.npz")
