"""Recommenders of the next item: one network of sequences, with recurrent, attentive and convolutional encoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from minidl import optim
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import DataError, ParameterError
from recsys.estimator import Can, Context, Facts, Fitted, Learned, Recommender
from recsys.estimator.histories import Histories
from recsys.estimator.networks import Architecture
from recsys.estimator.parameters import Check, at_least, between, flag, one_of, optional, whole
from recsys.estimator.scorers.networks import HistoryNetwork
from recsys.estimator.training import CHECKS, Training, adam
from recsys.models.refining import go_on, grow, regrow
from recsys.models.sequential.encoders import ENCODERS
from recsys.models.sequential.network import OPTIONS, SequenceNetwork, sequence
from recsys.models.sequential.objective import FULL, NextItem, Rest, against, item_sampler
from recsys.training import Objective
from recsys.training.losses import SAMPLED

__all__ = ["SASRec", "Caser", "CausalCNN", "SequenceModel", "SequenceRecommender", "moments_of"]


class SequenceModel(Recommender):
    """What all models of the next item share; a subclass says which encoder, and has the hyper-parameters.

    With `partial_fit` histories and tables grow; new items start at the mean of those next to them in the new
    histories. Then come a fourth of the epochs of a fit, over the histories that have grown and as many others.
    Updated, it continues sequences better than before and nearly as a refit, see
    `tests/recsys/models/test_partial_distance.py`.

    Attributes
    ----------
    network : recsys.models.sequential.network.SequenceNetwork
    curves_ : dict of list of float
        `"loss"`, and with validation data `"valid"`, NDCG@10.
    """

    can: ClassVar[Can] = Can(fold_in=True, sequence=True, partial_fit=True, explain=True, embeddings=True)
    trains: ClassVar[bool] = True
    renamed: ClassVar[dict[str, str]] = {"max_length": "recent", "alpha": "negatives_power",
                                         "loss=mse": "loss=squares"}
    checks: ClassVar[dict[str, Check]] = {
        **CHECKS, "factors": whole(1), "recent": whole(1), "layers": whole(1), "heads": whole(1), "width": whole(2),
        "window": whole(1), "horizontal": whole(1), "vertical": whole(1), "dropout": between(0, 0.99),
        "loss": one_of(*FULL, *SAMPLED), "negatives": whole(1), "negatives_power": at_least(0),
        "long_term": flag(), "wide": whole(0), "order": one_of("rows", "times", "none"),
        "repeats": optional(flag())}

    encoder: Any
    factors: int
    recent: int
    dropout: float
    loss: str
    negatives: int
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    patience: int | None
    seed: int
    layers: int = 1
    heads: int = 1
    width: int = 3
    window: int = 8
    horizontal: int = 16
    vertical: int = 4
    negatives_power: float = 0.5
    long_term: bool = False
    wide: int = 0
    order: str = "rows"
    repeats: bool | None = None

    @property
    def looks_at_times(self) -> bool:
        """Where times say which events are in no order."""
        return self.order == "times"

    def training(self, data: Interactions, context: Context) -> Training:
        """Of the network of sequences."""
        histories = Histories("events", self.recent).storing(data.csr, context.facts.seen)
        network = self._network(context.facts, np.random.default_rng(self.seed))

        def finish() -> Learned:
            return self._learned(network, histories, context.facts)

        objective = self._objective(network, data.csr, histories.stored, moments_of(self, data), context.facts)
        return Training.of(self, data, context, network, objective, finish, self._optimizer(network))

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """The histories and the network grow, and go on learning."""
        facts, before = context.facts, fitted.answers_by(HistoryNetwork)
        histories, known = grow(fitted, data), before.n_items
        network = self._network(facts, np.random.default_rng((self.seed, *data.csr.shape)), before.network)
        network.place(known, histories.rows)
        go_on(self, network, data, histories.rows, self._optimizer(network, anew=True),
              lambda part, events: self._objective(network, part, histories.stored, moments_of(self, events), facts))
        learned = self._learned(network, histories, facts)
        return Learned(learned.scorer, fitted.learned.taken)

    def _network(self, facts: Facts, rng: np.random.Generator, old: Any = None) -> SequenceNetwork:
        """A new network, with the weights of an old one where it has them."""
        network = sequence(len(facts.users), len(facts.items), rng, **self._options())
        if old is not None:
            regrow(network, old)
        return network

    def _options(self) -> dict[str, Any]:
        length = 0.1 if self.loss == "squares" else 1.0  # squares begin with scores near 0
        return {name: getattr(self, name) for name in OPTIONS} | {"max_length": self.recent, "length": length}

    def _learned(self, network: SequenceNetwork, histories: Histories, facts: Facts) -> Learned:
        return Learned(HistoryNetwork(self.can, histories, network, self.architecture(), len(facts.items)))

    def architecture(self) -> Architecture | None:
        """Of the network; None with an encoder of one's own."""
        return None if callable(self.encoder) else Architecture("sequence", self._options())

    def _optimizer(self, network: SequenceNetwork, anew: bool = False) -> optim.Optimizer:
        """For a new network, or for one that is trained and goes on."""
        return adam(self, network.parameters())

    def _objective(self, network: SequenceNetwork, rows: CSR, history: CSR | None, moments: np.ndarray | None,
                   facts: Facts) -> Objective:
        """What is learned of rows, whose events have moments, where `history` is what is kept of all."""
        repeats = any(map(_repeating, (rows, history))) if self.repeats is None else self.repeats
        if moments is not None and self.loss in FULL and (self.order == "none" or self.wide):
            return Rest(rows, self.recent, network, self._loss(facts), moments, repeats)
        return NextItem(rows, self.recent, network, self._loss(facts), moments, repeats)

    def _loss(self, facts: Facts) -> Callable[..., Any]:
        if self.loss in FULL:
            return FULL[self.loss]
        sampler, user = item_sampler(facts.item_counts, self.negatives_power), np.zeros(1, np.int64)
        return lambda network, states, targets, seen, rng: against(
            self.loss, network, states, targets, seen, sampler.sample(user, self.negatives, rng)[0], sampler.log_q)


