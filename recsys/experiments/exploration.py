"""Lists that are random now and then, with probabilities that are known: what off-policy estimates live on."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence

import numpy as np

from recsys.checks import between, whole
from recsys.errors import ParameterError
from recsys.experiments.assignment import tagged

__all__ = ["explore", "generator"]


def explore(ranked: Sequence[Hashable], k: int, epsilon: float,
            rng: np.random.Generator) -> tuple[list[int], list[float]]:
    """The model's list, or with probability epsilon a random arrangement of its candidates.

    Parameters
    ----------
    ranked : sequence of ids, length M
        The candidates, the model's best first; all different. The model's own list is the first k.
    k : int
        Length of the list; M where there are fewer.
    epsilon : float
        Probability, 0 to 1, that the list is `k` of the M candidates, drawn and arranged uniformly.
    rng : numpy.random.Generator
        See `generator`: equal requests get equal lists.

    Returns
    -------
    positions : list of int, length min(k, M)
        Of the items shown, in order, in `ranked`.
    propensities : list of float, length min(k, M)
        The probability with which that item stands at that place, `(1 - epsilon) [the model's j-th] + epsilon / M`:
        of all arrangements of k of M items, the share `1 / M` has a given one at place j.

    Raises
    ------
    ParameterError
        An argument is out of its range, or a candidate is there twice.

    References
    ----------
    Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen, Offline evaluation of ranking policies with click models,
    KDD 2018: what the probability of an item at a place is good for.

    Examples
    --------
    >>> explore(["a", "b", "c", "d"], 2, 0.5, generator("spring", "request 4"))
    ([0, 1], [0.625, 0.625])
    >>> explore(["a", "b", "c", "d"], 2, 0.5, generator("spring", "request 1"))
    ([3, 1], [0.125, 0.625])
    """
    whole(1).require("explore", "k", k)
    between(0, 1).require("explore", "epsilon", epsilon)
    pool = len(ranked)
    if len(set(ranked)) < pool:
        raise ParameterError("explore: a candidate is there twice, so the propensities would be wrong; give each once.")
    length = min(k, pool)
    if rng.random() < epsilon:
        positions = rng.permutation(pool)[:length].tolist()
    else:
        positions = list(range(length))
    return positions, [(1 - epsilon) * (position == place) + epsilon / pool for place, position in enumerate(positions)]


def generator(salt: str, request_id: int | str) -> np.random.Generator:
    """The random numbers of one request: a counter-based generator whose key is SHA-256 of salt and request.

    Raises
    ------
    ParameterError
        The request's id is neither an integer nor a text.

    Examples
    --------
    >>> generator("spring", "request 1").random() == generator("spring", "request 1").random()
    True
    """
    key = hashlib.sha256(b"explore" + tagged(salt) + tagged(request_id)).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "big")))
