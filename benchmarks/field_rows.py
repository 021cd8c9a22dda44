"""The rows of `python -m benchmarks field`: models of every kind on each data set, all with as many trials and minutes.

A model that is new takes a line in the sections it belongs to, and one in `SPACES` if it has settings to choose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.accuracy_rows import Row
from benchmarks.grids import grid

__all__ = ["ROWS", "SECTIONS", "Entry", "Section"]

Settings = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Entry:
    """A model in a section: figures to reach and to beat, fixed parameters, and how often it is measured.

    With `controls`, "features" or "friends", it is measured on permuted and on constant ones, too. A network has two
    `seeds`. Without a `space` of its own, the settings to try are those of `SPACES`.
    """

    model: str
    reach: Sequence[float] = ()
    beat: Sequence[float] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seeds: Sequence[int] = (0,)
    controls: str = ""
    space: Settings | None = None


@dataclass(frozen=True)
class Section:
    """A data set and a protocol, with the models that are measured there.

    Each model gets so many `trials`, its defaults and settings drawn from its space, and so many `minutes` for them;
    which is best, the validation part decides. With `refit`, it learns again from training and validation rows. What is
    `divided` at random is divided with each of these seeds, and the figures are means.
    """

    name: str
    title: str
    data: str
    protocol: str
    metrics: tuple[str, ...]
    entries: Mapping[str, Entry]
    parts: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    refit: bool = False
    trials: int = 8
    minutes: float = 10.0
    divided: Sequence[int | None] = (None,)
    by_history: bool = False

    def row(self, label: str) -> Row:
        """What is measured of one of the models."""
        entry = self.entries[label]
        space = SPACES.get(entry.model, ()) if entry.space is None else entry.space
        return Row(f"{self.name}/{label}", self.data, self.protocol, entry.model, self.metrics, tuple(entry.reach),
                   entry.parameters, drawn(space, self.trials), self.options, seeds=entry.seeds, parts=self.parts,
                   refit=self.refit, beat=tuple(entry.beat), files=self.files, minutes=self.minutes)


def drawn(space: Settings, trials: int, seed: int = 0) -> list[Mapping[str, Any]]:
    """The defaults, and settings drawn without replacement, so many in all if the space has as many."""
    order = np.random.default_rng(seed).permutation(len(space))[:trials - 1]
    return [{}, *(space[i] for i in order)]


SPACES: dict[str, Settings] = {
    "ItemKNN": grid(neighbours=[20, 50, 100, 200, 500], shrink=[0.0, 5.0, 20.0], asymmetry=[0.3, 0.4, 0.5, 0.6]),
    "RP3beta": grid(neighbours=[50, 200, 777], power=[0.4, 0.6, 1.0], popularity_power=[0.0, 0.2, 0.4]),
    "EASE": grid(reg=[20.0, 80.0, 300.0], dropout=[0.0, 0.6], user_power=[0.0, 0.5], item_power=[0.0, 0.2]),
    "SparseEASE": grid(neighbours=[128], reg=[10.0, 60.0], dropout=[0.6, 0.8], user_power=[0.0, 0.4]),
    "ALS": grid(factors=[64, 128, 256], reg=[0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02], alpha=[10.0, 30.0, 100.0],
                reg_exponent=[1.0]),
    "FeatureALS": grid(factors=[128, 256], coupling=[0.05, 0.1, 0.2], alpha=[10.0, 30.0]),
    "GraphFilter": [{"low_pass": 0.2, "degree": 8, "shape": 1.5, "asymmetry": 0.1}, {"response": "bspm"},
                    {"response": "gf-cf"}],
    "MatrixFactorization": grid(factors=[10, 20, 50], reg=[0.02, 0.05, 0.1, 0.2], lr=[0.005, 0.01]),
    "ItemKNNBaseline": grid(neighbours=[20, 40, 80], shrink=[50.0, 100.0, 200.0]),
    "UserKNNBaseline": grid(neighbours=[20, 40, 80], shrink=[50.0, 100.0, 200.0]),
    "VSTAN": [{"pool": 100, "decay": 0.85, "window_decay": 0.7, "backward": 0.03, "asymmetry": 0.85},
              {"decay": 0.85, "window_decay": 0.9, "backward": 0.2}],
    "SLIST": grid(reg=[10.0], unordered=[0.0, 0.1], decay=[0.6, 0.8]),
}
"""Settings that may be tried of each model, besides its defaults; none of one that is not here."""

_NETWORK = (0, 1)  # seeds
_RAILS = {name: Entry(name) for name in ("Popular", "ItemKNN", "RP3beta", "EASE", "ALS")}
_LARGE = {name: Entry(name) for name in ("Popular", "ItemKNN", "RP3beta", "SparseEASE", "ALS")}  # a table too large
_RATED = {name: Entry(name) for name in ("Bias", "ItemKNNBaseline", "UserKNNBaseline", "MatrixFactorization")}
_SVDPP = {"implicit_feedback": True}
_THREE = ("train", "test", "valid")
_POSTERS = {"posters": "ml-1m-posters/posters_48x32.npz"}
_PLOTS = {"plots": "tmdb-5000/tmdb_5000_movies.csv.gz"}
_LINKS = {"links": "ml-latest-small/links.csv.gz"}
_WALKED = {"neighbours": 777, "power": 0.566, "popularity_power": 0.001}  # as published for Gowalla
_FILTERED = {"factors": 512, "low_pass": 0.2, "degree": 8, "shape": 1.5, "asymmetry": 0.1}
_PLUS = {"normalise": True, "receiver_power": 0.6, "sender_power": -0.1, "own": 0.2}  # LightGCN++


def _graphs() -> Iterator[Section]:
    """Files that LightGCN and LightGCN++ are published on."""
    yield Section(
        "gowalla", "Gowalla, LightGCN's division", "gowalla-lightgcn", "predefined", ("recall@20", "ndcg@20"),
        refit=True, parts=_THREE, trials=4,
        entries={**_LARGE, "RP3beta": Entry("RP3beta", [0.182, 0.1515], [0.184]),
                 "RP3beta, as published": Entry("RP3beta", [0.182, 0.1515], [0.184], _WALKED, space=()),
                 "GraphFilter": Entry("GraphFilter", [0.1935, 0.161], [0.1945, 0.162]),
                 "GraphFilter, as published": Entry("GraphFilter", [0.1935, 0.161], [0.1945, 0.162], _FILTERED,
                                                    space=()),
                 "SparseEASE": Entry("SparseEASE", [0.179, 0.148], [0.183, 0.152], space=[
                     {"neighbours": 128, "reg": 10.0, "dropout": 0.7, "user_power": 0.4}, {"dropout": 0.8}])})
    ten = ("recall@10", "ndcg@10")
    fast = {"epochs": 60, "batch_size": 65_536, "lr": 0.02, "reg": 0.005}
    yield Section(
        "gowalla-train", "Gowalla, training part alone", "gowalla-lightgcn", "predefined-train", ten, parts=_THREE,
        trials=4,
        entries={**_LARGE, "GraphFilter": Entry("GraphFilter"),
                 "LightGCN": Entry("LightGCN", [0.1182, 0.1284], [0.1219, 0.1321], fast, _NETWORK),
                 "LightGCN++": Entry("LightGCN", [0.1182, 0.1284], [0.1219, 0.1321], fast | _PLUS, _NETWORK)})
    for data, title, reach, beat, trained in (
            ("lgcnpp-lastfm", "Last.fm, LightGCN++'s division", [0.180, 0.206], [0.1889, 0.2171],
             {"epochs": 100, "reg": 0.02}),
            ("lgcnpp-ml-1m", "MovieLens 1M, LightGCN++'s division", [0.1655, 0.329], [0.1667, 0.330],
             {"epochs": 120, "batch_size": 16_384, "lr": 0.02, "reg": 0.005})):
        best = {"reach": reach, "beat": beat}
        few = data == "lgcnpp-ml-1m"  # items
        local = None if few else [{"neighbours": 1024, "dropout": 0.8, "user_power": 0.7, "item_power": 0.25}]
        yield Section(
            data, title, data, "predefined-train", ten, parts=_THREE, trials=25 if few else 8,
            entries={**(_RAILS if few else _LARGE), "ALS": Entry("ALS", **best),
                     **({"EASE": Entry("EASE", **best), "SLIM": Entry("SLIM", **best)} if few else {}),
                     "SparseEASE": Entry("SparseEASE", **best, space=local),
                     "GraphFilter": Entry("GraphFilter", **best),
                     "LightGCN": Entry("LightGCN", **best, parameters=trained, seeds=_NETWORK),
                     "LightGCN++": Entry("LightGCN", **best, parameters=trained | _PLUS, seeds=_NETWORK)})


def _sequences() -> Iterator[Section]:
    """What comes next."""
    last, metrics = "last-one-full", ("hit@10", "ndcg@10")
    linear = {name: Entry(name) for name in ("Markov", "VSTAN", "SLIST")}
    nets = {"GRU": Entry("SequenceRecommender", seeds=_NETWORK), "Caser": Entry("Caser", seeds=_NETWORK)}
    long: dict[str, Any] = {"recent": 200, "dropout": 0.2, "batch_size": 64, "epochs": 30, "patience": 5}
    yield Section(
        "ml-1m-sasrec", "MovieLens 1M in SASRec's order", "ml-1m-sasrec", last, metrics, trials=4,
        entries={**_RAILS, **linear, **nets,
                 "SASRec": Entry("SASRec", [0.315, 0.182], [0.326, 0.190], long, _NETWORK)})
    shared: dict[str, Any] = {"loss": "sampled_softmax", "negatives": 3000, "dropout": 0.5, "batch_size": 128,
                              "epochs": 40, "patience": 4}
    yield Section(
        "amazon-beauty", "Amazon Beauty", "amazon-beauty", last, metrics, trials=4,
        entries={**_LARGE, **linear, "VSTAN": Entry("VSTAN", [0.0533, 0.0327], [0.056, 0.034]),
                 "SASRec": Entry("SASRec", [0.0533, 0.0327], [0.056, 0.034], shared, _NETWORK)})
    yield Section(
        "amazon-video", "Amazon Video", "amazon-video", last, metrics, trials=4,
        entries={**_LARGE, **linear, "VSTAN": Entry("VSTAN", [0.1134, 0.0620], [0.118, 0.065]),
                 "LRURec": Entry("LRURec", [0.1134, 0.0620], [0.118, 0.065], shared, _NETWORK),
                 "SASRec": Entry("SASRec", parameters=shared, seeds=_NETWORK)})
    ahead = {"reach": [0.502, 0.207], "beat": [0.53]}
    yield Section(
        "diginetica", "Diginetica, sessions", "diginetica", "sessions-next", ("recall@20", "mrr@20"),
        parts=("train", "test"), trials=4,
        entries={**{name: Entry(name) for name in ("Popular", "ItemKNN", "RP3beta", "Markov")},
                 "VSTAN": Entry("VSTAN", **ahead), "SLIST": Entry("SLIST", **ahead),
                 "GRU4Rec": Entry("GRU4Rec", seeds=_NETWORK)})


def _described() -> Iterator[Section]:
    """Friends, trust, features, content, and what is made of several models."""
    ten = ("recall@10", "ndcg@10")
    hybrids = {name: Entry(name) for name in ("WeightedHybrid", "SwitchingHybrid", "CascadeHybrid")}
    yield Section(
        "lastfm", "Last.fm with friends and tags", "hetrec2011-lastfm-2k", "ratio-811-full", ten, by_history=True,
        divided=range(5), trials=6,
        entries={**_LARGE, "ALS": Entry("ALS", [0.222, 0.216]),
                 "FeatureALS": Entry("FeatureALS", [0.222, 0.216], [0.235, 0.228], controls="friends"),
                 "ContentProfile": Entry("ContentProfile", controls="features"),
                 "TrustKNN": Entry("TrustKNN", controls="friends"), **hybrids})
    for data, title, beat, sizes, regs in (
            ("filmtrust", "FilmTrust with trust", [0.787], {"factors": 200}, [0.03, 0.05, 0.08]),
            ("ciao", "Ciao with trust", [], {"factors": 20, "init_std": 0.01, "epochs": 60}, [0.1, 0.2])):
        trust: dict[str, Any] = {"parameters": sizes, "controls": "friends"}
        plain = Entry("MatrixFactorization", parameters=_SVDPP | sizes, space=grid(reg=regs))
        yield Section(
            data, title, data, "ratings-5fold", ("rmse",), by_history=True, trials=6,
            entries={**_RATED, "SVD++": plain,
                     "SocialMF": Entry("SocialMF", space=grid(reg=regs, social=[1.0, 5.0]), **trust),
                     "TrustSVD": Entry("TrustSVD", [], beat, space=grid(reg=regs, social=[0.2, 0.5, 1.0, 2.0]),
                                       **trust)})
    new = ("auc", "ndcg@10")
    for data, title, reach, beat, files in (
            ("ml-1m", "MovieLens 1M", [0.78], [0.82], _POSTERS | _PLOTS | _LINKS),
            ("ml-latest-small", "MovieLens small", [0.80, 0.19], [0.82, 0.22], _POSTERS | _PLOTS)):
        words = ("titles", "text", "genres", "year")
        told: dict[str, Any] = {"controls": "features"}
        fused = {f"Multimodal, {names} alone": Entry("Multimodal", parameters={"fields": fields})
                 for names, fields in (("words", words), ("posters", ("poster",)))}
        yield Section(
            f"new-{data}", f"{title}, films that are new", data, "new-items", new, options={"min_value": 4},
            files=files, trials=1,
            entries={"Popular": Entry("Popular"), "FactorizationMachine": Entry("FactorizationMachine", seeds=_NETWORK),
                     "FeatureALS": Entry("FeatureALS", **told),
                     "ContentProfile": Entry("ContentProfile", reach, beat, {"fields": words}, **told), **fused,
                     "Multimodal": Entry("Multimodal", reach, beat, {"fields": (*words, "poster")}, _NETWORK,
                                         **told)})


def _ratings() -> Iterator[Section]:
    """RMSE, and the ranking of films that are rated 3 or more."""
    rmse = ("rmse",)
    rows = {"lr": 1e-3, "epochs": 150, "patience": 8}
    thinned: dict[str, Any] = {"batch_size": 256, "reg": 40.0, "reg_kernel": 0.003, "epochs": 130, "patience": 8}
    yield Section("u1", "MovieLens 100K, u1", "ml-100k", "predefined-ratings", rmse, parts=("u1.base", "u1.test"),
                  entries={**_RATED, "SVD++": Entry("MatrixFactorization", parameters=_SVDPP),
                           "AutoRec": Entry("AutoRec", [0.895], [0.889], seeds=_NETWORK),
                           "KernelAutoRec": Entry("KernelAutoRec", [0.895], [0.889], seeds=_NETWORK)})
    yield Section("ml-1m-90", "MovieLens 1M, 90/10", "ml-1m", "ratings-90-10", rmse, refit=True, trials=2, minutes=60,
                  entries={**{name: _RATED[name] for name in ("Bias", "MatrixFactorization")},
                           "AutoRec": Entry("AutoRec", [0.828], [0.8227], rows, _NETWORK),
                           "KernelAutoRec": Entry("KernelAutoRec", [0.828], [0.8227], thinned, _NETWORK)})
    best: dict[str, Any] = {"reach": [0.295, 0.215], "beat": [0.305, 0.225]}
    yield Section("ml-1m-811", "MovieLens 1M, ratings of 3 or more", "ml-1m", "ratio-811-full",
                  ("ndcg@10", "recall@10"), options={"min_value": 3}, trials=25,
                  entries={**_RAILS, "EASE": Entry("EASE", **best), "SLIM": Entry("SLIM", **best),
                           "GraphFilter": Entry("GraphFilter", **best), "FeatureALS": Entry("FeatureALS", **best)})


SECTIONS = {section.name: section for section in (*_graphs(), *_sequences(), *_described(), *_ratings())}
ROWS = {row.name: row for row in (section.row(label) for section in SECTIONS.values() for label in section.entries)}
