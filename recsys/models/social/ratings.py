"""Matrix factorisation of ratings with a social graph: TrustSVD and SocialMF."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from recsys import kernels
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.estimator import Can
from recsys.estimator.parameters import Check, at_least
from recsys.estimator.scorers.friends import shared
from recsys.models.factorisation.mf import MatrixFactorization, Parts, compressed, implicit
from recsys.models.social.links import links_of

__all__ = ["SocialMF", "TrustSVD"]

_PARTS = 100  # of a step along the links, at most; each is short enough that none diverges

_CAN = Can(ratings=True, fold_in=True, cold_user=True, explain=True, embeddings=True)


class TrustSVD(MatrixFactorization):
    """Rating = mean + biases + product of factors, where a user is also what those are whom the user trusts.

    `r_ui = m + b_u + b_i + q_i . (p_u + sum_{j in I_u} y_j / sqrt(|I_u|) + social sum_{v in T_u} w_v / sqrt(|T_u|))`:
    SVD++, and the vectors w of the people in T_u whom u trusts. So who has rated nothing is known by them. And
    `w_v . p_u` is to tell whom u trusts: `social * ((1 - w_v . p_u)**2 + reg * (squares of w_v and p_u))` is added to
    the objective of `MatrixFactorization` for every link, by one step of SGD each, in a pass between those over the
    ratings.

    A new user's history comes without links, and is answered as by SVD++. `partial_fit` is not supported: links come
    with `fit`. All else is as in `MatrixFactorization`.

    Parameters
    ----------
    factors, epochs, lr, reg, reg_bias, init_std, seed
        As in `MatrixFactorization`.
    social : float
        Weight of the people trusted, in the sum and of the links' errors; 0 is SVD++. With 1, as in the paper, they say
        as much as what was rated, which is too much where links say little of tastes.

    Attributes
    ----------
    user_factors : ndarray, float32, shape (n_users, factors)
        With both sums.
    curves_ : dict of list of float
        `"rmse"` in training, and with validation data `"valid"`, minus the RMSE there.

    References
    ----------
    Guo, Zhang, Yorke-Smith, TrustSVD: Collaborative Filtering with Both the Explicit and Implicit Influence of User
    Trust and of Item Ratings, AAAI 2015, equations 6 and 8 (there `social` weighs the links' errors alone, and each
    square is weighted by 1 / sqrt(count), here once for each error it takes part in).

    Examples
    --------
    >>> from recsys.data import IdMap
    >>> users, trust = IdMap([1, 2, 3, 4]), CSR.from_pairs([3], [0], shape=(4, 4))
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3], ["tea", "jam"] * 3, [5, 1, 1, 5, 1, 5], user_ids=users,
    ...                                 social=trust)
    >>> model = TrustSVD(factors=4, epochs=300).fit(data)
    >>> model.predict(4, "tea") > model.predict(4, "jam")  # has rated nothing, and trusts 1
    True
    """

    can: ClassVar[Can] = _CAN
    reads: ClassVar[Any] = ("friends",)
    needs: ClassVar[tuple[str, ...]] = ("friends",)
    checks: ClassVar[dict[str, Check]] = {"social": at_least(0)}
    biased = True
    implicit_feedback = True

    social: float

    def __init__(self, *, factors: int = 100, epochs: int = 50, lr: float = 0.005, reg: float = 0.05,
                 reg_bias: float | None = None, init_std: float = 0.05, social: float = 0.5, seed: int = 0) -> None:
        self.store_parameters(locals())

    def sums(self, rows: CSR, data: Interactions) -> CSR:
        """The items that a user has rated, and the people whom the user trusts."""
        items, people = implicit(rows), implicit(links_of(f"{type(self).__name__}.fit", data))
        (n_users, n_items), weights = rows.shape, np.float32(self.social) * people.weights
        return CSR.from_pairs(np.concatenate([items.row_of_entry, people.row_of_entry]),
                              np.concatenate([items.indices, people.indices + n_items]),
                              np.concatenate([items.weights, weights]), (n_users, n_items + n_users))

    def between(self, data: Interactions) -> Callable[[Parts, int], None]:
        """A pass over the links, whose ratings are 1: of a matrix factorisation with p and w."""
        links = links_of(f"{type(self).__name__}.fit", data)
        nothing, n = np.zeros(links.shape[0], np.float32), data.n_items
        nowhere = CSR.empty((links.shape[0], 0))

        def between(parts: Parts, epoch: int) -> None:
            order = np.random.default_rng((self.seed, epoch, 1)).permutation(links.shape[0])
            kernels.mf.epoch(order, *compressed(links), 0.0, nothing, nothing, parts.user_factors, parts.summed[n:],
                             parts.summed[:0], *compressed(nowhere), self.lr * self.social, self.reg, 0.0, 0.0)

        return between


class SocialMF(MatrixFactorization):
    """Rating = mean + biases + product of factors, where a user's are near the mean of those whom the user trusts.

    `social * sum_u |p_u - sum_{v in T_u} p_v / |T_u||**2` is added to the objective of `MatrixFactorization`, over the
    users who trust somebody: after each pass over the ratings, p takes a step along its gradient with the length `lr`,
    in as many parts as keep it stable, but 100 at most. So who has rated nothing has the mean vector of the people
    trusted.

    A new user's history comes without links. `partial_fit` is not supported: links come with `fit`. All else is as in
    `MatrixFactorization`.

    Parameters
    ----------
    factors, epochs, lr, reg, reg_bias, init_std, seed
        As in `MatrixFactorization`.
    social : float
        Weight of the distances.

    Attributes
    ----------
    user_factors : ndarray, float32, shape (n_users, factors)
    curves_ : dict of list of float
        `"rmse"` in training, and with validation data `"valid"`, minus the RMSE there.

    References
    ----------
    Jamali, Ester, A Matrix Factorization Technique with Trust Propagation for Recommendation in Social Networks, RecSys
    2010, equations 12 to 14 (there without biases, and all ratings at once).

    Examples
    --------
    >>> from recsys.data import IdMap
    >>> users, trust = IdMap([1, 2, 3, 4]), CSR.from_pairs([3], [0], shape=(4, 4))
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3], ["tea", "jam"] * 3, [5, 1, 1, 5, 1, 5], user_ids=users,
    ...                                 social=trust)
    >>> model = SocialMF(factors=4, epochs=300).fit(data)
    >>> model.predict(4, "tea") > model.predict(4, "jam")  # has rated nothing, and trusts 1
    True
    """

    can: ClassVar[Can] = _CAN
    reads: ClassVar[Any] = ("friends",)
    needs: ClassVar[tuple[str, ...]] = ("friends",)
    checks: ClassVar[dict[str, Check]] = {"social": at_least(0)}
    biased = True
    implicit_feedback = False

    social: float

    def __init__(self, *, factors: int = 100, epochs: int = 50, lr: float = 0.005, reg: float = 0.05,
                 reg_bias: float | None = None, init_std: float = 0.05, social: float = 5.0, seed: int = 0) -> None:
        self.store_parameters(locals())

    def between(self, data: Interactions) -> Callable[[Parts, int], None]:
        """A step along the gradient of the distances."""
        links = shared(links_of(f"{type(self).__name__}.fit", data))
        trusted, trusts = links.T, (links.counts > 0)[:, None]
        most = float(np.bincount(links.indices, links.weights, links.shape[0]).max(initial=0))
        length = self.lr * self.social
        bound = (1 + math.sqrt(most)) ** 2  # of the largest eigenvalue
        times = min(math.ceil(length * bound), _PARTS)
        step = np.float32(min(length / max(times, 1), 1 / bound))

        def between(parts: Parts, epoch: int) -> None:
            p = parts.user_factors
            for _ in range(times):
                apart = (p - links.times(p)) * trusts
                p -= step * (apart - trusted.times(apart))

        return between
