"""The models, by name; they resolve on first use, so that importing one does not import all."""

from __future__ import annotations

import importlib
from typing import Any

from recsys.errors import ParameterError, UnsupportedError

__all__ = ["REGISTRY", "find", "model_class", "models_that", "unsupported"]

REGISTRY: dict[str, str] = {
    "Popular": "baselines",
    "Bias": "baselines",
    "Markov": "sequential.markov",
    "ItemKNN": "neighbours.implicit",
    "UserKNN": "neighbours.implicit",
    "VSTAN": "neighbours.sessions",
    "ItemKNNBaseline": "neighbours.ratings",
    "UserKNNBaseline": "neighbours.ratings",
    "EASE": "linear.ease",
    "SparseEASE": "linear.sparse_ease",
    "SLIM": "linear.slim",
    "RP3beta": "linear.walks",
    "GraphFilter": "linear.filters",
    "SLIST": "linear.slist",
    "MatrixFactorization": "factorisation.mf",
    "ALS": "factorisation.als",
    "BPR": "factorisation.bpr",
    "GMF": "pairs.gmf",
    "MLP": "pairs.estimators",
    "NeuMF": "pairs.estimators",
    "ConvNCF": "pairs.estimators",
    "LightGCN": "graph.lightgcn",
    "TrustSVD": "social.ratings",
    "SocialMF": "social.ratings",
    "TrustKNN": "social.neighbours",
    "LinearRegression": "features.estimators",
    "LogisticRegression": "features.estimators",
    "FactorizationMachine": "features.estimators",
    "FeatureALS": "features.als",
    "DeepFM": "features.estimators",
    "ContentProfile": "content.profile",
    "ImageCNN": "content.visual",
    "VisualBPR": "content.visual",
    "TextCNN": "content.text",
    "Multimodal": "content.multimodal",
    "LinearAutoencoder": "autoencoders.estimators",
    "CDAE": "autoencoders.estimators",
    "AutoRec": "autoencoders.ratings",
    "KernelAutoRec": "autoencoders.ratings",
    "MultDAE": "autoencoders.estimators",
    "MultVAE": "autoencoders.estimators",
    "Caser": "sequential.estimators",
    "CausalCNN": "sequential.estimators",
    "LRURec": "sequential.lrurec",
    "SequenceRecommender": "sequential.estimators",
    "GRU4Rec": "sequential.gru4rec",
    "SASRec": "sequential.estimators",
    "WeightedHybrid": "hybrid.estimators",
    "SwitchingHybrid": "hybrid.estimators",
    "CascadeHybrid": "hybrid.estimators",
    "Reranked": "hybrid.reranked",
    "Sharded": "hybrid.sharded",
    "Private": "private",
}
"""Every model that an artefact may name, and the module of `recsys.models` that it is in."""


def model_class(name: str) -> Any:
    """The class of a registered model."""
    return getattr(importlib.import_module(f"recsys.models.{REGISTRY[name]}"), name)


def find(name: str) -> Any:
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


def unsupported(name: str, verb: str, flag: str, hint: str = "") -> UnsupportedError:
    """What to raise for what a model cannot do: a sentence that names models that can."""
    return UnsupportedError(f"{name} does not support {verb}; {hint}{', or ' if hint else ''}use a model that does: "
                            f"{', '.join(models_that(flag))}.")
