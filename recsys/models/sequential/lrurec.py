"""LRURec: linear recurrences over the last items."""

from __future__ import annotations

from recsys.models.sequential.estimators import SequenceModel

__all__ = ["LRURec"]


class LRURec(SequenceModel):
    """Linear recurrences over the last items: attention's quality, and a new event changes a state without the others.

    The vectors of the items go through `layers` blocks of a linear recurrent unit, its states `h_t = a h_(t-1) + B x_t`
    are complex numbers that shrink and turn, and a dense part, to states s_t; a score is `s_t . v_i + b_i`.
    Unlike in the paper, there is a long-term part by default, and pieces of histories are read as all models of
    sequences here read them.

    Parameters
    ----------
    factors, recent, layers, dropout
        As in `SequenceRecommender`.
    loss, negatives, long_term, wide, order, repeats, epochs, batch_size, lr, weight_decay, patience, seed
        As in `SequenceRecommender`.

    References
    ----------
    Yue et al., Linear Recurrent Units for Sequential Recommendation, WSDM 2024. The layer: `minidl.nn.LRU`.

    Examples
    --------
    >>> from recsys import Interactions
    >>> data = Interactions.from_arrays([1, 1, 1, 2, 2, 3, 3], ["tea", "jam", "bun", "jam", "bun", "tea", "jam"])
    >>> model = LRURec(factors=8, epochs=60, lr=0.02).fit(data)
    >>> model.recommend(history=["tea", "jam"], k=1).items.tolist()
    ['bun']
    """

    encoder = "lru"

    def __init__(self, *, factors: int = 64, recent: int = 50, layers: int = 2, dropout: float = 0.3,
                 loss: str = "softmax", negatives: int = 256, long_term: bool = True, wide: int = 0,
                 order: str = "rows", repeats: bool | None = None, epochs: int = 25, batch_size: int = 32,
                 lr: float = 2e-3, weight_decay: float = 0.0, patience: int | None = 10, seed: int = 0) -> None:
        self.store_parameters(locals())