def moments_of(model: SequenceModel, data: Interactions) -> np.ndarray | None:
    """Ascending numbers of the events of the histories, those with one number being in no order."""
    if model.order == "rows":
        return None
    if model.order == "none":
        return data.csr.row_of_entry
    if data.time is None:
        raise DataError(f"{type(model).__name__}.fit: order='times' needs times, which the data does not have; give "
                        f"times, or take order='rows' or 'none'.")
    by_time = np.lexsort((data.time, data.user))
    user, time = data.user[by_time], data.time[by_time]
    return np.append(0, np.cumsum((user[1:] != user[:-1]) | (time[1:] != time[:-1])))


def _repeating(rows: CSR | None) -> bool:
    return rows is not None and rows.unique().nnz < rows.nnz


class SequenceRecommender(SequenceModel):
    """The next item from the last ones, by the encoder that is asked for.

    With v the vectors of the items and s_t the encoder's state after the t-th item of a history, an item's score is
    `s_t . v_i + b_i`. Training predicts each event of each history from those before it.

    Losses: "softmax" is the cross entropy of the right item among all items, "squares" half the squared distance of all
    scores from 1 for the right item and 0 for the others, which needs width. The rest compare the right item with
    `negatives` items, drawn anew for every batch in proportion to `count ** 0.5`, of which the right one does not
    count; see `recsys.training.losses`. "sampled_softmax" corrects for how often items are drawn, "gbce" for how few.
    With very many items, take one of these, such as `loss="sampled_softmax", negatives=3000`.

    Where histories are sets (`order="none"`), as of new users of a shop, `wide=2000, long_term=False, loss="squares",
    lr=3e-4, dropout=0.3, batch_size=100, recent=200` ranks best.

    Parameters
    ----------
    encoder : {"gru", "lstm", "rnn", "lru", "attention", "cnn", "caser"}, or callable
        Or `encoder(n_items, factors, generator)`, which makes a module of your own. Called with the vectors
        (B, T, factors) and the numbers (B, T) of the items of histories, it gives states (B, T, factors), the one at t
        from the items up to t alone. Histories are padded on the right: vectors with 0, numbers with -1. Such a model
        cannot be saved by `save`; keep its `network.state_dict()` with `minidl.io.save`, and the module's code.
    factors : int
        Length of the vectors and states.
    recent : int
        How many of the last items are read.
    layers : int
        Of a recurrent encoder or the CNN, or blocks of attention or linear recurrences.
    dropout : float
        Of the item vectors and of what the encoder's layers give, in training.
    loss : {"softmax", "squares", "sampled_softmax", "gbce", "bpr", "bpr_max", "hinge", "adaptive_hinge", "warp", "bce"}
    negatives : int
        For all losses but "softmax" and "squares".
    long_term : bool
        Add to the encoder's state `t^-1/2 sum_s y_s` over the t items read so far, with further vectors y of the
        items: what somebody likes, beside what comes after what.
    wide : int
        Add to the scores `t^-1/2 sum_s u_s . u_i` with vectors u of this length: what comes with what, as a linear
        autoencoder of that many factors knows it. Costly unless `order` is "none"; 0 is none.
    order : {"rows", "times", "none"}
        What is learned of the order of events: that of the rows, or only that of the times, so that events of one time,
        such as a basket, are put in another order in each epoch, or none, all of a history being put in another order.
        With no order, or a `wide` part, "softmax" and "squares" learn all that may come next after a part of a history
        at once, instead of one event after the other. A history that is answered is read as it stands.
    repeats : bool, optional
        Whether what was read may come again, as in `recommend(filter_seen=False)`. If not, it does not compete with the
        next item, and the others are ranked better for it. By default, whether a history has an item twice.
    epochs, batch_size, seed : int
        A batch consists of so many pieces of histories on average, each of up to `recent` events: of pieces of similar
        lengths, and of more where they are short.
    lr, weight_decay : float
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    Hidasi et al., Session-based Recommendations with Recurrent Neural Networks, ICLR 2016. Other encoders: `SASRec`,
    `Caser`, `CausalCNN`.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 1, 2, 2, 3, 3], ["tea", "jam", "bun", "jam", "bun", "tea", "jam"])
    >>> model = SequenceRecommender(encoder="gru", factors=8, epochs=60, lr=0.02).fit(data)
    >>> model.recommend(history=["tea", "jam"], k=1).items.tolist()
    ['bun']

    An encoder of one's own, the mean of all items so far:

    >>> from minidl import nn, ops
    >>> class Mean(nn.Module):
    ...     def forward(self, vectors, items):
    ...         return ops.cumsum(vectors, axis=1) / np.arange(1, vectors.shape[1] + 1, dtype=np.float32)[:, None]
    >>> model = SequenceRecommender(encoder=lambda n_items, factors, generator: Mean(), factors=8, epochs=60, lr=0.02)
    >>> model.fit(data).recommend(history=["tea", "jam"], k=1).items.tolist()
    ['bun']
    """

    checks: ClassVar[dict[str, Check]] = {
        "encoder": Check(lambda value: callable(value) or value in ENCODERS,
                         f"one of {', '.join(map(repr, [*ENCODERS]))}, or callable")}

    def __init__(self, *, encoder: Any = "gru", factors: int = 64, recent: int = 50, layers: int = 1,
                 dropout: float = 0.5, loss: str = "softmax", negatives: int = 256, long_term: bool = True,
                 wide: int = 0, order: str = "rows", repeats: bool | None = None, epochs: int = 25,
                 batch_size: int = 32, lr: float = 3e-3, weight_decay: float = 0.0, patience: int | None = 10,
                 seed: int = 0) -> None:
        self.store_parameters(locals())


