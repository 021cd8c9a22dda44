"""Arguments that cannot be meant are refused in one sentence that names them, before anything is fitted."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from minidl import nn, ops, optim
from recsys import datasets
from recsys.data.splits import split_random
from recsys.errors import DataWarning, ParameterError
from recsys.evaluation import PROTOCOLS, compare, evaluate, protocols, run, run_all
from recsys.evaluation.metrics import parse
from recsys.models import Bias, Popular
from recsys.training import Run, Trainer, shuffled

DATA = datasets.simulate(60, 40, 900, seed=1)[0]
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DataWarning)
    SPLIT = split_random(DATA.clean(), valid=0.1, test=0.2)
POPULAR, BIAS = Popular().fit(SPLIT.train), Bias().fit(SPLIT.train)
FOUND = evaluate(POPULAR, SPLIT)

WHOLE = ("5", 2.5, -1, True)
POSITIVE = (*WHOLE, 0)
NUMBER = ("3", float("nan"), True)
FLAG = ("no", 1, None)
WORD = ("x", None, ["test"])


class NeverFitted(Popular):
    """Fails when it is fitted, so that what is refused is refused before."""

    def _fit(self, data, valid, progress):
        raise AssertionError("fitted")


class Line:
    """`y = 2 x`."""

    def __init__(self):
        self.layer = nn.Linear(1, 1)

    def batches(self, epoch, rng, size):
        return shuffled(8, size, rng)

    def loss(self, batch, rng):
        x = batch[:, None].astype(np.float32) / 8
        return ops.mse_loss(self.layer(x), 2 * x)


def evaluated(**given: Any) -> None:
    evaluate(POPULAR, SPLIT, **{"metrics": ["diversity@5"], **given})


def rated(**given: Any) -> None:
    evaluate(BIAS, SPLIT, task="ratings", **given)


def measured(protocol: str = "ratio-811-full", **given: Any) -> None:
    run(NeverFitted(), DATA, protocol, **given)


def rerated(**given: Any) -> None:
    run(Bias(), DATA, "ratings-90-10", **given)


def last(**given: Any) -> None:
    measured("last-one-full", **given)


def all_of(**given: Any) -> None:
    run_all(**{"models": {"a": NeverFitted()}, "data": DATA, "protocol": "ratio-811-full", **given})


def compared(**given: Any) -> None:
    compare({"a": FOUND, "b": FOUND}, **given)


def trained(callbacks: Any = (), **given: Any) -> None:
    task = Line()
    start = Run(task.layer, task, optim.Adam(task.layer.parameters()))
    Trainer(**{"epochs": 1, **given}).fit(start, callbacks=callbacks)


REFUSED: list[tuple[Any, dict[str, tuple[Any, ...]]]] = [
    (evaluated, {"k": (*POSITIVE, None), "metrics": ("recall", [3], 5), "part": WORD, "task": WORD, "candidates": WORD,
                 "exclude_seen": FLAG, "negatives": POSITIVE, "seed": (*WHOLE, None), "block": POSITIVE,
                 "vectors": ("x", [1, 2], np.zeros((3, 2)), np.zeros(40)), "progress": ("x", 3)}),
    (rated, {"clip": FLAG, "unseen": NUMBER}),
    (measured, {"k": POSITIVE, "metrics": ("recall", [3], 5), "seed": WHOLE, "part": WORD, "values": FLAG,
                "refit": FLAG, "valid_users": POSITIVE, "progress": ("x", 3), "min_value": NUMBER}),
    (rerated, {"folds": (*POSITIVE, None)}),
    (last, {"valid": FLAG, "shuffle_ties": FLAG, "min_events": WHOLE}),
    (all_of, {"models": (3, None, [Popular()], {}, Popular(), "Popular", {3: Popular()}), "lenient": FLAG,
              "protocol": (3, None, ["x"], PROTOCOLS), "progress": (3,), "checkpoint": (3,), "seed": WHOLE}),
    (compared, {"level": (*NUMBER, 0, 1, None), "samples": POSITIVE, "permutations": POSITIVE, "seed": (*WHOLE, None),
                "baseline": ("x", 3, ["a"]), "metrics": ("ndcg@10", [3], 3)}),
    (trained, {"epochs": POSITIVE, "batch_size": POSITIVE, "patience": POSITIVE, "max_norm": (*NUMBER, 0, -1),
               "seed": (*WHOLE, None), "callbacks": (3, [3])})]


@pytest.mark.parametrize(("verb", "name", "value"), [
    pytest.param(verb, name, value, id=f"{verb.__name__} {name} {number}")
    for verb, names in REFUSED for name, values in names.items() for number, value in enumerate(values)])
def test_what_cannot_be_meant_is_refused_by_its_name(verb, name, value):
    said = {"checkpoint": "path", "metrics": "metrics|name"}.get(name, name)
    with pytest.raises(ParameterError, match=rf"^\w.*\b({said})\b") as refused:
        verb(**{name: value})
    assert "\n" not in str(refused.value)


def test_numbers_of_numpy_are_numbers():
    evaluated(k=np.int64(3), negatives=np.int32(3), seed=np.uint8(1), block=np.int64(7), vectors=np.eye(40))
    rated(unseen=np.float32(3))
    compared(samples=np.int64(20), permutations=np.int64(20), level=np.float64(0.9))
    trained(epochs=np.int64(1), max_norm=np.float32(1))
    rerated(folds=np.int64(1), seed=np.int64(3))


def test_what_is_asked_of_results():
    with pytest.raises(ParameterError, match=r"hit@3 was not measured of all; metrics may be of recall@10, ndcg@10"):
        compared(metrics=["hit@3"])
    with pytest.raises(ParameterError, match="by_group: groups must be a mapping of user id to name of the group"):
        FOUND.by_group([1])  # type: ignore[arg-type]
    for name in (3, None):
        with pytest.raises(ParameterError, match="a name must be a string, such as 'recall@10'"):
            parse(name)  # type: ignore[arg-type]
        with pytest.raises(ParameterError, match="there is no protocol"):
            protocols.find(name)  # type: ignore[arg-type]
    assert protocols.find(PROTOCOLS["ncf-99"]) is PROTOCOLS["ncf-99"]
