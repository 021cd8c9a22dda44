"""What models know of users and items by their features: names of columns, and what each adds to a score."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import ops
from recsys.data.csr import CSR
from recsys.estimator.fitted import Fitted
from recsys.estimator.networks import Architecture
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.scorers.networks import PairNetwork
from recsys.explanation.results import Part

__all__ = ["Columns", "columns_of", "feature_path", "feature_terms", "names_of"]


def names_of(arrays: Mapping[str, np.ndarray], name: str) -> list[str]:
    """What the columns of features are called, by the words that a model's file holds, such as "genres=Comedy".

    Examples
    --------
    >>> held = {"words.item.attributes": np.array(["hot", ""]), "words.item.0.names": np.array(["no", "yes"]),
    ...         "words.item.1.labels": np.array(["Comedy"])}
    >>> names_of(held, "words.item")
    ['hot=no', 'hot=yes', 'genres=Comedy']
    """
    found: list[str] = []
    for i, attribute in enumerate(arrays[f"{name}.attributes"].tolist() if f"{name}.attributes" in arrays else []):
        for part, called in (("names", attribute), ("labels", "genres"), ("words", attribute)):
            if f"{name}.{i}.{part}" in arrays:
                found += [f"{called}={word}" for word in arrays[f"{name}.{i}.{part}"].tolist()]
        if f"{name}.{i}.mean" in arrays:
            found += [attribute] * len(arrays[f"{name}.{i}.mean"])
    return found


@dataclass(frozen=True, eq=False)
class Columns:
    """What is known of one user, or item: the entries of a sparse row, its id first.

    Parameters
    ----------
    side : module
        With `fields`, `weights` and `vectors`, as `recsys.models.features` has them.
    rows : CSR, shape (count, columns)
        A row for each field.
    names : list of str
        Of the columns after those of ids.
    kind : {"person", "content"}
    """

    side: Any
    rows: CSR
    names: list[str]
    kind: str

    def parts(self, values: np.ndarray) -> list[Part]:
        """Each entry with what it adds."""
        return [Part(*self._named(column), float(value))
                for column, value in zip(self.rows.indices.tolist(), values.tolist(), strict=True) if value]

    def _named(self, column: int) -> tuple[str, str]:
        ids = self.side.fields.n
        if column < ids:
            return (("person", "what training learned of you") if self.kind == "person" else
                    ("item", "the item itself"))
        name = self.names[column - ids] if column - ids < len(self.names) else "a feature"
        return self.kind, f"your {name}" if self.kind == "person" else name

    def weights(self) -> np.ndarray:
        """`w_j x_j`: float64 (nnz,)."""
        return np.asarray(self.side.weights.weight.data[self.rows.indices, 0].astype(np.float64) * self.rows.weights)

    def vectors(self) -> np.ndarray:
        """`v_j x_j`: float64 (nnz, f)."""
        if self.side.vectors is None:
            return np.zeros((self.rows.nnz, 1))
        table = self.side.vectors.weight.data[self.rows.indices].astype(np.float64)
        return np.asarray(table * self.rows.weights[:, None])


def columns_of(fitted: Fitted, user: int, item: int) -> tuple[Any, Columns, Columns] | None:
    """The network of a model of features, and the columns of a user and of an item; None for other models."""
    settings, arrays = fitted.learned.memory
    scorer = fitted.scorer
    if "words.item.attributes" not in arrays or user < 0:
        return None
    if isinstance(scorer, PairNetwork):
        network = scorer.network
    elif "network" in settings:
        network = Architecture.restore(settings["network"], arrays).load(arrays, len(fitted.users), len(fitted.items))
    else:
        return None
    if not hasattr(network.users, "fields"):
        return None
    sides = [Columns(side, side.fields.of(np.array([number])), names_of(arrays, f"words.{name}"), kind)
             for side, number, name, kind in ((network.users, user, "user", "person"),
                                              (network.items, item, "item", "content"))]
    return network, sides[0], sides[1]


def feature_terms(fitted: Fitted, user: int, item: int) -> list[Part] | None:
    """The terms of a factorization machine, or of a regression, by columns.

    A column of the item has its weight, its product with the user's vector, and half of its products with the other
    columns of the item; a column of the user the same without the product with the item.
    """
    scorer, found = fitted.scorer, columns_of(fitted, user, item)
    if found is None or not isinstance(scorer, Factors):
        return None
    _, of_user, of_item = found
    p, q = of_user.vectors(), of_item.vectors()
    values = [own.weights() + np.einsum("nf,nf->n", rows, rows.sum(axis=0) - rows) / 2
              for own, rows in ((of_user, p), (of_item, q))]
    values[1] = values[1] + q @ p.sum(axis=0)
    offset = float(scorer.item_bias[item]) - float(values[1].sum() - (q @ p.sum(axis=0)).sum())
    base = [Part("base", "the usual rating", offset)] if abs(offset) > _ROUNDING else []
    return of_user.parts(values[0]) + of_item.parts(values[1]) + base


def feature_path(fitted: Fitted, user: int, item: int) -> tuple[Any, list[Columns]] | None:
    """How the score of a network over features follows from weights of its columns, and the columns; None for others.

    Weights are those of the user's columns, and then of the item's: Tensor (B, n) -> Tensor (B,).
    """
    scorer, found = fitted.scorer, columns_of(fitted, user, item)
    if found is None or not isinstance(scorer, PairNetwork):
        return None
    network, of_user, of_item = found
    cut = of_user.rows.nnz

    def score(weights: Any) -> Any:
        gated = copy(network)
        vars(gated)["users"] = _gated(of_user, weights[:, :cut])
        vars(gated)["items"] = _gated(of_item, weights[:, cut:])
        numbers = np.arange(len(weights))
        return gated(numbers, numbers[:, None])[:, 0] + scorer.offset

    return score, [of_user, of_item]


def _gated(own: Columns, weights: Any) -> Any:
    """One side of the network, with as many users or items as rows of weights, each with columns of its own."""
    side, rows, b = copy(own.side), own.rows, len(weights)
    factors = weights.reshape((-1, 1))
    many = rows.rows(np.tile(np.arange(rows.shape[0]), b))
    events = np.arange(many.nnz, dtype=np.int32)
    fields = copy(side.fields)
    object.__setattr__(fields, "rows", CSR(many.indptr, events, many.weights, (many.shape[0], max(many.nnz, 1))))
    vars(side)["fields"] = fields
    for name in ("weights", "vectors"):
        table = getattr(side, name)
        if table is not None:
            made = copy(table)
            vars(made)["weight"] = ops.multiply(table.weight.data[many.indices], factors)
            vars(side)[name] = made
    return side


_ROUNDING = 1e-5