class SASRec(SequenceModel):
    """Self-attention over the last items.

    Vectors of items and positions go through `layers` causal transformer blocks to states s_t; an item's score is
    `s_t . v_i + b_i`. Unlike the paper, which compares each event with one random item, the loss is by default the
    cross entropy among all items, which is better by a wide margin.

    Parameters
    ----------
    factors, recent, layers, dropout
        As in `SequenceRecommender`.
    heads : int
        Parts of the vectors that attend on their own; `factors` is a multiple of it.
    loss, negatives, long_term, wide, order, repeats, epochs, batch_size, lr, weight_decay, patience, seed
        As in `SequenceRecommender`.

    References
    ----------
    Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 1, 2, 2, 3, 3], ["tea", "jam", "bun", "jam", "bun", "tea", "jam"])
    >>> model = SASRec(factors=8, epochs=60, lr=0.02).fit(data)
    >>> model.recommend(history=["tea", "jam"], k=1).items.tolist()
    ['bun']
    """

    encoder = "attention"

    def __init__(self, *, factors: int = 64, recent: int = 50, layers: int = 2, heads: int = 1,
                 dropout: float = 0.3, loss: str = "softmax", negatives: int = 256, long_term: bool = True,
                 wide: int = 0, order: str = "rows", repeats: bool | None = None, epochs: int = 25,
                 batch_size: int = 32, lr: float = 2e-3, weight_decay: float = 0.0, patience: int | None = 10,
                 seed: int = 0) -> None:
        self.store_parameters(locals())

    def check_parameters(self) -> None:
        """Raise ParameterError for the first hyper-parameter that is out of its range."""
        super().check_parameters()
        if self.factors % self.heads:
            raise ParameterError(f"SASRec: factors must be a multiple of heads, not {self.factors} of {self.heads}.")


