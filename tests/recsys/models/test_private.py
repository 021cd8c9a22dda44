"""`Private`: what people can change, what a file tells, and what is refused."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

import recsys
from minidl import privacy
from recsys import Interactions, datasets, loading
from recsys.data import IdMap
from recsys.data.csr import CSR
from recsys.errors import DataWarning, ParameterError, UnsupportedError
from recsys.models import GMF, MultDAE, Private, model_class
from recsys.models.linear import noisy
from recsys.training.private import sentence

DATA = datasets.simulate(n_users=120, n_items=30, n_events=1500, seed=0)[0]
NOTHING = {"epsilon": None, "noise": 0.0, "max_norm": None, "mechanism": "steps"}
PEOPLE = {
    "LinearAutoencoder": {"tied": False, "factors": 4}, "MultDAE": {"hidden": (6,)}, "MultVAE": {"latent": 4},
    "SASRec": {"factors": 4, "recent": 6}, "LRURec": {"factors": 4, "recent": 6}, "Caser": {"factors": 4, "recent": 6},
    "CausalCNN": {"factors": 4, "recent": 6}, "SequenceRecommender": {"factors": 4, "recent": 6}}
EVENTS = {name: {"loss": "bpr", "reg": 0.0} for name in ("GMF", "MLP", "NeuMF")}


@pytest.mark.parametrize("name", [*PEOPLE, *EVENTS, "EASE"])
def test_every_model_that_can_says_what_it_promises(name: str) -> None:
    given = {"epochs": 1, **(PEOPLE | EVENTS)[name]} if name != "EASE" else {}
    unit = "event" if name in EVENTS else "person"
    model = Private(model=(name, given), epsilon=4.0, unit=unit).fit(DATA)
    found = model.privacy_
    assert found["unit"] == unit
    assert 3.9 < found["epsilon"] <= 4
    assert found["epsilon"] == pytest.approx(privacy.epsilon(found["noise"], 1e-5, rate=found["rate"],
                                                             steps=found["steps"]))
    assert model.recommend(1, k=3).counts == 3
    assert not model.can.partial_fit


@pytest.mark.parametrize("name", ["LinearAutoencoder", "MultDAE", "MultVAE"])
def test_without_noise_and_clipping_networks_are_trained_as_ever_bit_for_bit(name: str) -> None:
    given = {"epochs": 3, "batch_size": 50, **PEOPLE[name]}
    plain, private = model_class(name)(**given).fit(DATA), Private(model=(name, given), **NOTHING).fit(DATA)
    for a, b in zip(plain.network.parameters(), private.network.parameters(), strict=True):
        assert a.data.tobytes() == b.data.tobytes()
    assert private.privacy_["epsilon"] is None


def test_a_loss_without_reduction_is_refused() -> None:
    from recsys.models.autoencoders.objective import Histories

    objective = Histories(DATA.csr.unique(), lambda history, users: None)
    with pytest.raises(UnsupportedError, match="needs the loss of every person"):
        objective.losses(np.arange(3), np.random.default_rng(0))


def test_tied_tables_agree_with_a_loop_over_people() -> None:
    """One clip over a table that is read and scored with: the sum of the clipped gradients of people alone."""
    from minidl.privacy import clipped_backward

    run = model_class("LinearAutoencoder")(factors=3, dropout=0.0).prepare(DATA)
    units, rng, table = np.arange(20), np.random.default_rng(0), run.network.bag.table.weight
    total = np.zeros(table.shape)
    for unit in units:
        run.network.zero_grad()
        run.objective.losses(np.array([unit]), rng).sum().backward()
        alone = np.asarray(table.grad)
        total += alone * min(1, 0.5 / np.linalg.norm(alone))
    run.network.zero_grad()
    clipped_backward(run.objective.losses(units, rng), run.network.parameters(), 0.5)
    np.testing.assert_allclose(np.asarray(table.grad), total, rtol=1e-3, atol=1e-5)


def test_noise_is_new_each_time_unless_a_seed_is_given_which_no_file_holds(tmp_path: Any) -> None:
    weights = [Private(model="EASE", seed=seed).fit(DATA).require("test").scorer.item_weights
               for seed in (None, None, 3, 3)]
    assert not np.array_equal(*weights[:2])
    assert np.array_equal(*weights[2:])
    Private(seed=12345).fit(DATA).save(tmp_path / "m")
    assert "12345" not in json.dumps(loading.manifest(tmp_path / "m"))


def test_a_file_for_others_has_nothing_of_people(tmp_path: Any) -> None:
    names = [f"person-{k:04d}" for k in DATA.users.ids]
    data = Interactions.from_arrays(np.array(names)[DATA.user], DATA.items.ids[DATA.item], user_ids=IdMap(names),
                                    item_ids=DATA.items)
    model = Private(model=("MultDAE", {"epochs": 1, "hidden": (4,)})).fit(data)
    model.save(tmp_path / "m", seen=False)
    assert not [key for key in loading.manifest(tmp_path / "m")["members"] if "seen" in key]
    content = (tmp_path / "m").read_bytes()
    assert b"person-" not in content
    assert "person-".encode("utf-32-le") not in content
    card = loading.manifest(tmp_path / "m")
    assert card["taken"]["privacy_"] == model.privacy_
    assert data.fingerprint() not in json.dumps(card)
    assert "curves_" not in card["taken"]
    loaded = recsys.load(tmp_path / "m")
    history = data.items.ids[:3].tolist()
    assert loaded.recommend(history=history).items.tolist() == model.recommend(history=history).items.tolist()
    assert len(loaded.users) == 0


def test_counts_and_means_of_the_data_are_not_kept() -> None:
    rated = Interactions.from_arrays(DATA.user, DATA.item, np.where(DATA.item % 2, 1.0, 5.0))
    model = Private(model=("MultDAE", {"epochs": 1, "hidden": (4,)})).fit(rated)
    assert (model.item_counts == 1).all()
    assert (model.mean_value, model.rating_range) == (1.0, None)


def test_validation_data_is_not_looked_at() -> None:
    found = [Private(model=("MultDAE", {"epochs": 3, "hidden": (4,)}), seed=1).fit(DATA, valid)
             for valid in (None, DATA.take(np.arange(50)))]
    for a, b in zip(*(model.network.parameters() for model in found), strict=True):
        assert a.data.tobytes() == b.data.tobytes()


def test_whether_anybody_has_an_item_twice_does_not_matter() -> None:
    user, item = (np.append(side, side[:1]) for side in (DATA.user, DATA.item))
    twice = Interactions.from_arrays(DATA.users.ids[user], DATA.items.ids[item], user_ids=DATA.users,
                                     item_ids=DATA.items)
    model = Private(model=("SASRec", PEOPLE["SASRec"] | {"epochs": 1}))
    assert model.fit(twice).fitted


def test_an_event_is_compared_with_items_that_do_not_depend_on_others() -> None:
    """Somebody who has everything counts like anybody, and the loss of an event does not change with other events."""
    full = Interactions.from_arrays([0, 0, 0, 1], [0, 1, 2, 0])
    objective = GMF(loss="bpr", reg=0.0).prepare(full).objective
    assert objective.n_units == 4
    less = GMF(loss="bpr", reg=0.0).prepare(full.take(np.array([0, 1, 2]))).objective
    one, two = (each.losses(np.arange(3), np.random.default_rng(0)).data for each in (objective, less))
    np.testing.assert_allclose(one, two)


# -------------------------------------------------------------------------------------------- the Gram matrix
def rows(rng: np.random.Generator, n: int = 12, items: int = 8) -> CSR:
    there = rng.random((n, items)) < 0.4
    user, item = np.nonzero(there)
    return CSR.from_pairs(user, item, shape=there.shape)


def test_one_person_changes_counts_and_the_upper_half_within_the_stated_limits() -> None:
    """With the diagonal counted half, the upper half of x x' has the length |x|^2 / sqrt(2) exactly."""
    rng = np.random.default_rng(0)
    for k in (1, 2, 5, 100):
        x = rng.random(k)
        x /= np.linalg.norm(x)
        outer = np.outer(x, x)
        half = (np.triu(outer, 1) ** 2).sum() + (np.diag(outer) ** 2).sum() / 2
        assert half == pytest.approx(0.5)


