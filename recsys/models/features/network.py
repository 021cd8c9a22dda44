"""What is known of users and items as sparse rows, and networks of the interactions between all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from minidl import nn, ops
from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.estimator.arrays import expect, pack, unpack
from recsys.models.autoencoders.network import dense
from recsys.models.features.vocabulary import Vocabulary

__all__ = ["FactorizationNetwork", "Fields", "Side", "assemble", "encode", "factorization"]


@dataclass(frozen=True)
class Fields:
    """A sparse row x for each user (or item), cut into fields: the id, each attribute, the genres.

    Parameters
    ----------
    rows : CSR, shape (n * count, columns)
        Row `i * count + f` is field f of number i; its values are those of x.
    count : int
        Fields of each.
    """

    rows: CSR
    count: int

    def of(self, numbers: np.ndarray) -> CSR:
        """The fields of some, int (m,): CSR (m * count, columns)."""
        return self.rows.rows((numbers[:, None] * self.count + np.arange(self.count)).ravel())

    @property
    def n(self) -> int:
        """Of how many users, or items."""
        return self.rows.shape[0] // self.count

    def state(self, name: str) -> dict[str, np.ndarray]:
        """As named arrays."""
        return pack(name, self.rows) | {f"{name}.sizes": np.array([self.count, self.rows.shape[1]])}

    @classmethod
    def restore(cls, name: str, arrays: Mapping[str, np.ndarray], n: int) -> Fields:
        """Those of n users or items whose `state` this is."""
        count, columns = expect(arrays, f"{name}.sizes", (2,), np.int64).tolist()
        return cls(unpack(name, arrays, (n * count, columns)), count)

    def staying(self, keep: np.ndarray) -> Fields:
        """Those of the users, or items, that bool (n,) marks; the columns of the others' ids are left out."""
        rows = self.of(np.flatnonzero(keep))
        columns = np.concatenate([keep, np.ones(rows.shape[1] - len(keep), bool)])
        number = np.cumsum(columns, dtype=np.int32) - np.int32(1)
        shape = rows.shape[0], int(columns.sum())
        return Fields(CSR(rows.indptr, number[rows.indices], rows.data, shape), self.count)

    def grown(self, parts: Sequence[CSR], present: np.ndarray) -> Fields:
        """With the parts, each (m, width), of m more, and columns for their ids after the known ones'."""
        known = self.n
        start, held = known, []
        for f, part in enumerate(parts, start=1):
            mine, (m, width) = self.rows.rows(np.arange(known) * self.count + f), part.shape
            held.append(CSR.from_pairs(
                np.concatenate([mine.row_of_entry, part.row_of_entry + known]),
                np.concatenate([mine.indices - start, part.indices]), np.concatenate([mine.weights, part.weights]),
                (known + m, width)))
            start += width
        return assemble(held, present)


def encode(features: Features | None, present: np.ndarray) -> Fields:
    """Ids and features as fields.

    The id has a column of its own, unless nothing is known of it but its features. Texts and flags have a column for
    each value; numbers one, standardised (a vector of d numbers has d), and none where they are NaN. Genres have their
    weights, divided by their sum. Titles, free text and images are left out.

    Parameters
    ----------
    features : Features, optional
        Of n users or items.
    present : bool array, shape (n,)
        Which of them occur in training.
    """
    return assemble(Vocabulary.learn(features, present).read(features, len(present))[0], present)


def assemble(parts: Sequence[CSR], present: np.ndarray) -> Fields:
    """The id of those that are present, bool (n,), and parts (n, width), as fields."""
    fields = [CSR.from_pairs(np.flatnonzero(present), np.flatnonzero(present), None, (len(present),) * 2), *parts]
    rows, columns, values, width = [], [], [], 0
    for f, field in enumerate(fields):
        rows.append(field.row_of_entry.astype(np.int64) * len(fields) + f)
        columns.append(field.indices + width)
        values.append(field.weights)
        width += field.shape[1]
    shape = len(present) * len(fields), width
    entries = CSR.from_pairs(np.concatenate(rows), np.concatenate(columns), np.concatenate(values), shape)
    return Fields(entries, len(fields))


