"""Learning again: what is better, or as good, takes over, what is worse does not, and nobody who left comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import cli, datasets, loading, retraining
from recsys.artifact.container import version_of
from recsys.artifact.versions import Versions
from recsys.data import Features, IdMap, Interactions
from recsys.data.csr import CSR
from recsys.data.parts import Split
from recsys.errors import DataError, ParameterError
from recsys.estimator import golden, storing
from recsys.evaluation import evaluate
from recsys.events import Event, EventLog, EventTypes, Item
from recsys.models import ALS, EASE, MLP, Bias, ItemKNN, Markov, Popular
from recsys.retraining import retrain

ANN = "ann-whose-name-is-nowhere-else-81b2"


def world(seed: int = 0, users: int = 120, events: int = 14, n_items: int = 80) -> Interactions:
    """Two tastes, in the order of time; users and items are texts, and Ann is among the users."""
    rng = np.random.default_rng(seed)
    user = rng.permutation(np.repeat(np.arange(users), events))
    rank = np.minimum(rng.geometric(0.06, len(user)) - 1, n_items // 2 - 1)
    item = 2 * rank + np.where(rng.random(len(user)) < 0.9, user % 2, rng.integers(0, 2, len(user)))
    names = [f"u{i:03d}" for i in range(users)]
    names[5] = ANN
    return Interactions.from_arrays(np.array(names)[user], np.array([f"i{i:02d}" for i in range(n_items)])[item],
                                    times=np.arange(len(user)))


def events_of(data: Interactions, kind: str = "click", prefix: str = "e") -> list[Event]:
    users, items = data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist()
    values = [None] * len(data) if data.value is None else data.value.tolist()
    return [Event(f"{prefix}{i}", user, item, kind, value, 1.7e9 - i, None)  # the clock runs backwards
            for i, (user, item, value) in enumerate(zip(users, items, values, strict=True))]


DATA = world()
OLD, LATE = DATA.take(np.arange(1000)).compact(), DATA.take(np.arange(1000, len(DATA)))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with EventLog(tmp_path / "log.db") as made:
        yield made


def running(tmp_path: Path, model: object, data: Interactions = OLD) -> Path:
    model.fit(data).save(tmp_path / "m.recsys")
    return tmp_path / "m.recsys"


def permuted(data: Interactions) -> Interactions:
    """The same events with other items: what a broken export would give."""
    return replace(data, item=np.random.default_rng(1).permutation(data.n_items)[data.item])


# ------------------------------------------------------------------------------------- what is promoted
def test_as_good_a_model_takes_over_and_says_how_far_it_has_learned(tmp_path, log):
    """All like the same items in the same order: old and new are one model, whose difference is 0."""
    few = Interactions.from_arrays(np.repeat(np.arange(200), 3), np.tile([0, 1, 2], 200), times=np.arange(600))
    more = Interactions.from_arrays(np.repeat(np.arange(200, 600), 3), np.tile([0, 1, 2], 400))
    path = running(tmp_path, Popular(), few)
    log.append(events_of(more))
    found = retrain(path, few, log, margin=0.0)
    assert found.accepted, found.why
    assert found.measured.low == found.measured.high == 0
    assert found.measured.running == found.measured.candidate > 0.5
    assert (found.events, found.held_out, found.learned_to) == (1200, 120, 1200)
    assert [v.name for v in Versions(path).list()] == [found.before, found.after]
    card, model = loading.manifest(path), loading.load(path)
    assert card["log"] == {"learned_to": 1200}
    assert card["measured"]["users"] == found.measured.users
    assert golden.replay(model.require("x"), card)
    assert len(model.users) == 600
    assert model.item_counts.tolist() == [600] * 3
    again = retrain(path, few, log)
    assert not again.accepted
    assert again.held_out == 0
    assert "too little is new" in again.why


@pytest.mark.parametrize("model", [EASE(), ItemKNN(), ALS(factors=8, epochs=5), MLP(factors=4, epochs=3)],
                         ids=lambda model: type(model).__name__)
def test_a_worse_model_does_not(tmp_path, log, model):
    path = running(tmp_path, model)
    before = path.read_bytes()
    log.append(events_of(LATE))
    found = retrain(path, permuted(OLD), log, newest=0.8, margin=0.1)
    assert not found.accepted, found
    assert found.before == found.after
    assert found.measured.high < 0
    assert "may be below" in found.why
    assert path.read_bytes() == before
    assert not Versions(path).folder.exists()


@pytest.mark.parametrize("model", [ItemKNN(), ALS(factors=8, epochs=5)], ids=lambda model: type(model).__name__)
def test_but_for_the_permutation_it_would(tmp_path, log, model):
    path = running(tmp_path, model)
    log.append(events_of(LATE))
    found = retrain(path, OLD, log, newest=0.8, margin=0.1)
    assert found.accepted
    assert found.measured.low < 0 < found.measured.high
    assert not retrain(running(tmp_path, model), OLD, log, newest=0.8, margin=0.01).accepted


def test_unless_it_is_forced(tmp_path, log):
    path = running(tmp_path, EASE())
    log.append(events_of(LATE))
    found = retrain(path, permuted(OLD), log, newest=0.8, force=True)
    assert found.accepted
    assert found.why.startswith("forced, though NDCG@10")
    assert found.after != found.before
    Versions(path).rollback()
    assert loading.load(path).recommend("u001").items.tolist() == EASE().fit(OLD).recommend("u001").items.tolist()


def test_new_items_and_users_join_with_their_titles(tmp_path, log):
    """What everybody takes now did not exist when the running model learned: the new one is far better."""
    titled = replace(OLD, item_features=Features(titles=[f"Item {i}" for i in OLD.items.ids]))
    path = running(tmp_path, Popular(), titled)
    fresh = Interactions.from_arrays([f"v{i}" for i in range(900)], np.array(["new"] * 800 + ["i00"] * 100))
    log.append(events_of(fresh))
    log.put_item(Item("new", "Brand new", None, {}, None, True))
    log.put_item(Item("i01", "Renamed", None, {}, None, True))
    log.put_item(Item("never met", "Nobody's", None, {}, None, True))
    log.put_item(Item(7, "Of another kind", None, {}, None, True))
    found = retrain(path, titled, log, newest=0.5)
    assert found.accepted, found.why
    assert found.measured.candidate > found.measured.running
    model = loading.load(path)
    assert model.recommend(history=["i03"], k=1).items.tolist() == ["new"]
    assert (model.title("new"), model.title("i01"), model.title("i00")) == ("Brand new", "Renamed", "Item i00")
    assert "v0" in model.users
    assert "never met" not in model.items


def test_ratings_learn_from_all_ratings_and_are_asked_for_good_ones(tmp_path, log):
    rated = replace(OLD, value=1.0 + np.arange(len(OLD)) % 5)
    late = replace(LATE, value=1.0 + np.arange(len(LATE)) % 5)
    path = running(tmp_path, Bias(), rated)
    log.append([*events_of(late, "rating"), *events_of(LATE, "click", "c")])
    found = retrain(path, rated, log, newest=0.5, force=True)
    assert found.events == len(late)
    model = loading.load(path)
    assert int(model.item_counts.sum()) == len(DATA)
    assert found.measured.events <= np.count_nonzero(late.value[-found.held_out:] >= 3)


def test_events_are_learned_in_the_order_of_arrival_up_to_the_beginning(tmp_path, log, monkeypatch):
    """Whatever the clock of the sender said; what arrives while it learns is for the next time."""
    path = running(tmp_path, Markov())
    log.append(events_of(LATE))  # whose clock runs backwards
    forgotten = EventLog.forgotten

    def busy(self, after=0):
        self.append([Event("late", "u001", "i00", "click", None, 0.0, None)])
        return forgotten(self, after)

    monkeypatch.setattr(EventLog, "forgotten", busy)
    found = retrain(path, OLD, log, force=True)
    assert found.events == found.learned_to == len(LATE)
    model = loading.load(path)
    for user in ("u001", "u050"):
        row = model.require("x").scorer.history.row(int(model.users.encode([user])[0]))[0]
        number = int(DATA.users.encode([user])[0])
        assert model.items.ids[row].tolist() == DATA.items.ids[DATA.csr.row(number)[0]].tolist()


def test_kinds_of_events_count_as_they_are_told(tmp_path, log):
    path = running(tmp_path, Popular())
    log.append([*events_of(LATE, "dislike"), *events_of(LATE, "click", "c")[:300]])
    assert retrain(path, OLD, log).events == 300
    types = EventTypes.of({"click": {"positive": False}})
    assert retrain(path, OLD, log, types).events == 0
    log.append([Event("odd", "u001", "i00", "hum", None, 0.0, None)])
    with pytest.raises(DataError, match="not 'hum'"):
        retrain(path, OLD, log)


def test_without_values_good_is_above_the_mean_of_the_log(tmp_path, log):
    path = running(tmp_path, Popular())
    log.append(events_of(replace(LATE, value=1.0 + np.arange(len(LATE)) % 5), "rating"))
    assert retrain(path, OLD, log).events == np.count_nonzero(np.arange(len(LATE)) % 5 >= 2)


# -------------------------------------------------------------------------------------- who has left
def test_who_was_forgotten_is_left_out_until_they_come_back(tmp_path, log):
    path = running(tmp_path, Popular())
    log.append(events_of(LATE))
    log.forget(ANN)
    found = retrain(path, OLD, log, force=True)
    assert found.forgotten == 1
    model = loading.load(path)
    assert ANN not in model.users
    assert ANN.encode("utf-32-le") not in path.read_bytes()
    log.append([Event("back", ANN, "i00", "click", None, 1.8e9, None)])
    retrain(path, OLD, log, force=True)
    model = loading.load(path)
    assert model.seen.row(int(model.users.encode([ANN])[0]))[0].tolist() == model.items.encode(["i00"]).tolist()


def test_who_leaves_while_it_learns_is_taken_out_before_it_answers(tmp_path, log, monkeypatch):
    path = running(tmp_path, Popular())
    log.append(events_of(LATE))
    fit, other = Popular.fit, EventLog(tmp_path / "log.db")

    def slow(self, data, **options):
        if not other.is_forgotten(ANN):
            other.forget(ANN)
        return fit(self, data, **options)

    monkeypatch.setattr(Popular, "fit", slow)
    found = retrain(path, OLD, log, force=True)
    other.close()
    assert found.forgotten == 0
    assert ANN not in loading.load(path).users
    assert ANN.encode("utf-32-le") not in path.read_bytes()
    assert sorted(os.listdir(Versions(path).folder)) == sorted(
        ["lock", *(v.path.name for v in Versions(path).list())])


def test_everybody_has_left(tmp_path, log):
    data = Interactions.from_arrays(["a", "b"], ["x", "y"])
    path = running(tmp_path, Popular(), data)
    for user in "ab":
        log.forget(user)
    with pytest.raises(DataError, match="everybody in the data asked to be forgotten"):
        retrain(path, data, log)


# --------------------------------------------------------------------------------------- what is refused
def test_data_of_another_kind_is_refused(tmp_path, log):
    path = running(tmp_path, Popular())
    with pytest.raises(DataError, match=r"without values, and this has some; .*\(--implicit\)"):
        retrain(path, replace(OLD, value=np.ones(len(OLD))), log)
    numbers = replace(OLD, users=IdMap(np.arange(OLD.n_users)))
    with pytest.raises(DataError, match="users are strings, and those of the data integers"):
        retrain(path, numbers, log)
    for wrong in ({"margin": -1}, {"newest": 0.0}, {"newest": 1.0}, {"newest": 1}, {"seed": -1}, {"force": 1}):
        with pytest.raises(ParameterError, match=f"retrain: {next(iter(wrong))} must be"):
            retrain(path, OLD, log, **wrong)


def test_ids_of_another_kind_are_counted_and_left_out(tmp_path, log):
    path = running(tmp_path, Popular())
    log.append([*events_of(LATE), Event("n", 7, "i00", "click", None, 0.0, None),
                Event("m", "u001", 7, "click", None, 0.0, None)])
    found = retrain(path, OLD, log)
    assert (found.strange, found.events) == (2, len(LATE))


def test_an_empty_log_changes_nothing(tmp_path, log):
    path = running(tmp_path, Popular())
    found = retrain(path, OLD, log)
    assert not found.accepted
    assert "of 0 events" in found.why
    assert found.learned_to == 0


# ------------------------------------------------------------------------------------------- the measure
@given(st.data())
def test_ndcg_is_that_of_its_definition(data):
    n_items, k = 12, 10
    lists = data.draw(st.lists(st.permutations(range(n_items)), min_size=1, max_size=5))
    lengths = [data.draw(st.integers(0, k)) for _ in lists]
    found = np.array([[*one[:n], *[-1] * (k - n)] for one, n in zip(lists, lengths, strict=True)])
    targets = [sorted(data.draw(st.sets(st.integers(0, n_items - 1), min_size=1))) for _ in lists]
    rows = np.repeat(np.arange(len(lists)), [len(t) for t in targets])
    got = retraining._ndcg(found, CSR.from_pairs(rows, np.concatenate(targets), None, (len(lists), n_items)))
    for row, wanted in enumerate(targets):
        gain = sum(1 / np.log2(place + 2) for place, item in enumerate(found[row]) if item in wanted)
        assert got[row] == pytest.approx(gain / sum(1 / np.log2(place + 2) for place in range(min(k, len(wanted)))))


def test_it_is_what_evaluate_measures(tmp_path):
    """On the running model's own items, where scores do not tie."""
    part, held = OLD.take(np.arange(800)), OLD.take(np.arange(800, 1000))
    model = EASE().fit(part)
    split = Split(part, None, held)
    expected = evaluate(model, split, metrics=["ndcg@10"])
    measured = retraining._measure(model, OLD, np.ones(200, bool), 0, None)
    pairs = np.setdiff1d(held.user * 1000 + held.item, part.user * 1000 + part.item)
    fresh = np.isin(expected.users, OLD.users.ids[np.unique(pairs // 1000)])
    assert measured.users == fresh.sum()
    assert measured.running == measured.candidate
    assert (measured.low, measured.high) == (0, 0)
    assert measured.running >= expected.per_user["ndcg@10"][fresh].mean() - 1e-6  # which counts repeats as misses


# ------------------------------------------------------------------------------------------- real people
def test_on_real_ratings(shared_data, tmp_path, capsys):
    """The last fifth of MovieLens is the log: learned by command, promoted, rolled back."""
    data = datasets.load(shared_data / "ml-100k")
    order = np.argsort(data.time, kind="stable")
    base, late = data.take(order[:80_000]).compact(), data.take(order[80_000:])
    base.to_csv(tmp_path / "base.csv")
    path = running(tmp_path, ItemKNN(), base.filter(min_value=4).binarise())
    with EventLog(tmp_path / "log.db") as log:
        log.append(events_of(late, "rating"))
    (tmp_path / "serve.toml").write_text('[events.rating]\npositive = ">= 4"\n')
    words = ["retrain", str(path), "--data", str(tmp_path / "base.csv"), "--min-value", "4", "--implicit", "--events",
             str(tmp_path / "log.db"), "--config", str(tmp_path / "serve.toml"), "--newest", "0.3", "--json"]
    assert cli.main([*words, "--margin", "0.1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accepted"], found["why"]
    assert found["events"] == np.count_nonzero(late.value >= 4)
    assert found["measured"]["users"] > 100
    assert len(loading.load(path).users) > base.n_users
    assert cli.main(["rollback", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["before"], shown["current"]) == (found["after"], found["before"])
    assert [row["current"] for row in shown["versions"]] == [True, False]
    assert shown["versions"][0]["answers"] == version_of(path)
    assert len(loading.load(path).users) <= base.n_users


# ------------------------------------------------------------------------------------------ the commands
def test_the_commands_say_what_is_wrong_in_a_sentence(tmp_path, log, capsys):
    path = running(tmp_path, Popular())
    log.append(events_of(LATE))
    OLD.to_csv(tmp_path / "old.csv")
    (tmp_path / "bad.toml").write_text("[events")
    (tmp_path / "odd.toml").write_text('[events.click]\nweight = "much"\n')
    model, data, events = str(path), ["--data", str(tmp_path / "old.csv")], ["--events", str(tmp_path / "log.db")]
    for words, problem in (
            (["retrain", model, *data, "--events", str(tmp_path / "absent.db")], "absent.db"),
            (["retrain", model, *data, *events, "--config", str(tmp_path / "bad.toml")], "not a TOML file"),
            (["retrain", model, *data, *events, "--config", str(tmp_path / "odd.toml")], "[events.click]: weight"),
            (["retrain", model, *data, *events, "--newest", "2"], "newest must be a share above 0 and below 1"),
            (["retrain", model, *data, *events, "--out", str(tmp_path / "log.db")], "is the file of --events"),
            (["retrain", str(tmp_path / "absent"), *data, *events], "absent"),
            (["rollback", model], "no version before 1-"),
            (["rollback", model, "--to", "9"], "no version '9'; kept are: none")):
        assert cli.main(words) == 2, words
        out, err = capsys.readouterr()
        assert (out, err.splitlines()[-1].startswith("recsys: ")) == ("", True), err
        assert problem in err
    assert cli.main(["retrain", model, *data, *events]) == 0
    assert "Not accepted" in capsys.readouterr().out
    assert cli.main(["retrain", model, *data, *events, "--force", "--out", str(tmp_path / "new")]) == 0
    assert "Learned again" in capsys.readouterr().out
    assert loading.manifest(tmp_path / "new")["log"]["learned_to"] == len(LATE)
    assert loading.manifest(path).get("log") is None
    assert cli.main(["rollback", model, "--list"]) == 0
    assert "1-" in capsys.readouterr().out
    assert path.exists()


def test_versions_are_pruned_and_priority_is_low(tmp_path, log):
    path = running(tmp_path, Popular())
    OLD.to_csv(tmp_path / "old.csv")
    words = ["retrain", str(path), "--data", str(tmp_path / "old.csv"), "--events", str(tmp_path / "log.db"), "--force",
             "--keep", "2"]
    for n in (1, 2):
        log.append(events_of(LATE.take(np.arange(n)), prefix=f"r{n}-"))
        assert cli.main(words) == 0
    assert [v.number for v in Versions(path).list()] == [2, 3]
    code = ("import os, sys; from recsys import cli; before = os.nice(0); code = cli.main(sys.argv[1:]); "
            "print(os.nice(0) - before); sys.exit(code)")
    log.append(events_of(LATE.take(np.arange(3)), prefix="r3-"))
    done = subprocess.run([sys.executable, "-c", code, *words, "--low-priority"], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 0
    assert [v.number for v in Versions(path).list()] == [3, 4]


def test_whom_an_erasure_only_removed_is_not_learned_by_the_next_version(log: EventLog, tmp_path: Path) -> None:
    """The card says so of every receipt."""
    path = tmp_path / "model"
    ItemKNN().fit(OLD).save(path)
    log.forget(ANN)
    storing.forget(path, [ANN], receipt="of the service")
    assert loading.manifest(path)["forgotten"] == [{"receipt": "of the service", "level": "removed only"}]
    log.append([event for event in events_of(LATE) if event.user != ANN])
    retrain(path, OLD, log, force=True)
    assert loading.manifest(path)["forgotten"] == [{"receipt": "of the service", "level": "retrained"}]
    assert ANN not in loading.load(path).users
