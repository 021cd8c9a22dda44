"""The search: its trials do not depend on processes, interruptions or the test part, and it finds what there is."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

from recsys import datasets, split_random
from recsys.configuration import read_model
from recsys.data import IdMap
from recsys.errors import DataError, ParameterError, UnsupportedError
from recsys.estimator import Can, Learned, Recommender
from recsys.estimator.scorers.constant import Constant
from recsys.events import Event, EventLog
from recsys.models import ALS, EASE, GMF, MatrixFactorization, Popular, WeightedHybrid
from recsys.tuning import tune
from recsys.tuning.trials import halves, without_test

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data():
    return datasets.simulate(n_users=120, n_items=60, n_events=2400, seed=0)[0].binarise()


def told(found):
    """What may not depend on the machine."""
    return {name: [(each.parameters, each.state, each.value) for each in trials]
            for name, trials in found.trials.items()}


def test_the_winner_is_kept_and_the_defaults_stand_beside(data, tmp_path):
    found = tune({"EASE": EASE(), "Popular": Popular()}, data, "ratio-811-full", trials=6, metric="ndcg@10")
    assert [len(trials) for trials in found.trials.values()] == [6, 6]
    values = [each.anew.value for each in found.finalists]
    assert values == sorted(values, reverse=True)
    assert {(each.model, each.default) for each in found.finalists} >= {("EASE", True), ("Popular", True)}
    for each in found.finalists:
        assert each.anew.low <= each.anew.value <= each.anew.high
        assert not each.default or each.anew.difference == 0
    best = max(each.value for each in found.trials["EASE"])
    assert best >= found.trials["EASE"][0].value
    assert found.trials["EASE"][0].parameters == EASE().get_params()
    found.write(tmp_path / "best.toml")
    again = read_model(tmp_path / "best.toml")
    assert type(again).__name__ == found.winner.model
    assert again.get_params() == found.winner.parameters
    assert json.loads(json.dumps(found.to_record()))["metric"] == "ndcg@10"


def test_two_processes_find_what_one_finds(data):
    models = {"EASE": EASE(), "GMF": GMF(epochs=9, factors=4)}
    one, two = (tune(models, data, "ratio-811-full", trials=9, jobs=jobs) for jobs in (1, 2))
    assert told(one) == told(two)
    assert one.winner.parameters == two.winner.parameters


def test_networks_that_are_worse_are_stopped(data):
    found = tune({"GMF": GMF(epochs=12, factors=4)}, data, "ratio-811-full", trials=13, metric="ndcg@10")
    stopped = [each for each in found.trials["GMF"] if each.state == "pruned"]
    assert stopped
    assert all(each.epochs < 12 and each.value is None and "below the best" in each.reason for each in stopped)
    assert found.trials["GMF"][0].state == "complete"


def test_an_interrupted_search_goes_on_as_if_there_had_been_none(data, tmp_path):
    models, storage = {"EASE": EASE(), "ALS": ALS(epochs=2)}, tmp_path / "trials.db"
    whole = tune(models, data, "ratio-811-full", trials=7)
    for trials in (1, 3, 6):
        tune(models, data, "ratio-811-full", trials=trials, storage=storage)
    assert told(tune(models, data, "ratio-811-full", trials=7, storage=storage)) == told(whole)


SEARCH = """
import sys
from recsys import datasets
from recsys.models import EASE, GMF
from recsys.tuning import tune

if __name__ == "__main__":
    data = datasets.simulate(n_users=120, n_items=60, n_events=2400, seed=0)[0].binarise()
    found = tune({"GMF": GMF(epochs=30, factors=4), "EASE": EASE()}, data, "ratio-811-full", trials=9, jobs=2,
                 storage=sys.argv[1])
    found.write(sys.argv[2])
