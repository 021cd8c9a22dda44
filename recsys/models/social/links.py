"""The social graph, as models take it."""

from __future__ import annotations

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import DataError

__all__ = ["links_of"]


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
