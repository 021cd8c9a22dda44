"""What of the arrays of a fitted model stays when some of its users are taken out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from recsys.data.csr import CSR
from recsys.data.ids import IdMap
from recsys.errors import UnsupportedError
from recsys.estimator.arrays import Arrays
from recsys.estimator.networks import Architecture

__all__ = ["Staying"]


class Staying:
    """Users who stay, and the rows of arrays that are theirs.

    An array that is asked for twice is made once, so that a file still holds once what a model holds once.

    Parameters
    ----------
    keep : ndarray of bool, shape (n_users,)

    Examples
    --------
    >>> staying = Staying(np.array([True, False, True]))
    >>> staying.table(np.array([1.0, 2.0, 3.0, 4.0]))  # a fourth row is nobody's
    array([1., 3., 4.])
    """

    def __init__(self, keep: np.ndarray) -> None:
        self.keep = keep
        self._made: dict[tuple[int, ...], tuple[Any, np.ndarray]] = {}

    def ids(self, users: IdMap) -> IdMap:
        """The ids of those who stay; texts are no wider than they need to be."""
        ids = users.ids[self.keep]
        if not users.integers:
            ids = ids.astype(f"U{max(1, int(np.strings.str_len(ids).max(initial=0)))}")
        return IdMap(ids)

    def table(self, table: np.ndarray) -> np.ndarray:
        """A table whose row i is of user i; what follows the users' rows stays: (n_users + m, ...) -> (n + m, ...)."""
        n = len(self.keep)
        if len(table) < n:
            raise UnsupportedError(f"a table of {len(table):,} rows cannot have one for each of {n:,} users")
        return self._once((table,), lambda: table[np.concatenate([self.keep, np.ones(len(table) - n, bool)])])

    def rows(self, matrix: CSR) -> CSR:
        """A matrix with a row a user: CSR (n_users, m) -> (n, m)."""
        def entries(of: np.ndarray) -> np.ndarray:
            return self._once((matrix.indptr, of), lambda: of[np.repeat(self.keep, matrix.counts)])

        indptr = self._once((matrix.indptr,), lambda: np.concatenate([[0], np.cumsum(matrix.counts[self.keep])]))
        data = None if matrix.data is None else entries(matrix.data)
        return CSR(indptr, entries(matrix.indices), data, (len(indptr) - 1, matrix.shape[1]))

    def state(self, settings: Mapping[str, Any], arrays: Arrays, tables: Collection[str], n_items: int) -> Arrays:
        """The arrays of a scorer's, or a memory's, state.

        Parameters
        ----------
        settings : mapping
            What goes with the arrays; `"network"` in it describes a network among them.
        arrays : mapping of str to ndarray
            Those named "seen." first are the rows of matrices with a row a user.
        tables : collection of str
            Names of arrays whose row i is of user i.
        n_items : int
        """
        found = dict(arrays)
        for name in tables:
            if name in found:
                found[name] = self.table(found[name])
        for name in [name.removesuffix(".indptr") for name in arrays if name.startswith("seen.")
                     and name.endswith(".indptr")]:
            parts = [f"{name}.{part}" for part in ("indptr", "indices", "data")]
            rows = self.rows(CSR(arrays[parts[0]], arrays[parts[1]], arrays.get(parts[2]), (len(self.keep), n_items)))
            found |= {part: array for part, array in zip(parts, (rows.indptr, rows.indices, rows.data), strict=True)
                      if array is not None}
        if settings.get("network") is not None:
            found |= self._network(Architecture.restore(settings["network"], arrays), arrays, n_items)
        return found

    def _network(self, architecture: Architecture, arrays: Arrays, n_items: int) -> dict[str, np.ndarray]:
        """Weights that have a row a user, and what a network is built upon."""
        network = architecture.build(len(self.keep), n_items, np.random.default_rng(0))
        held = tuple(f"network.{prefix}{'.' if prefix else ''}{name}." for prefix, module in network.named_modules()
                     for name in getattr(module, "of_users", ()))
        found = {name: self.table(array) for name, array in arrays.items() if held and name.startswith(held)}
        if architecture.data and hasattr(network, "data_of_users"):
            data = network.data_of_users(architecture.data, self.keep)
            found |= {f"built.{name}": array for name, array in data.items()}
        return found

    def _once(self, of: tuple[np.ndarray, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
        key = tuple(map(id, of))
        if key not in self._made:
            self._made[key] = of, make()  # with what it is made of, whose identity is then nobody else's
        return self._made[key][1]
