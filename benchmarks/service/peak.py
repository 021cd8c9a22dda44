"""As many answers as one core gives, beside a service of FastAPI and implicit that does the same."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np

from benchmarks.datasets import Absent
from benchmarks.service.answers import asking, loaded, saturated
from benchmarks.service.bench import Bench
from benchmarks.service.checking import wrong
from benchmarks.service.place import Service, beside

__all__ = ["peak"]

_PEERS = ("fastapi", "implicit")


def peak(bench: Bench) -> dict[str, float]:
    """Answers a second and CPU an answer, of both, with 16 connections that are never idle.

    The peer is measured in the form that FastAPI's documentation has for functions that take a while, in threads, and
    in the one that is fastest here, on the event loop.
    """
    absent = [name for name in _PEERS if find_spec(name) is None]
    if absent:
        raise Absent(f"{' and '.join(absent)} not installed; pip install '.[peers]'")
    histories = bench.histories(5000)
    asked, seconds = asking(histories), bench.within(10)
    with Service(bench.place("peak"), bench.shop) as service, beside():
        ours, answers = saturated(service, asked, seconds)
    model, version = loaded(bench.shop)
    vectors = bench.folder / "vectors.npz"
    scorer, parameters = model.scorer, model.parameters
    np.savez(vectors, items=scorer.item_factors, ids=model.items.ids, titles=model.facts.item_features.titles,
             alpha=np.float64(parameters["alpha"]), reg=np.float64(parameters["reg"]))
    found = {"rate": ours["rate"], "cpu_us": ours["cpu_us"], "wrong": wrong(answers, histories, {version: model})}
    for name, how in ("their", ()), ("loop", ("--on-loop",)):
        with Service(bench.place("peers"), vectors, *how, module="benchmarks.service.peers") as service, beside():
            theirs, others = saturated(service, asked, seconds)
        if any(each.status != 200 or len(json.loads(each.body)["items"]) != 10 for each in others):
            raise RuntimeError("the peer did not answer with ten items, so there is nothing to compare with")
        found |= {f"{name}_rate": theirs["rate"], f"{name}_cpu_us": theirs["cpu_us"],
                  f"{name}_times": theirs["cpu_us"] / ours["cpu_us"]}
    return found
