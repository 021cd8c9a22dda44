"""Recommenders of the next item: they find a planted order, and padding, batches and files change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import io, nn, ops
from recsys import datasets, loading
from recsys.data import IdMap, Interactions
from recsys.data.splits import split_last
from recsys.errors import ArtifactError, DataError, ParameterError
from recsys.evaluation import evaluate
from recsys.models import Caser, CausalCNN, GRU4Rec, LRURec, Popular, SASRec, SequenceRecommender
from recsys.models.sequential.estimators import moments_of
from recsys.models.sequential.gru4rec import ParallelSessions, side_by_side
from recsys.models.sequential.objective import NextItem, alike, item_sampler
from recsys.training.losses import SAMPLED

QUICK = {"factors": 16, "epochs": 10, "lr": 0.01, "batch_size": 16, "dropout": 0.1, "recent": 12}
MODELS = [SequenceRecommender(encoder=name, **QUICK) for name in ("rnn", "gru", "lstm")]
MODELS += [SASRec(**QUICK), Caser(**QUICK), CausalCNN(**QUICK), LRURec(**QUICK),
           GRU4Rec(**QUICK | {"lr": 0.3, "batch_size": 64}, negatives=64)]


class Mean(nn.Module):
    """The mean of all items so far."""

    def forward(self, vectors, items):
        return ops.cumsum(vectors, axis=1) / np.arange(1, vectors.shape[1] + 1, dtype=np.float32)[:, None]


def mean(n_items, factors, generator):
    return Mean()


@pytest.fixture(scope="module")
def planted():
    """Four of five events follow from the one before, in cycles of 5 items."""
    data, _ = datasets.simulate(200, 60, 4000, seed=2, activity=0.3, sequence=0.8, repeats=True)
    return split_last(data.binarise())


@pytest.fixture(scope="module")
def popular(planted):
    return hit(Popular().fit(planted.train), planted)


def hit(model, split):
    return evaluate(model, split, k=1, metrics=["hit@1"], exclude_seen=False).metrics["hit@1"]


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_a_planted_order_is_found(model, planted, popular):
    """The best is about .8."""
    assert popular < 0.1
    assert hit(model.clone().fit(planted.train), planted) > popular + 0.5


@pytest.mark.parametrize(("model", "loss"), [*((MODELS[1], loss) for loss in SAMPLED),
                                             (MODELS[-1], "bpr_max")], ids=str)
def test_every_loss_finds_it(model, loss, planted, popular):
    """Where the right items weigh less than the others, later."""
    model = model.clone().set_params(loss=loss, negatives=8 if loss in ("bce", "gbce") else 64)
    model.set_params(epochs=4 * model.epochs if loss == "gbce" else model.epochs)
    assert hit(model.fit(planted.train), planted) > popular + 0.3


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_a_longer_maximum_changes_nothing(model, planted):
    """Of the same weights, for histories that were short enough before; positions have a table of a fixed length."""
    fitted = model.clone().set_params(epochs=1).fit(planted.train)
    items = planted.train.items.ids
    history = [items[:7].tolist(), items[40:41].tolist(), items[30:42].tolist()]
    before = fitted.recommend(history=history, k=50)
    alone = fitted.recommend(history=history[0], k=50)
    fitted.recent = 30
    after = fitted.recommend(history=history, k=50)
    for found in (after.scores, np.concatenate([alone.scores[None], before.scores[1:]])):
        np.testing.assert_allclose(found, before.scores, rtol=1e-5, atol=1e-5)


def test_only_the_last_items_count(planted):
    fitted = SASRec(**QUICK | {"epochs": 1}).fit(planted.train)
    items = planted.train.items.ids
    short, long = fitted.recommend(history=[items[20:32].tolist(), items[:32].tolist()], items=items[40:]).scores
    np.testing.assert_allclose(short, long, rtol=1e-5, atol=1e-6)


def test_every_event_is_predicted_once_an_epoch(planted):
    rows = planted.train.csr
    seen = []

    class Network:
        def states_at(self, items, flat):
            return items.ravel()[flat]

    objective = NextItem(rows, 7, Network(), lambda network, states, targets, read, rng: seen.append((states, targets)))
    rng = np.random.default_rng(0)
    cuts = set()
    for epoch in range(3):
        batches = list(objective.batches(epoch, rng, 100))
        cuts.add(sum(map(len, batches)))
        for batch in batches:
            objective.loss(batch, rng)
    before, after = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    same = rows.row_of_entry[1:] == rows.row_of_entry[:-1]
    pairs = np.tile([rows.indices[:-1][same], rows.indices[1:][same]], 3)
    assert sorted(zip(before, after, strict=True)) == sorted(zip(*pairs, strict=True))
    assert len(cuts) > 1


@given(st.lists(st.integers(1, 30), max_size=200), st.integers(1, 9), st.integers(0, 99))
def test_batches_have_every_piece_once_and_about_as_many_events(lengths, size, seed):
    lengths = np.array(lengths, np.int64)
    found = list(alike(lengths, size, np.random.default_rng(seed)))
    assert sorted(np.concatenate([[], *found])) == list(range(len(lengths)))
    assert all(len(batch) for batch in found)
    if len(lengths):
        assert max(lengths[batch].sum() for batch in found) <= size * lengths.mean() + lengths.max()


def test_pieces_of_similar_lengths_are_together():
    lengths = np.random.default_rng(0).geometric(0.1, 5000)
    padded = sum(len(batch) * lengths[batch].max() for batch in alike(lengths, 32, np.random.default_rng(1)))
    assert padded < 1.3 * lengths.sum()  # 4 or so times as many, if shuffled


@pytest.mark.parametrize("order", ["rows", "times", "none"])
def test_what_is_in_no_order_is_put_in_another_one_each_epoch(order):
    rng = np.random.default_rng(0)
    user, time = np.repeat([0, 1, 2], [9, 1, 14]), np.concatenate([np.arange(9) // 4, [0], np.arange(14) // 5])
    mixed = rng.permutation(24)  # the rows need not be in the order of time
    data = Interactions.from_arrays(user[mixed], np.arange(24)[mixed], None, time[mixed], item_ids=IdMap(range(24)))
    found = []

    def loss(network, states, targets, seen, rng):
        found[-1] += targets.tolist()

    class Network:
        def states_at(self, items, flat):
            return items.ravel()[flat]

    objective = NextItem(data.csr, 50, Network(), loss, moments_of(SASRec(order=order), data))
    for epoch in range(100):
        found.append([])
        batch, = objective.batches(epoch, rng, 50)
        objective.loss(np.sort(batch), rng)
    assert all(set(targets[:8]) < set(range(9)) and set(targets[8:]) < set(range(10, 24)) for targets in found)
    in_time = all(sorted(time[part]) == time[part].tolist() for targets in found for part in (targets[:8], targets[8:]))
    assert in_time == (order != "none")
    alone = {"rows": 1, "times": 4, "none": 9}[order]  # the first event, which is never a target, is one of so many
    assert len({targets[0] for targets in found}) == alone
    assert len({frozenset(targets[:8]) for targets in found}) == alone


def test_the_order_of_times_needs_times():
    untimed = Interactions.from_arrays([1, 1], [1, 2])
    with pytest.raises(DataError, match=r"SASRec\.fit: order='times' needs times"):
        SASRec(order="times").fit(untimed)
    SASRec(order="none", epochs=1).fit(untimed)


@pytest.mark.parametrize("loss", ["softmax", "squares"])
@pytest.mark.parametrize("encoder", ["gru", "caser"])
def test_sets_are_found_by_what_comes_with_what(encoder, loss):
    """Users have items of one of four groups, in no order; half of each group is shown."""
    rng = np.random.default_rng(0)
    user, own = np.repeat(np.arange(120), 8), np.concatenate([rng.permutation(10)[:8] for _ in range(120)])
    data = Interactions.from_arrays(user, own * 4 + user % 4)
    model = SequenceRecommender(encoder=encoder, **QUICK | {"epochs": 30}, order="none", wide=32, long_term=False,
                                loss=loss)
    recs = model.fit(data).recommend(history=[[g, 8 + g, 16 + g, 24 + g] for g in range(4)], k=6)
    assert np.mean(recs.items % 4 == np.arange(4)[:, None]) > 0.9  # chance is a quarter
    assert model.similar_items(0, k=3).items.shape == (3,)


@pytest.mark.parametrize(("items", "repeated"), [(["a", "b", "c"], False), (["a", "b", "a"], True)])
def test_what_comes_again_competes(items, repeated):
    data = Interactions.from_arrays([1, 1, 1], items)
    for repeats, expected in (None, repeated), (False, False), (True, True):
        assert SASRec(repeats=repeats, epochs=1).prepare(data).objective.repeats == expected


# ------------------------------------------------------------------------------------ files, own encoders
@pytest.mark.parametrize("model", [MODELS[1], SASRec(**QUICK, order="times"),
                                   SASRec(**QUICK, order="none", wide=8, loss="squares"), MODELS[-1]],
                         ids=["gru", "times", "none", "GRU4Rec"])
def test_an_interrupted_training_goes_on_to_the_same_bits(model, planted, tmp_path):
    model = model.clone().set_params(epochs=4)
    users = np.arange(20, dtype=np.int32)
    whole = model.clone().fit(planted.train, planted.valid).score_block(users)

    def interrupt(epoch, report):
        if epoch == 3:
            raise KeyboardInterrupt

    path = tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt):
        model.clone().fit(planted.train, planted.valid, checkpoint=path, callbacks=[interrupt])
    assert model.clone().fit(planted.train, planted.valid, checkpoint=path).score_block(users).tobytes() == \
        whole.tobytes()


def test_an_encoder_of_ones_own(planted, tmp_path):
    model = SequenceRecommender(encoder=mean, **QUICK)
    model.fit(planted.train, planted.valid, checkpoint=tmp_path / "run.npz")
    users = np.arange(20, dtype=np.int32)
    expected = model.score_block(users)
    with pytest.raises(ArtifactError, match="a hyper-parameter of SequenceRecommender cannot be stored"):
        model.save(tmp_path / "model.recsys")
    io.save(tmp_path / "weights.npz", model.network.state_dict())
    again = SequenceRecommender(encoder=mean, **QUICK | {"epochs": 1}).fit(planted.train)
    again.network.load_state_dict(io.load(tmp_path / "weights.npz"))
    assert again.score_block(users).tobytes() == expected.tobytes()


@pytest.mark.parametrize(("encoder", "preset"), [("attention", SASRec(layers=2)), ("cnn", CausalCNN(layers=2)),
                                                 ("lru", LRURec(layers=2)), ("caser", Caser()),
                                                 ("lstm", None)], ids=str)
def test_encoders_have_names(encoder, preset, planted, tmp_path):
    """The same as the class of its own, and in a file."""
    fitted = SequenceRecommender(encoder=encoder, layers=2, **QUICK | {"epochs": 1}).fit(planted.train)
    fitted.save(tmp_path / "model.recsys")
    assert same(loading.load(tmp_path / "model.recsys").recommend(k=5), fitted.recommend(k=5))
    if preset is not None:
        assert same(preset.set_params(**QUICK | {"epochs": 1}).fit(planted.train).recommend(k=5), fitted.recommend(k=5))


def same(a, b):
    return a.items.tolist() == b.items.tolist() and a.scores.tobytes() == b.scores.tobytes()


def test_parameters():
    data = Interactions.from_arrays([1, 1, 2], ["a", "b", "a"])
    with pytest.raises(ParameterError, match=r"encoder must be one of 'rnn', .*, or callable, not 'gpt'"):
        SequenceRecommender(encoder="gpt").fit(data)
    with pytest.raises(ParameterError, match="factors must be a multiple of heads, not 8 of 3"):
        SASRec(factors=8, heads=3).fit(data)
    with pytest.raises(ParameterError, match="GRU4Rec: loss must be one of 'bce', "):
        GRU4Rec(loss="softmax").fit(data)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_nobody_has_two_events(model):
    data = Interactions.from_arrays([1, 2, 3], ["a", "b", "a"])
    recs = model.clone().fit(data).recommend(k=2, filter_seen=False)
    assert np.isfinite(recs.scores).all()


# ------------------------------------------------------------------------------------------- GRU4Rec
def test_sessions_lie_side_by_side():
    lengths = np.random.default_rng(0).integers(1, 9, 50)
    slot, start = side_by_side(lengths, 6)
    cells = [(s, t) for s, first, n in zip(slot, start, lengths, strict=True) for t in range(first, first + n)]
    assert len(set(cells)) == len(cells) == lengths.sum()
    assert start.max() + 8 < lengths.sum() / 6 + 16  # no slot waits


def test_states_are_carried_over_and_start_anew(planted):
    """Step by step over sessions side by side, the states are those of whole sessions."""
    model = GRU4Rec(**QUICK | {"epochs": 1, "dropout": 0.0}, layers=2, negatives=4).fit(planted.train)
    rows, rng = planted.train.csr, np.random.default_rng(0)
    objective = ParallelSessions(rows, model.network, "bpr", item_sampler(model.item_counts, 0.5), 4, model.item_counts)
    done = np.zeros(rows.nnz, bool)
    for step, events in enumerate(objective.batches(0, rng, model.batch_size)):
        objective.loss(events, rng)
        entries = objective._entries[events]
        assert not done[entries].any()
        done[entries] = True
        if step % 10 == 9:  # the session up to this event, read at once
            at = entries[0]
            user = rows.row_of_entry[at]
            whole = model.network.states(rows.indices[rows.indptr[user]:at + 1][None]).data[0, -1]
            found = objective._states[-1, objective._slots[events][0]]
            np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-5)
    last = rows.indptr[1:][rows.counts > 0] - 1
    assert done.sum() == rows.nnz - len(last)
    assert not done[last].any()
