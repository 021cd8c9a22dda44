"""The social graph, as models take it."""

from __future__ import annotations

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import DataError

__all__ = ["links_of", "shared"]


def links_of(who: str, data: Interactions) -> CSR:
    """Whom each user trusts, each once and not themselves: CSR (n_users, n_users).

    Raises
    ------
    DataError
        The data has no social graph.
    """
    if data.social is None:
        raise DataError(f"{who}: the data has no social graph, and this model learns from one; give social= to "
                        f"Interactions, or a file of links (--friends), or use a model that needs none.")
    links = data.social.unique()
    return links.where(links.indices != links.row_of_entry)


def shared(links: CSR) -> CSR:
    """Links that weigh 1 together in every row that has some.

    Examples
    --------
    >>> shared(CSR.from_pairs([0, 0, 1], [1, 2, 0], shape=(3, 3))).toarray()
    array([[0. , 0.5, 0.5],
           [1. , 0. , 0. ],
           [0. , 0. , 0. ]], dtype=float32)
    """
    weights = np.repeat(1 / np.maximum(links.counts, 1), links.counts).astype(np.float32)
    return CSR(links.indptr, links.indices, weights, links.shape)
