"""Without some users: nothing of them is in the file, and nobody else can tell, for every model there is."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import loading
from recsys.data import Features, IdMap, Interactions
from recsys.errors import ArtifactError, DataWarning, UnknownIdError, UnsupportedError
from recsys.estimator import Fitted, golden, scorers, storing
from recsys.models import (
    GMF,
    REGISTRY,
    AutoRec,
    DeepFM,
    FactorizationMachine,
    GraphFilter,
    ItemKNN,
    KernelAutoRec,
    Popular,
    RP3beta,
)
from recsys.models.pairs.network import GMFNetwork
from tests.recsys.models.conftest import make, mixed, simulated

N, WORDS = 37, 4  # users, and columns of their features: no other side of an array is as long, with them or without
GONE = ("somebody-with-a-name-that-is-nowhere-else-6f1c2", "user 12", "user 36")
# whose answers are made of other people's histories
AMONG_OTHERS = ("GraphFilter", "TrustKNN", "UserKNN", "UserKNNBaseline", "VSTAN")


def people() -> Interactions:
    data = simulated(n_users=N)
    ids = [f"user {i:02d}" for i in range(N)]
    ids[20] = GONE[0]
    features = Features(attributes={"age": np.arange(N) + 0.5, "town": [f"town {i % 3}" for i in range(N)]})
    return replace(data, users=IdMap(ids), user_features=features)


DATA = people()
OTHERS = [user for user in DATA.users.ids.tolist() if user not in GONE]


def variants() -> Iterator[object]:
    yield from (pytest.param(make(name), id=name) for name in REGISTRY)
    yield pytest.param(ItemKNN(weights="idf"), id="idf")
    yield pytest.param(RP3beta(weights="value"), id="RP3beta of values")
    yield pytest.param(GraphFilter(response="bspm"), id="GraphFilter, sharpened")
    yield pytest.param(AutoRec(side="users", epochs=1, hidden=(4,)), id="AutoRec of users")
    yield pytest.param(KernelAutoRec(side="users", epochs=1, hidden=(4,)), id="KernelAutoRec of users")
    yield pytest.param(FactorizationMachine(loss="mse", epochs=1, factors=4), id="FactorizationMachine of ratings")


@pytest.fixture(scope="module", params=variants())
def fitted(request: pytest.FixtureRequest) -> Fitted:
    return request.param.fit(DATA).require("test")


@pytest.fixture(scope="module")
def rest(fitted: Fitted) -> Fitted:
    return storing.without_users(fitted, [*GONE, "never seen", 7])


def shapes(path) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in loading.read(path)[1].items()}


def same(a, b) -> bool:
    return (a.items.tolist(), a.scores.tobytes(), a.source.tolist()) == (b.items.tolist(), b.scores.tobytes(),
                                                                         b.source.tolist())


def test_nothing_of_them_is_in_the_file(fitted, rest, tmp_path):
    """Neither their ids, in any encoding, nor a row of any table, nor as many rows as there were users."""
    storing.save(fitted, tmp_path / "before")
    storing.save(rest, tmp_path / "after")
    before, after = ((tmp_path / name).read_bytes() for name in ("before", "after"))
    for encoding in ("utf-8", "utf-16-le", "utf-32-le"):
        assert GONE[0].encode(encoding) not in after
    assert GONE[0].encode("utf-32-le") in before
    was, now = shapes(tmp_path / "before"), shapes(tmp_path / "after")
    assert was.keys() == now.keys()
    sides = {N: N - 3, N + 1: N - 2, N + WORDS: N + WORDS - 3, 3 * N + 1: 3 * (N - 3) + 1}
    for name, shape in was.items():
        if name.endswith((".indices", ".data")):  # the entries of ragged rows
            continue
        if fitted.name == "Sharded" and ".part." in name and shape != now[name]:  # as many less as a shard had of them
            assert now[name][1:] == shape[1:]
            assert 0 < shape[0] - now[name][0] <= 3
        else:
            assert now[name] == tuple(sides.get(side, side) for side in shape), name
    for array in loading.read(tmp_path / "before")[1].values():
        if array.dtype.kind == "f" and array.ndim == 2 and len(array) in (N, N + WORDS) and array.shape[1] >= 4:
            for row in array[[12, 20, 36]]:
                assert row.tobytes() not in after or not row.any()


def test_everybody_else_gets_the_same_answers(fitted, rest):
    before, after = fitted.recommend(OTHERS, k=24), rest.recommend(OTHERS, k=24)
    if fitted.name not in AMONG_OTHERS:
        assert same(before, after)
        users, items = np.repeat(OTHERS, 24), np.tile(DATA.items.ids, len(OTHERS))
        assert rest.predict(users, items).tobytes() == fitted.predict(users, items).tobytes()
        if fitted.can.fold_in:
            history = {"history": [["item 01", "item 02"], ["item 07"]], "values": [[4, 5], [1]], "k": 24}
            assert same(fitted.recommend(**history), rest.recommend(**history))
    if fitted.can.explain and fitted.name not in AMONG_OTHERS:
        assert rest.explain(OTHERS[3], "item 05") == fitted.explain(OTHERS[3], "item 05")
    if fitted.can.embeddings:
        assert same(fitted.similar_items(["item 03"]), rest.similar_items(["item 03"]))
    assert rest.items is fitted.items
    assert rest.title("item 03") == fitted.title("item 03")


def test_they_are_as_unknown_as_anybody_who_never_came(fitted, rest):
    assert rest.users.ids.tolist() == OTHERS
    for user in GONE:
        with pytest.raises(UnknownIdError, match=user):
            rest.recommend(user)
        assert same(rest.recommend(user, on_unknown="fallback"), rest.recommend("nobody", on_unknown="fallback"))
        assert rest.predict(user, "item 03", "fallback") == rest.predict("nobody", "item 03", "fallback")
    assert rest.fingerprint != fitted.fingerprint


def test_it_is_saved_and_learns_on(fitted, rest, tmp_path):
    storing.save(rest, tmp_path / "after")
    loaded = loading.load(tmp_path / "after")
    again = loaded.require("test")
    assert same(again.recommend(OTHERS), rest.recommend(OTHERS))
    assert golden.replay(again, loading.manifest(tmp_path / "after"))
    storing.save(again, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "after").read_bytes()
    if loaded.can.partial_fit:
        new = Interactions.from_arrays([GONE[0], "user 01"], ["item 03", "item 04"], [5.0, 4.0], item_features=replace(
            DATA.item_features, text=None).take([3, 4]), item_ids=IdMap(["item 03", "item 04"]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)  # the new user has no features
            loaded.partial_fit(new)
        assert loaded.users.ids.tolist() == [*OTHERS, GONE[0]]
        assert len(loaded.recommend(OTHERS, k=3).users) == N - 3


def test_what_a_file_holds_once_it_still_holds_once(tmp_path):
    """Histories that are the seen items take no room of their own."""
    fitted = make("EASE").fit(DATA).require("test")
    storing.save(storing.without_users(fitted, GONE), tmp_path / "model")
    storing.save(fitted, tmp_path / "before")

    def members(path):
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()

    assert members(tmp_path / "model") == members(tmp_path / "before")
    assert "seen.indices.npy" not in members(tmp_path / "model")


def test_nobody_known_is_nothing_to_do():
    fitted = make("ALS").fit(simulated()).require("test")
    assert storing.without_users(fitted, []) is fitted
    assert storing.without_users(fitted, ["seven", -1, 8]) is fitted
    assert len(storing.without_users(fitted, [np.int64(7), 7, 17]).users) == 28


@pytest.mark.parametrize("name", ["EASE", "MLP", "ALS", "CDAE", "ItemKNNBaseline", "FactorizationMachine", "TextCNN"])
def test_one_by_one_is_all_at_once_down_to_nobody(name):
    fitted = make(name).fit(DATA).require("test")
    some = storing.without_users(storing.without_users(fitted, GONE[:1]), GONE[1:])
    once = storing.without_users(fitted, GONE)
    assert same(some.recommend(OTHERS), once.recommend(OTHERS))
    arrays = [scorers.state_of(each.scorer)[1] for each in (some, once)]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(arrays[0].values(), arrays[1].values(), strict=True))
    nobody = storing.without_users(once, OTHERS)
    assert len(nobody.users) == 0
    assert len(nobody.recommend("user 01", on_unknown="fallback").items) == 10


@settings(max_examples=30, deadline=None)
@given(gone=st.sets(st.integers(0, N - 1), max_size=N - 1))
def test_any_users_may_leave(gone: set[int]):
    left = [DATA.users.ids[i] for i in range(N) if i not in gone]
    for model in (SMALL, LAYERS):
        rest = storing.without_users(model, [DATA.users.ids[i] for i in gone])
        assert rest.users.ids.tolist() == left
        assert same(rest.recommend(left), model.recommend(left))


SMALL = make("MatrixFactorization").fit(DATA).require("test")
LAYERS = DeepFM(epochs=1, factors=2, hidden=(4,)).fit(DATA).require("test")


def test_blends():
    parts = [make(name).fit(DATA).require("test") for name in ("EASE", "MLP", "CDAE")]
    blend = mixed(parts, [1, 2, 3])
    assert same(storing.without_users(blend, GONE).recommend(OTHERS), blend.recommend(OTHERS))


def test_forget_rewrites_a_file_and_keeps_what_its_card_says(tmp_path):
    path = tmp_path / "model"
    storing.save(Popular().fit(DATA).require("test"), path, card={"log": {"learned_to": 3}})
    before = path.read_bytes()
    assert storing.forget(path, ["nobody"]) == 0
    assert path.read_bytes() == before
    assert storing.forget(path, [*GONE[:2], "nobody"], tmp_path / "new") == 2
    assert path.read_bytes() == before
    assert storing.forget(path, GONE) == 3
    card = loading.manifest(path)
    assert card["log"] == {"learned_to": 3}
    assert card["data"]["users"] == N - 3
    assert GONE[0] not in json.dumps(card)
    hidden = tmp_path / "hidden"
    make("ALS").fit(DATA).save(hidden, seen=False)
    assert storing.forget(hidden, GONE) == 3
    assert not [name for name in loading.manifest(hidden)["members"] if "seen" in name]
    path.write_bytes(before[:-9])
    with pytest.raises(ArtifactError, match="not a model file"):
        storing.forget(path, GONE)


class Own(GMF):
    """A network of one's own, in a scorer of pairs."""

    def architecture(self):
        return None

    def build(self, n_users, n_items, rng):
        return Silent(n_users, n_items, 4, 0.1, rng)

    def _learned(self, network, facts):
        return super(GMF, self)._learned(network, facts)


class Silent(GMFNetwork):
    of_users = ()


def test_a_network_that_does_not_name_its_users_is_refused(monkeypatch):
    from recsys.estimator import networks
    from recsys.models.pairs import network

    monkeypatch.setattr(networks, "NETWORKS", {**networks.NETWORKS, "mlp": "recsys.models.pairs.network.silent"})
    monkeypatch.setattr(network, "silent", network.mlp, raising=False)
    fitted = make("MLP").fit(DATA).require("test")
    monkeypatch.setattr(network.MLPNetwork, "of_users", ())
    with pytest.raises(UnsupportedError, match=r"users.weight has shape \(37, 4\).*names the modules .* as of_users"):
        storing.without_users(fitted, GONE)
    with pytest.raises(UnsupportedError, match="a network of your own cannot be stored"):
        storing.without_users(Own(epochs=1).fit(DATA).require("test"), GONE)
