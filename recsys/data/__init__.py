"""Interactions, ids, features; reading, cleaning and splitting them."""

from recsys.data import splits
from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.parts import Split

__all__ = ["CSR", "Features", "IdMap", "Interactions", "Split", "splits"]
