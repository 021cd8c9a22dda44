"""The rows of `python -m benchmarks accuracy`: models, protocols, and the figures to reach."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.grids import grid

__all__ = ["ROWS", "Row"]


@dataclass(frozen=True)
class Row:
    """A model on a data set under a protocol, and the figures to reach (name of metric -> value).

    The figures to reach may be another row's, by its name, or there may be none. Figures to `beat` are further away.
    With a `grid`, the setting with the best first metric on validation data is taken; with several `seeds`, the figures
    are means over them. `parts` names the parts of a set that comes divided, training first. With `refit`, the model
    learns again from training and validation rows, for as many epochs as were best. `files` are more of the set's, by
    the name that `datasets.load` has for them. After so many `minutes` no further setting is tried.
    """

    name: str
    data: str
    protocol: str
    model: str
    metrics: tuple[str, ...]
    reach: Sequence[float] | str = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    grid: Sequence[Mapping[str, Any]] = ({},)
    options: Mapping[str, Any] = field(default_factory=dict)
    slack: float = 0.0
    seeds: Sequence[int] = (0,)
    parts: tuple[str, ...] = ()
    refit: bool = False
    beat: Sequence[float] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    minutes: float = math.inf


_SEEDS = (0, 1, 2)
_REG = grid(reg=[100.0, 200.0, 300.0, 500.0, 800.0, 1200.0])
_ALS = [*grid(reg=[10.0, 20.0, 40.0], alpha=[2.0, 5.0], reg_exponent=[0.0]),
        *grid(reg=[0.2, 0.4], alpha=[2.0, 5.0], reg_exponent=[0.6])]
_KNN = grid(neighbours=[50, 100, 200], shrink=[0.0, 10.0], asymmetry=[0.4])
_BPR = grid(epochs=[100, 200], reg=[0.005, 0.01, 0.02])
_SHOP_REG = grid(reg=[10.0, 20.0, 50.0, 100.0, 200.0, 300.0])  # fewer users, sharper tastes
_SHOP_KNN = grid(neighbours=[10, 20, 50, 100], shrink=[0.0, 10.0], asymmetry=[0.3, 0.4, 0.5])
_SHOP_ALS = grid(factors=[128, 256], reg=[1.0, 3.0, 10.0], alpha=[2.0, 5.0, 10.0], reg_exponent=[0.0])
_REST = grid(rest=[True], dropout=[0.2, 0.3], beta=[0.02, 0.05])
_LEARNED = {"reg": 0.02, "reg_bias": 0.02}  # biases by SGD, as other libraries have them
_SVDPP = {"factors": 20, "epochs": 20, "lr": 0.007, "implicit_feedback": True, "init_std": 0.1, **_LEARNED}


def _ratings() -> Iterator[Row]:
    """RMSE; the figures of the other libraries on the same folds, and of the papers of autoencoders."""
    metric = ("rmse",)
    folds = ("ml-100k", "ratings-5fold")
    yield Row("svd", *folds, "MatrixFactorization", metric, [0.934], {"epochs": 20, "init_std": 0.1, **_LEARNED},
              slack=0.004, seeds=_SEEDS)
    yield Row("svd-default", *folds, "MatrixFactorization", metric, [0.934], seeds=_SEEDS)
    yield Row("svd++", *folds, "MatrixFactorization", metric, [0.919], _SVDPP, slack=0.004, seeds=_SEEDS)
    yield Row("svd++-tuned", *folds, "MatrixFactorization", metric, [0.915],
              {"factors": 50, "epochs": 40, "implicit_feedback": True},
              [{**each, "reg_bias": each["reg"]} for each in grid(lr=[0.005, 0.007], reg=[0.05, 0.08, 0.1])],
              seeds=_SEEDS)
    yield Row("bias", *folds, "Bias", metric, [0.944])
    yield Row("item-knn-baseline", *folds, "ItemKNNBaseline", metric, [0.918])
    yield Row("user-knn-baseline", *folds, "UserKNNBaseline", metric, [0.931])
    yield Row("fm-5fold", *folds, "FactorizationMachine", metric, [0.934], {"loss": "mse"},
              grid(epochs=[5, 7, 10], reg=[0.02, 0.05]))
    yield Row("autorec-5fold", *folds, "AutoRec", metric, [0.918], beat=[0.905])
    yield Row("kernel-5fold", *folds, "KernelAutoRec", metric, [0.918], beat=[0.905])
    u1: dict[str, Any] = {"seeds": _SEEDS, "parts": ("u1.base", "u1.test"), "beat": [0.889]}
    yield Row("autorec-u1", "ml-100k", "predefined-ratings", "AutoRec", metric, [0.91], **u1)
    yield Row("kernel-u1", "ml-100k", "predefined-ratings", "KernelAutoRec", metric, [0.91], **u1)
    ninety = ("ml-1m", "ratings-90-10")
    yield Row("svd++-1m", *ninety, "MatrixFactorization", metric, (),
              {"factors": 50, "epochs": 40, "implicit_feedback": True, "lr": 0.007, "reg": 0.05, "reg_bias": 0.05})
    yield Row("autorec-1m", *ninety, "AutoRec", metric, [0.835], {"lr": 1e-3, "epochs": 150, "patience": 8},
              beat=[0.831], refit=True)
    yield Row("kernel-1m", *ninety, "KernelAutoRec", metric, [0.835],
              {"batch_size": 256, "reg": 40.0, "reg_kernel": 0.003, "epochs": 130}, beat=[0.825], refit=True)


def _ratios() -> Iterator[Row]:
    """Random 8:1:1; the figures are those of plain implementations."""
    protocol, metrics = "ratio-811-full", ("ndcg@10", "recall@10")
    small = ("ml-100k", protocol)
    yield Row("popular-100k", *small, "Popular", metrics, [0.136, 0.116])
    yield Row("item-knn-100k", *small, "ItemKNN", metrics, [0.282, 0.242], grid=_KNN)
    yield Row("ease-100k", *small, "EASE", metrics, [0.322, 0.269], grid=_REG)
    yield Row("als-100k", *small, "ALS", metrics, [0.325, 0.281], grid=_ALS)
    yield Row("bpr-100k", *small, "BPR", metrics, [0.289, 0.244], grid=_BPR)
    yield Row("gmf-100k", *small, "GMF", metrics, [0.289, 0.244])
    yield Row("mlp-100k", *small, "MLP", metrics, "popular-100k")
    yield Row("neumf-100k", *small, "NeuMF", metrics, "gmf-100k")
    yield Row("convncf-100k", *small, "ConvNCF", metrics, "popular-100k")
    yield Row("cdae-100k", *small, "CDAE", metrics, "item-knn-100k")
    yield Row("mult-dae-100k", *small, "MultDAE", metrics, [0.290, 0.255], seeds=_SEEDS, beat=[0.322, 0.269])
    yield Row("mult-vae-100k", *small, "MultVAE", metrics, [0.290, 0.255], seeds=_SEEDS, beat=[0.322, 0.269])
    large: tuple[str, ...] = ("ml-1m", protocol)
    kept = {"min_value": 3}
    yield Row("popular-1m", *large, "Popular", metrics, [0.120, 0.080], options=kept)
    yield Row("item-knn-1m", *large, "ItemKNN", metrics, [0.241, 0.171], grid=_KNN, options=kept)
    yield Row("ease-1m", *large, "EASE", metrics, [0.290, 0.213], grid=_REG, options=kept)
    yield Row("als-1m", *large, "ALS", metrics, [0.256, 0.204], grid=_ALS, options=kept)
    yield Row("bpr-1m", *large, "BPR", metrics, [0.236, 0.171], {"reg": 0.01}, options=kept)
    yield Row("cdae-1m", *large, "CDAE", metrics, "item-knn-1m", options=kept)
    yield Row("mult-dae-1m", *large, "MultDAE", metrics, "bpr-1m", options=kept, beat=[0.290, 0.213])
    yield Row("mult-vae-1m", *large, "MultVAE", metrics, "bpr-1m", options=kept, beat=[0.290, 0.213])


_BEFORE = {"popular": "Popular", "item-knn": "ItemKNN", "ease": "EASE", "markov": "Markov"}
_BROAD = {"factors": 128, "recent": 200, "batch_size": 8, "lr": 0.002, "epochs": 12}
_SETS = {"wide": 2000, "long_term": False, "loss": "squares", "dropout": 0.3, "recent": 200, "batch_size": 100,
         "lr": 3e-4, "epochs": 80}
_SEQUENCES = {"gru": "SequenceRecommender", "cnn": "CausalCNN", "caser": "Caser", "sasrec": "SASRec"}


def _next(end: str, data: str, protocol: str, metrics: tuple[str, ...], figures: Mapping[str, Any],
          grids: Mapping[str, Any], *, seeds: Sequence[int] = (0,), beat: Sequence[float] = (), **options: Any
          ) -> Iterator[Row]:
    """What comes next, by simple models and by networks; `figures` and `grids` by the beginning of the row's name.

    Where the order of equal times is shuffled, networks of sequences see another order in each epoch, and they are
    broader and read more, or have a wide part: what comes together takes more to learn than what comes next.
    """
    shuffled = options.get("shuffle_ties", False)
    for name, model in (_BEFORE | {"mult-vae": "MultVAE"} | _SEQUENCES).items():
        neural = name not in _BEFORE
        figure = figures.get(name, f"item-knn-{end}" if neural else ())
        yield Row(f"{name}-{end}", data, protocol, model, metrics, figure,
                  _BROAD | {"order": "times"} if name in _SEQUENCES and shuffled else {},
                  grids.get(name, ({},)), options=options, seeds=seeds if neural else (0,), beat=beat if neural else ())
    if shuffled:
        yield Row(f"gru-wide-{end}", data, protocol, "SequenceRecommender", metrics, f"item-knn-{end}",
                  _SETS | {"order": "times"}, options=options, seeds=_SEEDS)


def _sequences() -> Iterator[Row]:
    """The figures are those of plain implementations; where there are none, a network has to be ahead of ItemKNN."""
    last, metrics = "last-one-full", ("hit@10", "ndcg@10")
    figures = {"popular": [0.085, 0.044], "item-knn": [0.109, 0.057], "ease": [0.143, 0.071], "markov": [0.187, 0.104],
               "mult-vae": [0.140, 0.075], "gru": [0.16], "sasrec": [0.21], "caser": [0.22], "cnn": [0.20]}
    yield from _next("last", "ml-100k", last, metrics, figures, {}, seeds=_SEEDS, beat=[0.24])
    for name, model in _SEQUENCES.items():
        yield Row(f"{name}-last-refit", "ml-100k", last, model, metrics, figures.get(name, ()), seeds=_SEEDS,
                  beat=[0.24], refit=True)
    shop = "online-retail"
    grids = {"item-knn": _SHOP_KNN, "ease": _SHOP_REG}
    yield from _next("retail", shop, last, metrics, {
        "popular": [0.037, 0.019], "item-knn": [0.151, 0.086], "ease": [0.218, 0.131], "markov": [0.284, 0.204],
        "mult-vae": [0.130, 0.071]}, grids)
    sets = {**grids, "mult-vae": _REST}
    yield from _next("retail-shuffled", shop, last, metrics, {}, sets, seeds=_SEEDS, shuffle_ties=True)
    yield from _next("retail-basket", shop, "next-basket", ("recall@10", "ndcg@10"), {}, sets, shuffle_ties=True)
    sessions: dict[str, Any] = {"metrics": ("recall@20", "mrr@20"), "parts": ("train", "test")}
    for name, model in ("popular", "Popular"), ("item-knn", "ItemKNN"), ("markov", "Markov"):
        yield Row(f"{name}-diginetica", "diginetica", "sessions-next", model, **sessions)
    yield Row("gru4rec-diginetica", "diginetica", "sessions-next", "GRU4Rec", reach="item-knn-diginetica", **sessions)


def _in_order() -> Iterator[Row]:
    """Files of one order that others have measured, seen items removed; the figures are the best published ones.

    Of networks that compare with all items: SASRec with a full softmax (ml-1m-sasrec, amazon-beauty), and LRURec
    (amazon-video).
    """
    shared = {"loss": "sampled_softmax", "negatives": 3000, "dropout": 0.5, "batch_size": 128, "epochs": 40,
              "patience": 4}
    films = {"recent": 200, "dropout": 0.2, "batch_size": 64, "epochs": 30, "patience": 5}
    published = {("ml-1m-sasrec", "sasrec"): [0.315, 0.182], ("amazon-beauty", "sasrec"): [0.0533, 0.0327],
                 ("amazon-video", "lru"): [0.1134, 0.0620]}
    for data, options in ("ml-1m-sasrec", films), ("amazon-beauty", shared), ("amazon-video", shared):
        for name, model in (_BEFORE | _SEQUENCES | {"lru": "LRURec"}).items():
            if name == "ease" and data != "ml-1m-sasrec":
                continue  # the squares of so many items are refused
            yield Row(f"{name}-{data}", data, "last-one-full", model, ("hit@10", "ndcg@10"),
                      published.get((data, name), ()), {} if name in _BEFORE else options)


def _new_users() -> Iterator[Row]:
    """Users that training has not seen; the figures are those of plain implementations."""
    strong, metrics = ("online-retail", "strong-generalisation"), ("recall_min@20", "ndcg@100")
    yield Row("popular-new", *strong, "Popular", metrics, [0.076, 0.098])
    yield Row("item-knn-new", *strong, "ItemKNN", metrics, [0.310, 0.350], grid=_SHOP_KNN)
    yield Row("ease-new", *strong, "EASE", metrics, [0.347, 0.370], grid=_SHOP_REG)
    yield Row("als-new", *strong, "ALS", metrics, [0.330, 0.354], grid=_SHOP_ALS)
    for name, model in _SEQUENCES.items():
        yield Row(f"{name}-new", *strong, model, metrics, "item-knn-new", _SETS | {"order": "none"}, seeds=_SEEDS)
    yield Row("cdae-new", *strong, "CDAE", metrics, "item-knn-new")
    yield Row("mult-dae-new", *strong, "MultDAE", metrics, [0.30, 0.33], grid=grid(hidden=[(200,), (600,)]),
              beat=[0.347, 0.370])
    yield Row("mult-vae-new", *strong, "MultVAE", metrics, [0.30, 0.33], grid=_REST, beat=[0.347, 0.370])


def _new_items() -> Iterator[Row]:
    """Items that training has not seen, by images, plots and genres; Popular knows nothing of them: chance level."""
    metrics, liked = ("auc", "ndcg@10"), {"min_value": 4}
    images, plots = {"image-cnn": "ImageCNN", "visual-bpr": "VisualBPR"}, {"text-cnn": "TextCNN"}
    for data, files, models in (("ml-1m", {"posters": "ml-1m-posters/posters_48x32.npz"}, images),
                                ("ml-latest-small", {"plots": "tmdb-5000/tmdb_5000_movies.csv.gz"}, plots)):
        for name, model in ({"popular": "Popular", "fm": "FactorizationMachine"} | models).items():
            yield Row(f"{name}-new-{data}", data, "new-items", model, metrics,
                      () if name == "popular" else f"popular-new-{data}", options=liked, files=files,
                      seeds=(0,) if name == "popular" else _SEEDS)


ROWS = [*_ratings(), *_ratios(), *_sequences(), *_in_order(), *_new_users(), *_new_items()]
