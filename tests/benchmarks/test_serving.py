"""Checks of answers find doctored ones; the table says what fell short; a service is measured and gone afterwards."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra `serve` is not installed")
pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")

from benchmarks import serving
from benchmarks.load import Answer
from benchmarks.service import pairs, replay
from benchmarks.service.answers import asking, loaded, saturated
from benchmarks.service.checking import wrong
from benchmarks.service.measures import ROWS, Figure, Row
from benchmarks.service.pairs import Pair
from benchmarks.service.place import Service
from recsys import datasets
from recsys.models import ALS


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A small model's file, its data, and answers of a service to histories."""
    folder = tmp_path_factory.mktemp("shop")
    data = datasets.simulate(n_users=60, n_items=50, n_events=900, seed=0)[0].binarise()
    ALS(factors=8, epochs=2).fit(data).save(folder / "shop.recsys")
    histories = [data.items.ids[n:n + 4].tolist() for n in range(8)]
    with Service(folder, folder / "shop.recsys") as service:
        pids = [service.pid, *service.workers()]
        figures, answers = saturated(service, asking(histories), .2)
        memory = service.proportional_bytes()
        status, _ = service.ask("POST", "/v1/events", {"events": [{"id": "a", "user": -1, "item": histories[0][0],
                                                                   "type": "click"}]})
        listed = service.ask("POST", "/v1/recommend", {"user": -1})[1]
    return {"path": folder / "shop.recsys", "data": data, "histories": histories, "answers": answers, "pids": pids,
            "figures": figures, "memory": memory, "acknowledged": status, "listed": listed, "log": service.log}


def test_a_service_is_measured_and_gone(shop):
    assert shop["figures"]["rate"] > 10
    assert shop["figures"]["cpu_us"] > 10
    assert shop["memory"] > 20e6
    assert len(shop["pids"]) == 2
    assert not any(os.path.exists(f"/proc/{pid}") for pid in shop["pids"])


def doctored(answer, how):
    body = json.loads(answer.body)
    if how == "score":
        body["items"][3]["score"] = float(np.nextafter(np.float32(body["items"][3]["score"]), np.float32(9)))
    elif how == "order":
        body["items"][0], body["items"][1] = body["items"][1], body["items"][0]
    elif how == "title":
        body["items"][2]["title"] = "Another"
    elif how == "version":
        body["model"]["version"] = "0123456789ab"
    elif how == "missing":
        del body["items"][-1]
    return Answer(500 if how == "status" else 200, json.dumps(body).encode())


@pytest.mark.parametrize("how", ["score", "order", "title", "version", "missing", "status"])
def test_a_doctored_answer_is_found(shop, how):
    model, version = loaded(shop["path"])
    answers = list(shop["answers"][:40])
    assert wrong(answers, shop["histories"], {version: model}) == 0
    answers[17] = doctored(answers[17], how)
    assert wrong(answers, shop["histories"], {version: model}) == 1


def test_a_swapped_answer_is_found(shop):
    model, version = loaded(shop["path"])
    answers = list(shop["answers"][:8])
    answers[0], answers[5] = answers[5], answers[0]
    assert wrong(answers, shop["histories"], {version: model}) == 2


def test_a_stale_list_and_a_lost_event_are_found(shop):
    held = SimpleNamespace(shop=shop["path"], events=shop["data"])
    item, listed = shop["histories"][0][0], Answer(200, json.dumps(shop["listed"]).encode())
    pair = Pair(-1, item, "a", Answer(200, b""), listed)
    assert pairs._stale(held, [pair]) == 0
    assert pairs._stale(held, [replace(pair, item=shop["histories"][1][3])]) == 1  # as if the click were not known
    assert pairs._lost(shop["log"], [pair]) == 0
    assert pairs._lost(shop["log"], [replace(pair, id="b")]) == 1
    assert pairs._lost(shop["log"], [replace(pair, item=item + 1)]) == 1


@pytest.mark.parametrize(("scores", "target", "place"), [
    ({7: 3.0, 8: 2.0, 9: 2.0}, 9, (1, 2)), ({7: 3.0}, 7, (0, 1)), ({7: 3.0}, 8, (replay.UNREACHED, 1))])
def test_ties_of_a_target(scores, target, place):
    items = [{"id": id, "score": score} for id, score in scores.items()]
    assert replay._place(Answer(200, json.dumps({"items": items}).encode()), target) == place


def test_a_tie_that_a_list_does_not_show_is_refused():
    items = [{"id": id, "score": 1.0} for id in range(replay.LONGER)]
    with pytest.raises(RuntimeError, match="ask for longer lists"):
        replay._place(Answer(200, json.dumps({"items": items}).encode()), 3)


def test_what_falls_short_says_so(monkeypatch):
    row = Row("one", "a claim", lambda bench: {}, (
        Figure("p99_ms", "p99 {:.1f} ms", most=10), Figure("rate", "{:,.0f}/s", least=3000),
        Figure("n", "{:.0f} asked")))
    monkeypatch.setattr(serving, "ROWS", (row,))
    stored = {"name": "one", "on": "made", "data": {"name": "made", "seed": 0}, "load": .1, "date": "2026-01-02",
              "commit": "abc", "machine": {"label": "a machine"}, "figures": {"p99_ms": 10.0, "rate": 2999.0, "n": 5}}
    assert "**p99 10.0 ms** (at most 10), **2,999/s** (at least 3,000; short), 5 asked" in serving.table([stored])
    assert serving.short(stored)
    assert not serving.short({**stored, "figures": {"p99_ms": 1.0, "rate": 3000.0, "n": 5}})


def test_rows_have_names_of_their_own_and_what_is_stored_is_of_them():
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names)) == 13
    for stored in serving.store.read(serving.RESULTS):
        assert {figure.key for row in ROWS if row.name == stored["name"] for figure in row.figures} <= set(
            stored["figures"])


def test_an_unknown_row_is_refused(capsys):
    with pytest.raises(SystemExit):
        serving.main(["--only", "nonsense"])
    assert "nonsense" in capsys.readouterr().err