def test_noise_has_twice_the_variance_on_the_diagonal() -> None:
    drawn = noisy.symmetric_noise(400, 3.0, np.random.default_rng(0))
    assert np.array_equal(drawn, drawn.T)
    assert drawn[np.triu_indices(400, 1)].std() == pytest.approx(3, rel=0.02)
    assert np.diag(drawn).std() == pytest.approx(3 * np.sqrt(2), rel=0.15)
    assert np.abs(np.linalg.eigvalsh(drawn)).max() == pytest.approx(2 * 3 * 20, rel=0.05)  # the edge


def test_cleaning_brings_back_what_is_above_noise() -> None:
    rng = np.random.default_rng(1)
    n = 300
    u = np.linalg.qr(rng.normal(size=(n, 2)))[0]
    true = (u * [400.0, 150.0]) @ u.T
    seen = true + noisy.symmetric_noise(n, 2.0, rng)
    edge = 2 * 2.0 * np.sqrt(n)
    found = noisy.cleaned(seen, edge)
    assert np.linalg.matrix_rank(found) == 2
    assert np.linalg.norm(found - true) < 0.25 * np.linalg.norm(seen - true)
    assert np.linalg.norm(found - true) < 0.25 * np.linalg.norm(true)
    assert not noisy.cleaned(noisy.symmetric_noise(n, 2.0, rng), 1.1 * edge).any()