class Side(nn.Module):
    """A weight and a vector for each column of one side, users or items, and what they sum to.

    Parameters
    ----------
    fields : Fields
    factors : int
        Length of the vectors.
    std : float
        Standard deviation of the initial vectors.
    generator : numpy.random.Generator
    """

    def __init__(self, fields: Fields, factors: int, std: float, generator: np.random.Generator) -> None:
        self.fields, self.factors = fields, factors
        self.weights = _bag(fields.rows.shape[1], 1, 0.0, generator)
        self.vectors = _bag(fields.rows.shape[1], factors, std, generator) if factors else None

    def forward(self, numbers: np.ndarray) -> tuple[Any, Any, Any]:
        """int (m,) -> biases (m,), sums s (m, factors), the fields' shares of s (m, count * factors).

        A bias is the part of a score that belongs to this side alone: `sum_j w_j x_j + (|s|^2 - q) / 2`.
        """
        rows, m = self.fields.of(numbers), len(numbers)
        values = rows.weights
        whole = rows.indptr[::self.fields.count]  # without the cuts between fields
        bias = self.weights(rows.indices, whole, values)[:, 0]
        if self.vectors is None:
            return bias, np.zeros((m, 0), np.float32), np.zeros((m, 0), np.float32)
        shares = self.vectors(rows.indices, rows.indptr, values)  # (m * count, factors)
        if self.fields.count == 1:
            return bias, shares, shares
        shares = shares.reshape((m, self.fields.count, self.factors))
        sums = shares.sum(axis=1)
        squares = ops.square(self.vectors(rows.indices[:, None])).sum(axis=1) * np.square(values)  # (nnz,)
        within = ops.square(sums).sum(axis=1) - ops.scatter_add(np.zeros(m, np.float32), np.repeat(
            np.arange(m), np.diff(whole)), squares)
        return bias + 0.5 * within, sums, shares.reshape((m, self.fields.count * self.factors))

    def penalty(self, numbers: np.ndarray) -> Any:
        """Squares of the weights and vectors of the entries of the rows int (n,), their sum."""
        number, times = np.unique(numbers, return_counts=True)
        rows = self.fields.of(number)
        times = np.repeat(np.repeat(times, self.fields.count), rows.counts).astype(np.float32)
        tables = [table for table in (self.weights, self.vectors) if table is not None]
        return sum(((ops.square(table(rows.indices[:, None])) * times[:, None]).sum() for table in tables), 0.0)