"""


def test_a_search_that_is_killed_ends_with_the_same_file(tmp_path):
    (tmp_path / "search.py").write_text(SEARCH)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "1"}

    def start(name):
        return subprocess.Popen([sys.executable, tmp_path / "search.py", tmp_path / f"{name}.db",
                                 tmp_path / f"{name}.toml"], env=environment, start_new_session=True)

    assert start("whole").wait(300) == 0
    process = start("killed")
    deadline = time.monotonic() + 120
    while _kept(tmp_path / "killed.db") < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(.02)
    children = _children(process.pid)
    process.kill()  # the parent alone: the others notice
    process.wait()
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(.05)
    assert start("killed").wait(300) == 0
    assert (tmp_path / "killed.toml").read_bytes() == (tmp_path / "whole.toml").read_bytes()


def _kept(storage):
    import sqlite3

    if not storage.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{storage}?mode=ro", uri=True) as file:
            return file.execute("select count(*) from trials").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def _children(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def test_the_test_part_changes_nothing(data, tmp_path):
    split = split_random(data, valid=0.2, test=0.2, seed=3)
    poisoned = replace(split, test=replace(split.test, item=np.roll(split.test.item, 7),
                                           user=split.test.user[::-1].copy()))
    users, items = (IdMap(np.insert(each.ids, 0, each.ids.max() + [1, 2])) for each in (data.users, data.items))
    grown = replace(split, **{name: getattr(split, name).reindex(users, items) for name in ("train", "valid", "test")})
    grown = replace(grown, test=replace(grown.test, item=np.arange(len(grown.test)).astype(np.int32) % len(items)))
    files = []
    for name, each in (("clean", split), ("poisoned", poisoned), ("grown", grown)):
        found = tune({"EASE": EASE(), "ALS": ALS(epochs=2)}, each, "predefined", trials=6, metric="recall@10")
        found.write(tmp_path / f"{name}.toml")
        files.append((tmp_path / f"{name}.toml").read_bytes())
    assert files[0] == files[1] == files[2]
    assert not len(without_test(split).test)


def test_people_choose_or_score_and_never_both(data):
    split = split_random(data, valid=0.2, test=0.2, seed=3)
    choosing, fresh = halves(split, 0)
    mine, others = (set(each.valid.user.tolist()) for each in (choosing, fresh))
    assert not mine & others
    assert mine | others == set(split.valid.user.tolist())
    assert abs(len(mine) - len(others)) <= 1


class Brittle(Recommender):
    """Fails for most settings."""

    can = Can()
    checks = EASE.checks

    def __init__(self, *, reg: float = 1.0):
        self.store_parameters(locals())

    def learn(self, data, context):
        if self.reg > 1:
            raise DataError("it breaks")
        if self.reg < 1:
            raise MemoryError
        return Learned(Constant(Can(), np.arange(data.n_items, dtype=np.float32)))


def test_a_trial_that_fails_is_a_line(data, monkeypatch):
    monkeypatch.setattr("recsys.tuning.trials.find", lambda name: Brittle)
    found = tune({"Brittle": Brittle()}, data, "ratio-811-full", trials=5)
    states = [each.state for each in found.trials["Brittle"]]
    assert states == ["complete", "failed", "failed", "failed", "failed"]
    assert {each.reason for each in found.trials["Brittle"][1:]} == {
        "it breaks", "not enough memory: the model is too large"}
    assert found.winner.default


class Planted(Brittle):
    """Ranks the better by popularity, the nearer reg is to 8."""

    def learn(self, data, context):
        noise = np.random.default_rng(0).standard_normal(data.n_items)
        counts = np.bincount(data.item, minlength=data.n_items)
        scores = counts + abs(math.log(self.reg / 8)) * counts.std() * noise
        return Learned(Constant(Can(), scores.astype(np.float32)))


def test_a_planted_best_is_found(data, monkeypatch):
    monkeypatch.setattr("recsys.tuning.trials.find", lambda name: Planted)
    found = tune({"Planted": Planted()}, data, "ratio-811-full", trials=29, metric="auc")
    ranked = sorted(found.trials["Planted"], key=lambda each: -each.value)
    assert abs(math.log(ranked[0].parameters["reg"] / 8)) < 0.3
    near = [abs(math.log(each.parameters["reg"] / 8)) for each in found.trials["Planted"]]
    assert np.mean(near[13:]) < np.mean(near[1:13])  # what was found is made use of
    assert not found.winner.default


def test_ratings_are_made_small():
    data = datasets.simulate(n_users=80, n_items=50, n_events=1500, seed=0)[0]
    found = tune({"MF": MatrixFactorization(epochs=3)}, data, "ratings-90-10", trials=5)
    assert found.metric == "rmse"
    values = [each.anew.value for each in found.finalists]
    assert values == sorted(values)


def test_limits_of_people_and_time(data):
    found = tune({"EASE": EASE()}, data, "ratio-811-full", trials=2, train_users=60, valid_users=20)
    assert found.card["chosen on"].startswith("10 people")
    found = tune({"EASE": EASE()}, data, "ratio-811-full", trials=1, train_events=600)
    few, all_of = int(found.card["chosen on"].split()[0]), 60
    assert few < all_of / 2
    found = tune({"EASE": EASE()}, data, "strong-generalisation", trials=1, train_users=30, n_valid=20, n_test=20)
    assert found.card["chosen on"].startswith("10 people")  # others than those of the training
    found = tune({"EASE": EASE(), "ALS": ALS()}, data, "ratio-811-full", minutes=1e-9)
    assert [len(trials) for trials in found.trials.values()] == [1, 1]  # each has the setting to begin with


def test_a_model_without_a_space_has_one_trial(data):
    found = tune({"WeightedHybrid": WeightedHybrid(models=("EASE", "Popular"))}, data, "ratio-811-full", trials=5)
    assert len(found.trials["WeightedHybrid"]) == 1
    assert found.spaces["WeightedHybrid"] == {}


@pytest.mark.parametrize(("change", "words"), [
    ({"trials": 0}, "trials must be"), ({"jobs": 0}, "jobs must be"), ({"minutes": -1}, "minutes must be"),
    ({"metric": "rmse"}, "rmse"), ({"protocol": "nope"}, "nope"), ({"models": {}}, "models must be")])
def test_what_does_not_fit_is_said(data, change, words):
    with pytest.raises(ParameterError, match=words):
        tune(**{"models": {"EASE": EASE()}, "data": data, "protocol": "ratio-811-full", "trials": 1, **change})


def test_nothing_to_choose_by_or_from(data, monkeypatch):
    with pytest.raises(DataError, match="no validation part"):
        tune({"EASE": EASE()}, split_random(data, valid=0.0, test=0.2), "predefined", trials=1)
    monkeypatch.setattr("recsys.tuning.trials.find", lambda name: Brittle)
    with pytest.raises(UnsupportedError, match="no model could be measured: Brittle it breaks"):
        tune({"Brittle": Brittle(reg=5.0)}, data, "ratio-811-full", trials=1)


def test_another_search_is_not_gone_on_with(data, tmp_path):
    storage = tmp_path / "trials.db"
    tune({"EASE": EASE()}, data, "ratio-811-full", trials=1, storage=storage)
    with pytest.raises(ParameterError, match="a search of EASE with another metric"):
        tune({"EASE": EASE()}, data, "ratio-811-full", trials=1, storage=storage, metric="hit@10")
    with pytest.raises(ParameterError, match="another seed"):
        tune({"EASE": EASE()}, data, "ratio-811-full", trials=1, storage=storage, seed=4)
    (tmp_path / "none.db").write_text("no database at all, but text that is long enough to be taken for one")
    with pytest.raises(ParameterError, match=r"none\.db is no file of trials, and stays as it is"):
        tune({"EASE": EASE()}, data, "ratio-811-full", trials=1, storage=tmp_path / "none.db")


def test_a_database_of_something_else_stays_as_it_is(data, tmp_path):
    with EventLog(tmp_path / "log.db") as log:
        log.append([Event("a", 1, 2, "click", None, 0.0, None)])
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(ParameterError, match=r"log\.db is no file of trials, and stays as it is"):
            tune({"EASE": EASE()}, data, "ratio-811-full", trials=1, storage=tmp_path / "log.db")
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(ParameterError, match="is no file of trials"):
        tune({"EASE": EASE()}, data, "ratio-811-full", trials=1, storage=tmp_path)
    with pytest.raises(ParameterError, match="cannot keep trials"):
        tune({"EASE": EASE()}, data, "ratio-811-full", trials=1, storage=tmp_path / "no" / "folder.db")


def test_the_file_says_how(data, tmp_path):
    tune({"EASE": EASE()}, data, "ratio-811-full", trials=2).write(tmp_path / "best.toml")
    tables = tomllib.loads((tmp_path / "best.toml").read_text())
    assert tables["model"]["name"] == "EASE"
    assert tables["tuning"]["protocol"] == "ratio-811-full"
    assert tables["tuning"]["low"] <= tables["tuning"]["anew"] <= tables["tuning"]["high"]
