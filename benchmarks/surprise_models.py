"""SVD and SVD++ against Surprise, one fold of ML-100K, at equal error."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.datasets import SEED, ratings
from benchmarks.harness import Arrays, Claim, Session, near


def data() -> Arrays:
    arrays = ratings("ml-100k")
    arrays["held"] = np.random.default_rng(SEED).random(len(arrays["user"])) < 0.2
    return arrays


def our_model(arrays: Arrays, parameters: dict[str, Any]) -> Session:
    from recsys import Interactions
    from recsys.models import MatrixFactorization

    held = arrays["held"]
    train = Interactions.from_arrays(arrays["user"][~held], arrays["item"][~held], arrays["value"][~held])
    model = MatrixFactorization(**parameters)

    def run() -> None:
        model.fit(train)

    def result() -> Arrays:
        predicted = model.predict(arrays["user"][held], arrays["item"][held], on_unknown="fallback")
        return {"rmse": np.sqrt(np.mean((predicted - arrays["value"][held]) ** 2))}

    return Session(run, result)


def their_model(arrays: Arrays, build: Any) -> Session:
    import pandas
    from surprise import Dataset, Reader

    held = arrays["held"]
    frame = pandas.DataFrame({k: arrays[k][~held] for k in ("user", "item", "value")})
    train = Dataset.load_from_df(frame, Reader(rating_scale=(1, 5))).build_full_trainset()
    model = build()

    def run() -> None:
        model.fit(train)

    def result() -> Arrays:
        pairs = zip(arrays["user"][held], arrays["item"][held], strict=True)
        predicted = np.array([model.predict(u, i).est for u, i in pairs])
        return {"rmse": np.sqrt(np.mean((predicted - arrays["value"][held]) ** 2))}

    return Session(run, result)


def _svd() -> Any:
    from surprise import SVD
    return SVD(random_state=0)


def _svdpp() -> Any:
    from surprise import SVDpp
    return SVDpp(random_state=0)


def same_error(ours: Arrays, theirs: Arrays) -> str:
    return near(ours["rmse"], theirs["rmse"], "RMSE", worse_by=0.002, larger_is_better=False)


CLAIMS = [
    Claim("svd", "SVD, 100 factors, 20 epochs, 80 % of the ratings", "Surprise", 6, data,
          lambda a: our_model(a, {"factors": 100, "epochs": 20, "lr": 0.005, "reg": 0.02, "reg_bias": 0.02,
                                  "seed": 0}),
          lambda a: their_model(a, _svd), same_error, on="ml-100k"),
    Claim("svd++", "SVD++, 20 factors, 20 epochs, 80 % of the ratings", "Surprise", 10, data,
          lambda a: our_model(a, {"factors": 20, "epochs": 20, "lr": 0.007, "reg": 0.02, "reg_bias": 0.02,
                                  "implicit_feedback": True, "seed": 0}),
          lambda a: their_model(a, _svdpp), same_error, rounds=3, on="ml-100k"),
]