class Caser(SequenceModel):
    """Convolutions over the last few items, seen as an image.

    The vectors of the last `window` items are the rows of a matrix. Horizontal filters cover 1 to `window` rows, and
    the largest value of each is kept; vertical filters are weighted sums of all rows. A dense layer makes the state s_t
    of them; an item's score is `s_t . v_i + b_i`. Unlike in the paper, no ReLU follows the dense layer (states of both
    signs rank better), the long-term part takes the place of a user's own vector, so that any history can be answered,
    and the loss is by default the cross entropy among all items.

    Parameters
    ----------
    factors, recent, dropout
        As in `SequenceRecommender`; beyond the window, only the long-term part reads `recent` items.
    window : int
        How many of the last items count.
    horizontal, vertical : int
        Horizontal filters of each height, and vertical ones.
    loss, negatives, long_term, wide, order, repeats, epochs, batch_size, lr, weight_decay, patience, seed
        As in `SequenceRecommender`.

    References
    ----------
    Tang and Wang, Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding, WSDM 2018.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 1, 2, 2, 3, 3], ["tea", "jam", "bun", "jam", "bun", "tea", "jam"])
    >>> model = Caser(factors=8, epochs=60, lr=0.02).fit(data)
    >>> model.recommend(history=["tea", "jam"], k=1).items.tolist()
    ['bun']
    """

    encoder = "caser"

    def __init__(self, *, factors: int = 64, recent: int = 50, window: int = 8, horizontal: int = 16,
                 vertical: int = 4, dropout: float = 0.5, loss: str = "softmax", negatives: int = 256,
                 long_term: bool = True, wide: int = 0, order: str = "rows", repeats: bool | None = None,
                 epochs: int = 25, batch_size: int = 32, lr: float = 3e-3, weight_decay: float = 0.0,
                 patience: int | None = 10, seed: int = 0) -> None:
        self.store_parameters(locals())


class CausalCNN(SequenceModel):
    """Dilated causal convolutions with residual connections.

    Block b is `x = x + relu(norm(convolve(x)))`, whose convolution of width `width` skips `2 ** b` positions: with L
    layers a state s_t sees the last `(width - 1) (2 ** L - 1) + 1` items. An item's score is `s_t . v_i + b_i`.

    Parameters
    ----------
    factors, recent, layers, dropout
        As in `SequenceRecommender`.
    width : int
        Of the convolutions.
    loss, negatives, long_term, wide, order, repeats, epochs, batch_size, lr, weight_decay, patience, seed
        As in `SequenceRecommender`.

    References
    ----------
    Yuan et al., A Simple Convolutional Generative Network for Next Item Recommendation, WSDM 2019 (NextItNet).

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 1, 2, 2, 3, 3], ["tea", "jam", "bun", "jam", "bun", "tea", "jam"])
    >>> model = CausalCNN(factors=8, epochs=60, lr=0.02).fit(data)
    >>> model.recommend(history=["tea", "jam"], k=1).items.tolist()
    ['bun']
    """

    encoder = "cnn"

    def __init__(self, *, factors: int = 64, recent: int = 50, layers: int = 3, width: int = 3,
                 dropout: float = 0.5, loss: str = "softmax", negatives: int = 256, long_term: bool = True,
                 wide: int = 0, order: str = "rows", repeats: bool | None = None, epochs: int = 25,
                 batch_size: int = 32, lr: float = 2e-3, weight_decay: float = 0.0, patience: int | None = 10,
                 seed: int = 0) -> None:
        self.store_parameters(locals())
