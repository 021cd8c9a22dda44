"""What scores should be: losses of ratings, of all items, and of a chosen item against sampled ones.

`SAMPLED` has the losses `loss(positive, negative, hits=None)` of the scores of a right item, shape (B,), and of K items
that are drawn for it, shape (B, K). They mark with `hits`, bool (B, K), negatives that do not count, such as the right
item itself, if the draws may contain them. In the formulas p is the right item's score and n_k a drawn one's; sums and
means run over what counts, and the result is the mean over the rows.

>>> import numpy as np
>>> positive, negative = np.array([2.0, 0.0]), np.array([[0.0, 1.5], [1.0, -3.0]])
>>> [(name, round(float(loss(positive, negative)), 3)) for name, loss in SAMPLED.items()][:4]
[('bce', 2.288), ('bpr', 0.491), ('hinge', 0.625), ('adaptive_hinge', 1.25)]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minidl import ops

__all__ = ["SAMPLED", "adaptive_hinge", "bce", "bpr", "bpr_max", "gbce", "hinge", "mse", "of_draws", "sampled_softmax",
           "softmax", "squares", "warp"]


def mse(scores: Any, values: np.ndarray) -> Any:
    """`(s - r)^2` of scores and ratings of one shape, their mean."""
    return ops.mse_loss(scores, values)


def softmax(scores: Any, items: np.ndarray, offsets: np.ndarray) -> Any:
    """`-sum_i log softmax(s)_i` over all items i of a user, summed over the users: the likelihood of the items.

    Parameters
    ----------
    scores : Tensor, shape (B, C)
        Of all C items.
    items : int array, shape (n,)
        The users' items, user after user.
    offsets : int array, shape (B + 1,)
        Where each user's begin; the `indptr` of a CSR matrix.
    """
    return ops.multinomial_loss(scores, items, offsets, reduction="sum")


def squares(scores: Any, given: tuple[np.ndarray, np.ndarray], seen: tuple[np.ndarray, np.ndarray] | None = None
            ) -> Any:
    """`sum (s - x)^2 / 2` over all users and items, x being 1 for the pairs that are given and 0 for all others.

    Parameters
    ----------
    scores : Tensor, shape (B, C)
    given : pair of int arrays, shape (n,)
        Users and items, each pair once.
    seen : pair of int arrays, shape (m,), optional
        Other users and items, each pair once, that do not count.
    """
    counted = ops.square(scores).sum()
    if seen is not None:
        counted = counted - ops.square(scores[seen]).sum()
    return 0.5 * counted - scores[given].sum() + 0.5 * len(given[0])


def bce(positive: Any, negative: Any, hits: np.ndarray | None = None) -> Any:
    """`-log sigmoid(p) - sum_k log sigmoid(-n_k)`: a logistic regression.

    Source: He et al. 2017, "Neural collaborative filtering", equation 7.
    """
    return ops.softplus(-positive).mean() + _counted(ops.softplus(negative), hits).sum() * (1 / len(negative))


def gbce(positive: Any, negative: Any, hits: np.ndarray | None = None, *, n_items: int | None = None,
         calibration: float = 0.75) -> Any:
    """`-b log sigmoid(p) - sum_k log sigmoid(-n_k)`, b less than 1 where few of many items are drawn.

    With the share `a = K / (n_items - 1)` that is drawn and the calibration t, `b = a (t (1 - 1 / a) + 1 / a)`: `a` for
    t = 1, and 1 for t = 0, when it is `bce`, by which all scores are far too sure where few are drawn.

    Parameters
    ----------
    positive, negative, hits
        As in all losses of `SAMPLED`.
    n_items : int, optional
        How many the negatives are drawn from; by default K + 1, so that all are drawn.
    calibration : float
        t, from 0 to 1.

    Source: Petrov and Macdonald 2023, "gSASRec: reducing overconfidence in sequential recommendation trained with
    negative sampling", the loss gBCE and its beta.
    """
    drawn = np.full(len(negative), negative.shape[1]) if hits is None else (~hits).sum(axis=1)
    share = np.ones(len(drawn)) if n_items is None else np.minimum(drawn / max(n_items - 1, 1), 1)
    weight = (1 - calibration * (1 - share)).astype(positive.dtype)
    return (ops.softplus(-positive) * weight).mean() + _counted(ops.softplus(negative), hits).sum() * (
        1 / len(negative))


def bpr(positive: Any, negative: Any, hits: np.ndarray | None = None) -> Any:
    """The mean over k of `-log sigmoid(p - n_k)`.

    Source: Rendle et al. 2009, "BPR: Bayesian personalized ranking from implicit feedback", section 4.1.
    """
    return _mean(ops.softplus(negative - positive[:, None]), hits)


def hinge(positive: Any, negative: Any, hits: np.ndarray | None = None) -> Any:
    """The mean over k of `max(0, 1 - p + n_k)`.

    Source: Weimer et al. 2008, "Improving maximum margin matrix factorization", section 2 (ordinal losses).
    """
    return _mean(_violations(positive, negative), hits)


def adaptive_hinge(positive: Any, negative: Any, hits: np.ndarray | None = None) -> Any:
    """`max(0, 1 - p + max_k n_k)`: only the hardest of the negatives counts.

    Source: Kula, Spotlight, after Weston et al. 2011 (see `warp`).
    """
    scores = negative.data if hasattr(negative, "backward") else negative
    worst = (scores if hits is None else np.where(hits, -np.inf, scores)).argmax(axis=1)
    rows = np.arange(len(worst))
    return _mean(ops.relu(1 - positive + negative[rows, worst]), None if hits is None else hits[rows, worst])


def warp(positive: Any, negative: Any, hits: np.ndarray | None = None) -> Any:
    """`(1 + 1/2 + ... + 1/v) mean max(0, 1 - p + n_k)` over the v negatives that violate the margin.

    The weight grows with the right item's rank. Weston et al. estimate the rank by how many draws it takes to find a
    violation; here it is the rank among the negatives drawn, so there should be many of them.

    Source: Weston, Bengio and Usunier 2011, "WSABIE: scaling up to large vocabulary image annotation", section 4.
    """
    losses = _counted(_violations(positive, negative), hits)
    violators = np.count_nonzero(losses.data if hasattr(losses, "backward") else losses, axis=1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, negative.shape[1] + 1))])
    weight = (harmonic[violators] / np.maximum(violators, 1)).astype(losses.dtype)
    return (losses.sum(axis=1) * weight).mean()


def sampled_softmax(positive: Any, negative: Any, hits: np.ndarray | None = None, *,
                    log_q: tuple[np.ndarray, np.ndarray] | None = None) -> Any:
    """`-log(e^p / (e^p + sum_k e^n_k))`; with `log_q`, of the scores less the logarithm of how often items are drawn.

    Parameters
    ----------
    positive, negative, hits
        As in all losses of `SAMPLED`.
    log_q : (ndarray, ndarray), optional
        Of the right items, shape (B,), and of the negatives, shape (B, K). As K grows, the gradient is then that of the
        softmax over all items; without, popular items suffer from being drawn often.

    Source: Bengio and Senecal 2008, "Adaptive importance sampling to accelerate training of a neural probabilistic
    language model", section III; Yi et al. 2019, "Sampling-bias-corrected neural modeling", equation 3.
    """
    of_positive, of_negative = log_q or (None, None)
    return ops.sampled_softmax_loss(positive, negative, of_positive, of_negative, hits)


def bpr_max(positive: Any, negative: Any, hits: np.ndarray | None = None, *, reg: float = 1.0) -> Any:
    """`-log sum_k s_k sigmoid(p - n_k) + reg sum_k s_k n_k^2`, with s the softmax of the negatives.

    Source: Hidasi and Karatzoglou 2018, "Recurrent neural networks with top-k gains for session-based
    recommendations", equation 10.
    """
    far = np.asarray(-1e9, negative.dtype)
    log_s = ops.log_softmax(negative if hits is None else ops.where(hits, far, negative), axis=1)
    gains = ops.logsumexp(log_s + ops.logsigmoid(positive[:, None] - negative), axis=1)
    losses = reg * (ops.exp(log_s) * ops.square(negative)).sum(axis=1) - gains
    return _mean(losses, None if hits is None else np.all(hits, axis=1))


def of_draws(name: str, log_q: np.ndarray, items: np.ndarray, negatives: np.ndarray) -> Callable[..., Any]:
    """The loss of that name in `SAMPLED`, told how its negatives are drawn.

    Parameters
    ----------
    name : str
    log_q : ndarray, shape (n_items,)
        Logarithm of how often each item is drawn.
    items, negatives : int array, shape (B,), (B, K) or (K,)
        The right ones, and those that were drawn.
    """
    if name == "sampled_softmax":
        return partial(sampled_softmax, log_q=(log_q[items], log_q[negatives]))
    return partial(gbce, n_items=len(log_q)) if name == "gbce" else SAMPLED[name]


def _violations(positive: Any, negative: Any) -> Any:
    return ops.relu(1 - positive[:, None] + negative)


def _counted(losses: Any, hits: np.ndarray | None) -> Any:
    """Losses that are 0 at the hits."""
    return losses if hits is None else losses * ~hits


def _mean(losses: Any, hits: np.ndarray | None) -> Any:
    """Mean of the losses that are no hits; 0 if there are none."""
    if hits is None:
        return losses.mean()
    return _counted(losses, hits).sum() * (1 / max(int(hits.size - hits.sum()), 1))


SAMPLED: dict[str, Callable[..., Any]] = {
    "bce": bce, "bpr": bpr, "hinge": hinge, "adaptive_hinge": adaptive_hinge, "warp": warp,
    "sampled_softmax": sampled_softmax, "bpr_max": bpr_max, "gbce": gbce}
