"""The models, by name.

Names resolve on first use, so that importing one model does not import all.
"""

from __future__ import annotations

import importlib
from typing import Any

from recsys.errors import ParameterError
from recsys.models.base import Can, Recommender

REGISTRY: dict[str, str] = {
    "Popular": "popular",
    "Bias": "bias",
    "Markov": "markov",
    "ItemKNN": "neighbours",
    "UserKNN": "neighbours",
    "ItemKNNBaseline": "baseline",
    "UserKNNBaseline": "baseline",
    "EASE": "linear",
    "MatrixFactorization": "mf",
    "ALS": "als",
    "BPR": "bpr",
    "GMF": "gmf",
    "MLP": "pairs",
    "NeuMF": "pairs",
    "ConvNCF": "pairs",
    "LinearRegression": "factorization",
    "LogisticRegression": "factorization",
    "FactorizationMachine": "factorization",
    "DeepFM": "factorization",
    "ImageCNN": "visual",
    "VisualBPR": "visual",
    "TextCNN": "text",
    "LinearAutoencoder": "autoencoder",
    "CDAE": "autoencoder",
    "AutoRec": "autorec",
    "KernelAutoRec": "autorec",
    "MultDAE": "autoencoder",
    "MultVAE": "autoencoder",
    "Caser": "sequence",
    "CausalCNN": "sequence",
    "SequenceRecommender": "sequence",
    "GRU4Rec": "gru4rec",
    "SASRec": "sequence",
}
"""Every model that an artefact may name, and the module it is in."""

__all__ = ["Can", "REGISTRY", "Recommender", "find", "model_class", "models_that", *REGISTRY]


def __getattr__(name: str) -> Any:
    if name not in REGISTRY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return model_class(name)


def model_class(name: str) -> type[Recommender]:
    """The class of a registered model."""
    found: type[Recommender] = getattr(importlib.import_module(f"{__name__}.{REGISTRY[name]}"), name)
    return found


def find(name: str) -> type[Recommender]:
    """The class of a model by its name, in any case.

    Raises
    ------
    ParameterError
        There is none; the message lists the names.

    Examples
    --------
    >>> find("itemknn").__name__
    'ItemKNN'
    """
    known = {each.lower(): each for each in REGISTRY}
    if name.lower() not in known:
        raise ParameterError(f"models: there is no model {name!r}; the names are {', '.join(REGISTRY)}.")
    return model_class(known[name.lower()])


def models_that(flag: str) -> list[str]:
    """Names of the models whose `can` has a flag.

    Examples
    --------
    >>> "EASE" in models_that("fold_in"), "Popular" in models_that("embeddings")
    (True, False)
    """
    return [name for name in REGISTRY if getattr(model_class(name).can, flag)]