def test_without_noise_it_is_ease_of_scaled_rows_of_length_one() -> None:
    private = Private(model=("EASE", {"reg": 0.5}), epsilon=None, noise=0.0).fit(DATA)
    x = np.asarray(DATA.csr.unique().toarray() > 0, float)
    scale = (x / np.sqrt(x.sum(axis=1, keepdims=True))).sum(axis=0) ** -0.25
    z = x * scale
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    inverse = np.linalg.inv(z.T @ z + 0.5 * np.eye(x.shape[1]))
    weights = -inverse / np.diag(inverse) * scale[:, None]
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(private.require("t").scorer.item_weights, weights, atol=1e-5)


def test_more_epsilon_is_nearer_to_what_it_is_without_noise() -> None:
    data = datasets.simulate(n_users=3000, n_items=40, n_events=60_000, seed=2)[0]
    exact = Private(model="EASE", epsilon=None, noise=0.0).fit(data).require("t").scorer.item_weights
    found = [Private(model="EASE", epsilon=epsilon, seed=0).fit(data) for epsilon in (0.5, 5.0, 500.0)]
    gaps = [np.linalg.norm(model.require("t").scorer.item_weights - exact) for model in found]
    assert gaps[0] > gaps[1] > gaps[2]


def test_tables_of_an_autoencoder_are_the_minimum_of_its_loss() -> None:
    """Of `E|x - V W' x~|^2 + reg |W V'|^2`, x~ with dropout: no small change of V or W makes it smaller."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 6))
    gram, p, reg = x.T @ x, 0.3, 2.0
    found = noisy.Published(np.ones(6), np.arange(6), np.ones(6), gram, reg)
    W, V = (table.astype(float) for table in noisy.tables(found, 2, p))
    penalty = np.diag(reg + p / (1 - p) * np.diag(gram))

    def loss(W: np.ndarray, V: np.ndarray) -> float:
        told = W @ V.T
        return float(np.trace(gram - 2 * gram @ told + told.T @ (gram + penalty) @ told))

    for _ in range(50):
        step = [1e-2 * rng.normal(size=(6, 2)) for _ in range(2)]
        assert loss(W, V) <= loss(W + step[0], V + step[1]) + 1e-6


def test_an_autoencoder_learns_from_the_matrix_what_ease_learns_with_fewer_numbers() -> None:
    data = datasets.simulate(n_users=400, n_items=25, n_events=6000, seed=3)[0]
    autoencoder = ("LinearAutoencoder", {"tied": False, "factors": 25, "dropout": 0.0})
    model = Private(model=autoencoder, epsilon=None, noise=0.0).fit(data)
    assert model.known_items_ == 25
    history = data.items.ids[:4].tolist()
    assert model.recommend(history=history, k=5).counts == 5
    again = Private(model=("LinearAutoencoder", {"tied": False}), epsilon=None, noise=0.0, mechanism="steps").fit(data)
    assert not hasattr(again, "known_items_")


def test_a_promise_in_words() -> None:
    said = sentence(Private(model="EASE", epsilon=3.0).fit(DATA).privacy_)
    assert said.startswith("epsilon 3.00 with delta 1e-05 for every person (noise ")
    assert said.endswith(" x max_norm 1, rate 1, 1 step)")


# ------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(("given", "error", "says"), [
    ({"model": "ALS"}, UnsupportedError, "ALS cannot learn privately; use EASE, or a network such as MultDAE"),
    ({"model": "Popular"}, UnsupportedError, "Popular cannot learn privately"),
    ({"model": ("CDAE", {"epochs": 1})}, UnsupportedError, "CDAE cannot learn privately with these hyper-parameters"),
    ({"model": ("AutoRec", {"epochs": 1})}, UnsupportedError, "cannot learn privately"),
    ({"model": ("SASRec", {"loss": "bpr"})}, UnsupportedError, "loss='softmax' and order='rows' alone"),
    ({"model": ("GMF", {"loss": "bpr"})}, UnsupportedError, "cannot protect every person; give unit='event'"),
    ({"model": ("GMF", {"loss": "warp", "reg": 0.0}), "unit": "event"}, UnsupportedError, "loss='bpr' or 'bce'"),
    ({"model": "EASE", "unit": "event"}, UnsupportedError, "EASE protects people"),
    ({"model": "MultDAE", "mechanism": "matrix"}, ParameterError, "MultDAE cannot learn by mechanism='matrix'"),
    ({"mechanism": "steps"}, ParameterError, "EASE has no steps"),
    ({"model": ("LinearAutoencoder", {"tied": False}), "unit": "event"}, UnsupportedError, "protects people"),
    ({"unit": "house"}, ParameterError, "unit"), ({"delta": 0.0}, ParameterError, "delta"),
    ({"epsilon": None}, ParameterError, "either epsilon or noise"), ({"noise": 1.0}, ParameterError, "either epsilon"),
    ({"max_norm": None}, ParameterError, "without clipping no epsilon"), ({"epsilon": -1.0}, ParameterError, "epsilon"),
    ({"model": ("MultDAE", {"lr": -1.0})}, ParameterError, "lr"),
    ({"model": ("EASE", {"max_gib": 1e-9})}, ParameterError, "more than max_gib"),
    ({"epsilon": 1e-5, "delta": 1e-12, "model": ("MultDAE", {"batch_size": 60})}, ParameterError, "no noise gives"),
])
def test_what_is_refused(given: dict[str, Any], error: type[Exception], says: str) -> None:
    data = DATA
    if given.get("model", ("",))[0] == "AutoRec":
        data = Interactions.from_arrays(DATA.user, DATA.item, np.where(DATA.item % 2, 1.0, 5.0))
    with pytest.raises(error, match=says):
        Private(**given).fit(data)


def test_a_delta_of_more_than_one_person_is_warned_of() -> None:
    with pytest.warns(DataWarning, match=r"delta=0.1 is above 1 / 120"):
        Private(delta=0.1).fit(DATA)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Private(delta=1 / 120).fit(DATA)


def test_the_model_may_be_given_in_every_form() -> None:
    assert Private(model=MultDAE(epochs=2)).get_params()["model"][0] == "MultDAE"
    assert Private(model="easE").fit(DATA).privacy_["steps"] == 1