class FactorizationNetwork(nn.Module):
    """`sum_j w_j x_j + sum_{j<k} v_j . v_k x_j x_k`, and layers over the fields' vectors, if any.

    x is the row of the user and that of the item, concatenated. With `s = sum_j v_j x_j` and
    `q = sum_j |v_j x_j|^2` of each of the two, the second sum is
    `s_u . s_i + (|s_u|^2 - q_u) / 2 + (|s_i|^2 - q_i) / 2`: in O(factors) for each entry of x, and a product of two
    vectors for a pair. A field's vector is its share of s.

    Parameters
    ----------
    users, items : Fields
    factors : int
        Length of the vectors; 0 leaves the first sum alone.
    hidden : sequence of int
        Widths of the layers; none for a plain factorization machine.
    std : float
        Standard deviation of the initial vectors.
    dropout : float
        Of the layers, in training.
    generator : numpy.random.Generator
    """

    of_users: ClassVar[tuple[str, ...]] = ("users",)  # after the columns of ids come those of features

    def __init__(self, users: Fields, items: Fields, factors: int, hidden: Sequence[int], std: float, dropout: float,
                 generator: np.random.Generator) -> None:
        self.users = Side(users, factors, std, generator)
        self.items = Side(items, factors, std, generator)
        widths = [(users.count + items.count) * factors, *hidden, 1]
        self.layers = nn.ModuleList(dense(a, b, generator) for a, b in pairwise(widths) if hidden)
        self.dropout = nn.Dropout(dropout, generator=generator)
        self.width = sum(hidden) + factors + 1

    @staticmethod
    def data_of_users(data: Mapping[str, np.ndarray], keep: np.ndarray) -> dict[str, np.ndarray]:
        """The fields of users who stay, and of items, as named arrays; bool (n_users,)."""
        return {**data, **Fields.restore("user", data, len(keep)).staying(keep).state("user")}

    def load_from(self, old: FactorizationNetwork, known: Sequence[int]) -> None:
        """Take the weights of a smaller network, of so many users and items; columns of new ids stay as they are."""
        state = old.state_dict()
        own = self.state_dict()
        for name, n, side in (("users", known[0], self.users), ("items", known[1], self.items)):
            more = side.fields.n - n
            for table in (each for each in own if each.startswith(f"{name}.")):
                state[table] = np.concatenate([state[table][:n], own[table][n:n + more], state[table][n:]])
        self.load_state_dict(state)

    def forward(self, users: np.ndarray, items: np.ndarray | None = None) -> Any:
        """int (B,); int (B, K), (K,) or None (all) -> (B, K). What occurs more than once is encoded once."""
        fields = self.items.fields
        items = np.arange(fields.n) if items is None else items
        user, row = np.unique(users, return_inverse=True)
        item, place = np.unique(items, return_inverse=True)
        place = place.reshape(items.shape)
        of_users, of_items = self.users(user), self.items(item)
        scores = of_users[0][row][:, None] + of_items[0][place]  # (B, K)
        if self.users.factors:
            p, q = of_users[1][row], of_items[1][place]  # (B, f); (K, f) or (B, K, f)
            scores = scores + (p @ q.T if q.ndim == 2 else ops.row_dot(q, p[:, None, :]))
        return scores if not len(self.layers) else scores + self._deep(of_users[2], of_items[2], row, place)

    def _deep(self, users: Any, items: Any, row: np.ndarray, place: np.ndarray) -> Any:
        """The layers; the first one for each side once, not for each pair."""
        layers: list[Any] = list(self.layers)
        first, others = layers[0], layers[1:]
        cut = users.shape[1]
        of_users = ops.linear(users, first.weight[:, :cut], first.bias)[row]
        x = of_users[:, None, :] + ops.linear(items, first.weight[:, cut:])[place]  # (B, K, h)
        for layer in others:
            x = layer(self.dropout(ops.relu(x)))
        return x[..., 0]

    def encoded(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Biases and vectors, the sums over the fields, of all users, and of all items."""
        both = (side(np.arange(side.fields.n)) for side in (self.users, self.items))
        (a, p, _), (b, q, _) = both
        return (a.data, np.asarray(getattr(p, "data", p))), (b.data, np.asarray(getattr(q, "data", q)))

    def user_vectors(self) -> np.ndarray:
        """(n_users, factors)."""
        return self.encoded()[0][1]

    def item_vectors(self) -> np.ndarray:
        """(n_items, factors)."""
        return self.encoded()[1][1]

    def penalty(self, users: np.ndarray, items: np.ndarray) -> Any:
        """Squares of the weights and vectors of the entries of pairs, int (n,) and (n,); their sum."""
        return self.users.penalty(users) + self.items.penalty(items)


def _bag(rows: int, width: int, std: float, generator: np.random.Generator) -> nn.EmbeddingBag:
    bag = nn.EmbeddingBag(rows, width, mode="sum", include_last_offset=True, generator=generator)
    nn.init.normal_(bag.weight, 0, std, generator)
    return bag


def factorization(n_users: int, n_items: int, rng: np.random.Generator, *, factors: int, hidden: Sequence[int],
                  init_std: float, dropout: float, data: Mapping[str, np.ndarray]) -> FactorizationNetwork:
    """A `FactorizationNetwork` of its options and of the fields of users and items, as named arrays."""
    users, items = Fields.restore("user", data, n_users), Fields.restore("item", data, n_items)
    return FactorizationNetwork(users, items, factors, hidden, init_std, dropout, rng)
