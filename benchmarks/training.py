"""An epoch of training of neural recommenders, each against the same network in plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.datasets import MADE, SEED, made, posters, ratings, sequences
from benchmarks.epochs import Training, claim
from benchmarks.harness import Arrays, Claim


def _simulated() -> Arrays:
    """As many items, and events a user, as the filtered ML-20M of the Mult-VAE paper, and fewer users."""
    from recsys import datasets

    sizes = {"n_users": 10_000, "n_items": 20_108, "n_events": 730_000}
    data = datasets.simulate(**sizes, seed=SEED)[0]
    return made(**sizes) | {"user": data.user, "item": data.item, "shape": np.array([data.n_users, data.n_items])}


# Hyper-parameters are our defaults, Mult-VAE's widths and batch, NeuMF's loss and negatives, and LightGCN's layers,
# loss and rate those of their papers; NeuMF's first vectors are shorter, as with longer ones other negatives make
# another loss.
_PLAIN: dict[str, Any] = {"weight_decay": 0.0}
_VAE = _PLAIN | {"hidden": (600,), "latent": 200, "dropout": 0.5, "beta": 0.2, "anneal": 50, "batch_size": 500,
                 "lr": 1e-3}
_AUTOREC = _PLAIN | {"hidden": (500,), "reg": 100.0, "batch_size": 4096, "lr": 3e-3}
_NEUMF = _PLAIN | {"factors": 32, "hidden": (32, 16), "dropout": 0.3, "loss": "bce", "negatives": 4, "reg": 0.2,
                   "init_std": 0.1, "batch_size": 8192, "lr": 0.02}
_GRAPH = _PLAIN | {"factors": 64, "layers": 3, "loss": "bpr", "negatives": 1, "reg": 1e-4, "init_std": 0.1,
                   "batch_size": 8192, "lr": 1e-3}
_IMAGES = _PLAIN | {"filters": (32, 64, 128), "dense": 512, "factors": 32, "dropout": 0.5, "negatives": 4,
                    "batch_size": 64, "lr": 1e-3}
_SEQUENCES = _PLAIN | {"factors": 64, "recent": 50, "repeats": False, "batch_size": 32}
_ENCODERS = {
    "GRU": ("SequenceRecommender", {"dropout": 0.5, "lr": 3e-3}),
    "SASRec": ("SASRec", {"layers": 2, "heads": 1, "dropout": 0.3, "lr": 2e-3}),
    "Caser": ("Caser", {"window": 8, "horizontal": 16, "vertical": 4, "dropout": 0.5, "lr": 3e-3})}


def _sequences(data: str, work: str, batches: int | None) -> Iterator[Claim]:
    for name, (model, options) in _ENCODERS.items():
        training = Training(model, _SEQUENCES | options, partial(sequences, data), "sequences", batches)
        yield claim(f"epoch-{name.lower()}-{data}", work.format(f"{name}, batch 32 x 50, softmax"), 1.3, training,
                    on=data)


_SHARED = _SEQUENCES | _ENCODERS["SASRec"][1] | {"loss": "sampled_softmax", "negatives": 3000, "batch_size": 128}


CLAIMS = [
    claim("epoch-mult-vae", "an epoch of Mult-VAE, 600-200-600, batch 500", 1.5,
          Training("MultVAE", _VAE, partial(ratings, "ml-1m"), "autoencoders", noise=5e-3), on="ml-1m"),
    claim("epoch-mult-vae-20k", "4 of 20 batches of an epoch of Mult-VAE, 600-200-600, batch 500, 20,108 items", 1.5,
          Training("MultVAE", _VAE, _simulated, "autoencoders", batches=4, noise=5e-3), on=MADE),
    claim("epoch-autorec", "an epoch of AutoRec of items, 500 hidden units, all in one batch", 1.3,
          Training("AutoRec", _AUTOREC, partial(ratings, "ml-1m"), "autoencoders"), on="ml-1m"),
    claim("epoch-neumf", "an epoch of NeuMF, 32 factors, 4 negatives, batch 8192", 2,
          Training("NeuMF", _NEUMF, partial(ratings, "ml-1m"), "pairs", noise=5e-3), on="ml-1m"),
    claim("epoch-lightgcn", "20 of 123 batches of an epoch of LightGCN, 64 factors, 3 layers, batch 8192", 2,
          Training("LightGCN", _GRAPH, partial(ratings, "ml-1m"), "graphs", batches=20, noise=5e-3), on="ml-1m"),
    *_sequences("ml-100k", "an epoch of {}", None),
    *_sequences("online-retail", "100 of 359 batches of an epoch of {}", 100),
    claim("epoch-sasrec-amazon-beauty",
          "100 of 321 batches of an epoch of SASRec, batch 128 x 50, 3,000 shared negatives", 1.8,
          Training("SASRec", _SHARED, partial(sequences, "amazon-beauty"), "sequences", batches=100, noise=5e-3),
          on="amazon-beauty"),
    claim("epoch-image-cnn", "an epoch of ImageCNN, batch 64, posters of 48 x 32", 1.3,
          Training("ImageCNN", _IMAGES, posters, "images", noise=5e-3), on="ml-1m"),
]
