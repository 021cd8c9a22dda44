"""Model files of format 1, in which a model held all that it had learned in arrays of its own.

A row of `_READERS` makes what a class learned, as it is now, of the arrays of such a file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from recsys.estimator import Facts, Learned
from recsys.estimator.arrays import Arrays, expect, prefixed, unpack, unpack_if, within
from recsys.estimator.histories import Histories, inverse_frequency
from recsys.estimator.networks import Architecture
from recsys.estimator.scorers.codes import Codes
from recsys.estimator.scorers.confidence import Confidence
from recsys.estimator.scorers.constant import Constant
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.scorers.folding import FoldIn, LinearMap
from recsys.estimator.scorers.least_squares import LeastSquares
from recsys.estimator.scorers.neighbours import UserNeighbours
from recsys.estimator.scorers.networks import HistoryNetwork, PairNetwork
from recsys.estimator.scorers.rated import Averaging, Baseline, ItemRatings, UserRatings
from recsys.estimator.scorers.similarities import DenseSimilarities, SparseSimilarities
from recsys.estimator.scorers.transitions import Transitions

__all__ = ["learned_of_format_1"]


def learned_of_format_1(model: Any, facts: Facts, state: Arrays) -> Learned:
    """What a model of a class, with the hyper-parameters of its fit, had learned.

    Parameters
    ----------
    model : Recommender
    facts : Facts
    state : mapping of str to ndarray
        The arrays that the class had named.
    """
    learned = _READERS[type(model).__name__](model, facts, state)
    curves = {name: values.tolist() for name, values in within("history", state).items()}
    return dataclasses.replace(learned, taken={**learned.taken, **({"curves_": curves} if curves else {})})


def _number(state: Arrays, name: str, before: Any) -> Any:
    """What was taken from the data for a parameter that was None; `before` in files of before that was kept."""
    return float(expect(state, f"taken.{name}", (), np.float64)) if f"taken.{name}" in state else before


def _stored(facts: Facts, state: Arrays) -> Any:
    return unpack_if("seen.history", state, (len(facts.users), len(facts.items)))


# --------------------------------------------------------------------------------- counts and neighbours
def _popular(model: Any, facts: Facts, state: Arrays) -> Learned:
    n = len(facts.items)
    memory = {"latest": int(expect(state, "latest", ()))}, {"sums": expect(state, "sums", (2, n), np.float64)}
    return Learned(Constant(model.can, expect(state, "scores", (n,), np.float32)), memory=memory)


def _biases(facts: Facts, state: Arrays, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    return (expect(state, "user_bias", (len(facts.users),), dtype),
            expect(state, "item_bias", (len(facts.items),), dtype))


def _bias(model: Any, facts: Facts, state: Arrays) -> Learned:
    user, item = _biases(facts, state, np.float64)
    taken = {f"{name}_": _number(state, f"{name}_", getattr(model, name)) for name in ("reg_user", "reg_item")}
    return Learned(Constant(model.can, item, user, facts.mean_value, taken["reg_user_"]), taken)


def _kept(model: Any, facts: Facts, state: Arrays, decay: float = 1.0) -> Histories:
    form = {"binary": "items", "value": "values", "idf": "frequency"}[model.weights]
    frequency = inverse_frequency(facts.item_counts, len(facts.users)) if form == "frequency" else None
    return Histories(form, getattr(model, "recent", None), decay, frequency, _stored(facts, state))


def _item_knn(model: Any, facts: Facts, state: Arrays) -> Learned:
    n, decay = len(facts.items), _number(state, "decay_", 1.0)
    near = unpack("near", state, (n, n))
    again = expect(state, "again", (n,), np.float32) if "again" in state else None
    neighbours = int(near.counts.max(initial=1)) if model.neighbours is None else model.neighbours
    taken = {"neighbours_": neighbours, "repeats_": again is not None, "decay_": decay}
    return Learned(SparseSimilarities(model.can, _kept(model, facts, state, decay), near, again), taken)


def _user_knn(model: Any, facts: Facts, state: Arrays) -> Learned:
    neighbours = int(_number(state, "neighbours_", model.neighbours))
    scorer = UserNeighbours(model.can, _kept(model, facts, state), neighbours=neighbours, shrink=model.shrink,
                            asymmetry=model.asymmetry)
    return Learned(scorer, {"neighbours_": neighbours})


def _rated(model: Any, facts: Facts, state: Arrays) -> Learned:
    user, item = _biases(facts, state, np.float64)
    taken = {f"{name}_": _number(state, f"{name}_", getattr(model, name)) for name in ("reg_user", "reg_item")}
    shared = (model.can, Histories("values", stored=_stored(facts, state)),
              Baseline(facts.mean_value, user, item, taken["reg_user_"]),
              Averaging(model.neighbours, model.min_neighbours, _number(state, "prior", 0.0)))
    how = {"shrink": model.shrink, "pool": model.pool}
    if "near.indptr" not in state:
        return Learned(UserRatings(*shared, **how), taken)
    return Learned(ItemRatings(*shared, **how, near=unpack("near", state, (len(facts.items),) * 2)), taken)


def _ease(model: Any, facts: Facts, state: Arrays) -> Learned:
    weights = expect(state, "item_weights", (len(facts.items),) * 2, np.float32)
    return Learned(DenseSimilarities(model.can, _kept(model, facts, state), weights),
                   {"reg_": _number(state, "reg_", model.reg)})


def _markov(model: Any, facts: Facts, state: Arrays) -> Learned:
    transitions = unpack("transitions", state, (len(facts.items),) * 2)
    return Learned(Transitions(model.can, Histories("events", stored=_stored(facts, state)), transitions,
                               facts.item_counts, smoothing=model.smoothing, decay=model.decay, recent=model.recent))


# --------------------------------------------------------------------------------------------- factors
def _factors(can: Any, facts: Facts, state: Arrays, fold_in: FoldIn | None, **more: Any) -> Factors:
    item_factors = expect(state, "item_factors", (len(facts.items), None), np.float32)
    user_factors = expect(state, "user_factors", (len(facts.users), item_factors.shape[1]), np.float32)
    return Factors(can, user_factors, item_factors, expect(state, "item_bias", (len(facts.items),), np.float32),
                   fold_in, **more)


def _linear_map(state: Arrays) -> LinearMap:
    width = state["item_factors"].shape[1]
    return LinearMap(expect(state, "fold_map", (width + 1, width)))


def _als(model: Any, facts: Facts, state: Arrays) -> Learned:
    alpha, reg, exponent = (_number(state, f"{name}_", getattr(model, name)) for name in (
        "alpha", "reg", "reg_exponent"))
    unit = tuple(expect(state, "unit", (2,), np.float64).tolist()) if "unit" in state else None
    fold_in = Confidence(alpha, reg, exponent, unit, _stored(facts, state))
    return Learned(_factors(model.can, facts, state, fold_in),
                   {"alpha_": alpha, "reg_": reg, "reg_exponent_": exponent})


def _mf(model: Any, facts: Facts, state: Arrays) -> Learned:
    (low, high), reg_user = facts.rating_range or (0, 0), _number(state, "reg_user_", None)
    scale = max(1.0, (high - low) / 5)  # as it was then
    width = state["item_factors"].shape[1]
    implicit = expect(state, "implicit_factors", (None, width), np.float32)
    fold_in = LeastSquares(model.reg, model.biased, reg_user, implicit, _stored(facts, state))
    bias = expect(state, "user_bias", (len(facts.users),), np.float32)
    return Learned(_factors(model.can, facts, state, fold_in, user_bias=bias,
                            mean=facts.mean_value / scale if model.biased else 0.0, scale=scale),
                   {"reg_user_": reg_user})


def _bpr(model: Any, facts: Facts, state: Arrays) -> Learned:
    return Learned(_factors(model.can, facts, state, _linear_map(state)), {"reg_": _number(state, "reg_", model.reg)})


def _gmf(model: Any, facts: Facts, state: Arrays) -> Learned:
    width = state["item_factors"].shape[1]
    output = state.get("output", np.ones(width, np.float32))  # not in the earliest files
    return Learned(_factors(model.can, facts, state, _linear_map(state)), memory=({}, {"output": output}))


def _ratings(model: Any, facts: Facts, state: Arrays) -> Learned:
    architecture = network = None
    if model.side == "users":
        architecture = model.architecture()
        network = architecture.load(state, len(facts.users), len(facts.items))
    item, reg_user, scale = None, 0.0, 1.0
    if "baseline.item" in state:  # not in the earliest files
        item = expect(state, "baseline.item", (len(facts.items),), np.float64)
        reg_user, scale = (float(expect(state, f"baseline.{name}", (), np.float64)) for name in ("reg_user", "scale"))
    fold_in = Codes(facts.mean_value, model.strength(facts), item, reg_user, scale, architecture, network,
                    _stored(facts, state))
    return Learned(_factors(model.can, facts, state, fold_in, carried=int(item is not None)))


# -------------------------------------------------------------------------------------------- networks
def _sequence(model: Any, facts: Facts, state: Arrays) -> Learned:
    return _history_network(model, facts, state, Histories("events", model.recent, stored=_stored(facts, state)))


def _autoencoder(model: Any, facts: Facts, state: Arrays) -> Learned:
    return _history_network(model, facts, state, Histories(stored=_stored(facts, state)))


def _history_network(model: Any, facts: Facts, state: Arrays, histories: Histories) -> Learned:
    architecture = model.architecture()
    network = architecture.load(state, len(facts.users), len(facts.items))
    return Learned(HistoryNetwork(model.can, histories, network, architecture, len(facts.items),
                                  personal=getattr(model, "personal", False)))


def _pairs(model: Any, facts: Facts, state: Arrays) -> Learned:
    architecture = model.architecture()
    network = architecture.load(state, len(facts.users), len(facts.items))
    offset = facts.mean_value if model.loss == "mse" else 0.0
    return Learned(PairNetwork(model.can, network, architecture, len(facts.items), offset=offset))


def _features(model: Any, facts: Facts, state: Arrays) -> Learned:
    data: dict[str, np.ndarray] = {}
    for name in ("user", "item"):
        fields = within(f"fields.{name}", state)
        data |= prefixed(name, fields)
    architecture = Architecture("factorization", model.options(), data)
    words = {name: array for name, array in state.items() if name.startswith("words.")}
    if not model.hidden:
        described = tuple(map(bool, expect(state, "has_features", (2,), np.bool_)))
        memory: Any = ({}, {})
        if data and words:  # not in the earliest files
            arrays = {name: array for name, array in state.items() if name.startswith("network.")}
            memory = {"network": architecture.settings()}, words | arrays | prefixed("built", data)
        can = dataclasses.replace(model.can, cold_user=described[0], cold_item=described[1])
        return Learned(_factors(can, facts, state, None, carried=1, described=described), memory=memory)
    network = architecture.load(state, len(facts.users), len(facts.items))
    described = network.users.fields.count > 1, network.items.fields.count > 1
    can = dataclasses.replace(model.can, cold_user=described[0], cold_item=described[1])
    offset = facts.mean_value if model.loss == "mse" else 0.0
    return Learned(PairNetwork(can, network, architecture, len(facts.items), offset=offset, described=described),
                   memory=({}, words))


def _content(model: Any, facts: Facts, state: Arrays) -> Learned:
    reader = {name: array for name, array in state.items() if name.startswith("content.") and name != "content.missing"}
    arrays = {name: array for name, array in state.items() if name.startswith("network.")}
    architecture = model.architecture(model.restore_reader(reader))
    scorer = _factors(model.can, facts, state, _linear_map(state), carried=1, described=(False, True))
    missing = int(expect(state, "content.missing", (1,))[0])
    return Learned(scorer, {"missing_": missing}, ({"network": architecture.settings()}, arrays | reader))


_READERS: dict[str, Callable[[Any, Facts, Arrays], Learned]] = {
    "Popular": _popular, "Bias": _bias, "Markov": _markov, "ItemKNN": _item_knn, "UserKNN": _user_knn,
    "ItemKNNBaseline": _rated, "UserKNNBaseline": _rated, "EASE": _ease, "MatrixFactorization": _mf, "ALS": _als,
    "BPR": _bpr, "GMF": _gmf, **dict.fromkeys(("MLP", "NeuMF", "ConvNCF"), _pairs),
    **dict.fromkeys(("LinearRegression", "LogisticRegression", "FactorizationMachine", "DeepFM"), _features),
    **dict.fromkeys(("ImageCNN", "VisualBPR", "TextCNN"), _content),
    **dict.fromkeys(("AutoRec", "KernelAutoRec"), _ratings),
    **dict.fromkeys(("LinearAutoencoder", "CDAE", "MultDAE", "MultVAE"), _autoencoder),
    **dict.fromkeys(("Caser", "CausalCNN", "SequenceRecommender", "GRU4Rec", "SASRec"), _sequence)}
