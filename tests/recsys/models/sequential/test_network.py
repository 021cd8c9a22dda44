"""Encoders of sequences: causal, deaf to padding, equal to their definitions; and the losses against sampled items."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from recsys.data.csr import CSR
from recsys.models.sequential.encoders import AttentionEncoder, CaserEncoder, ConvolutionEncoder, RecurrentEncoder
from recsys.models.sequential.network import SequenceNetwork, padded
from recsys.models.sequential.objective import NextItem, Rest, against, full_softmax, full_squares, item_sampler
from recsys.training.losses import SAMPLED

N_ITEMS, FACTORS, LENGTH = 20, 8, 12
ENCODERS = {
    "rnn": lambda rng: RecurrentEncoder("rnn", FACTORS, layers=2, dropout=0.5, generator=rng),
    "gru": lambda rng: RecurrentEncoder("gru", FACTORS, layers=2, dropout=0.5, generator=rng),
    "lstm": lambda rng: RecurrentEncoder("lstm", FACTORS, dropout=0.5, generator=rng),
    "attention": lambda rng: AttentionEncoder(FACTORS, LENGTH, layers=2, heads=2, dropout=0.5, generator=rng),
    "cnn": lambda rng: ConvolutionEncoder(FACTORS, layers=3, width=3, dropout=0.5, generator=rng),
    "caser": lambda rng: CaserEncoder(FACTORS, window=4, horizontal=3, vertical=2, dropout=0.5, generator=rng),
}


@pytest.fixture(params=list(ENCODERS))
def network(request):
    rng = np.random.default_rng(5)
    made = SequenceNetwork(N_ITEMS, FACTORS, ENCODERS[request.param](rng), dropout=0.5, long_term=True, wide=5,
                           generator=rng)
    made.tastes.weight.data[:] = rng.normal(size=(N_ITEMS, FACTORS))
    made.bias.data[:] = rng.normal(size=N_ITEMS)
    return made.eval()


def histories(*rows):
    return CSR.from_pairs(np.repeat(np.arange(len(rows)), [len(row) for row in rows]),
                          np.concatenate([np.asarray(row, np.int32) for row in rows]), None, (len(rows), N_ITEMS))


def test_what_comes_later_changes_nothing_before(network):
    items = np.random.default_rng(0).integers(0, N_ITEMS, (3, LENGTH))
    expected = network.states(items).data
    for t in range(1, LENGTH):
        changed = items.copy()
        changed[:, t] = (items[:, t] + 7) % N_ITEMS
        found = network.states(changed).data
        assert found[:, :t].tobytes() == expected[:, :t].tobytes()
        assert not np.allclose(found[:, t], expected[:, t])


def test_other_histories_of_a_batch_change_nothing(network):
    short, long = [3, 1, 4, 1], list(range(LENGTH))
    alone = network(histories(short)).data
    together = network(histories(long, [], short, [2])).data
    np.testing.assert_allclose(together[2], alone[0], rtol=1e-5, atol=1e-6)


def test_without_events_the_bias_answers(network):
    np.testing.assert_array_equal(network(histories([], [])).data, np.tile(network.bias.data, (2, 1)))
    np.testing.assert_array_equal(network(histories([], [5])).data[0], network.bias.data)


def test_renumbered_items_are_the_same_items(network):
    order = np.random.default_rng(1).permutation(N_ITEMS)
    place = np.argsort(order)
    rows = [[3, 1, 4], [0, 19], [7]]
    expected = network(histories(*rows)).data
    for vectors in network.items, network.tastes, network.wide:
        vectors.weight.data[:] = vectors.weight.data[order]
    network.bias.data[:] = network.bias.data[order]
    found = network(histories(*(place[row] for row in rows))).data
    np.testing.assert_allclose(found, expected[:, order], rtol=1e-5, atol=1e-6)


def test_nothing_behind_the_end_gets_a_gradient(network):
    items = padded(histories([3, 1, 4, 1, 5, 9], [2, 6]))
    network.train().states_at(items, np.flatnonzero(items >= 0)).sum().backward()
    for vectors in network.items, network.tastes, network.wide:
        touched = np.flatnonzero(np.abs(vectors.weight.grad.to_dense()).sum(axis=1))
        assert set(touched.tolist()) <= {3, 1, 4, 5, 9, 2, 6}


def test_the_long_term_part_is_its_definition(network):
    items = [3, 1, 4, 1, 5]
    found = network.states(np.array([items])).data[0]
    network.tastes.weight.data[:], tastes = 0, network.tastes.weight.data.copy()
    encoded = network.states(np.array([items])).data[0]
    for t in range(1, 6):
        np.testing.assert_allclose(found[t - 1] - encoded[t - 1], tastes[items[:t]].sum(axis=0) / np.sqrt(t),
                                   rtol=1e-4, atol=1e-5)


def test_the_wide_part_is_its_definition(network):
    """A linear autoencoder whose two ends are tied, of every beginning of a history."""
    items, vectors = np.array([[3, 1, 4, 1, 5], [2, 7, -1, -1, -1]]), network.wide.weight.data
    flat = np.array([0, 1, 4, 5, 6])
    found = network.scores(network.states_at(items, flat)).data
    network.wide.weight.data, kept = np.zeros_like(vectors), vectors
    encoded = network.scores(network.states_at(items, flat)).data
    for row, read in enumerate(([3], [3, 1], [3, 1, 4, 1, 5], [2], [2, 7])):
        expected = kept[read].sum(axis=0) @ kept.T / np.sqrt(len(read))
        np.testing.assert_allclose(found[row] - encoded[row], expected, rtol=1e-4, atol=1e-5)


def test_some_items_score_as_among_all(network):
    states = network.last_states(histories([3, 1], [4]))
    few = np.array([7, 2, 7])
    np.testing.assert_allclose(network.scores(states, few).data, network.scores(states).data[:, few], rtol=1e-5,
                               atol=1e-6)


def test_caser_is_its_definition():
    rng = np.random.default_rng(2)
    encoder = CaserEncoder(FACTORS, window=4, horizontal=3, vertical=2, generator=rng).eval()
    vectors = rng.normal(size=(1, 6, FACTORS)).astype(np.float32)
    found = encoder(vectors, np.arange(6)[None]).data
    for t in range(6):
        image = np.zeros((4, FACTORS), np.float32)
        seen = vectors[0, max(0, t - 3):t + 1]
        image[4 - len(seen):] = seen
        parts = []
        for h, convolve in enumerate(encoder.rows, 1):
            values = [np.maximum(np.tensordot(convolve.weight.data, image[s:s + h].T, 2) + convolve.bias.data, 0)
                      for s in range(5 - h)]
            parts.append(np.max(values, axis=0))
        sums = encoder.columns.weight.data[:, 0, :, 0] @ image + encoder.columns.bias.data[:, None]
        z = np.concatenate([*parts, sums.ravel()]) @ encoder.dense.weight.data.T + encoder.dense.bias.data
        np.testing.assert_allclose(found[0, t], z, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("layers", "width"), [(1, 2), (2, 3), (3, 2)])
def test_the_convolutions_reach_as_far_as_they_say(layers, width):
    rng = np.random.default_rng(3)
    encoder = ConvolutionEncoder(FACTORS, layers=layers, width=width, generator=rng).eval()
    vectors = rng.normal(size=(1, 20, FACTORS)).astype(np.float32)
    last = encoder(vectors, np.arange(20)[None]).data[0, -1]
    reach = (width - 1) * (2 ** layers - 1) + 1
    vectors[0, :20 - reach] += 1
    np.testing.assert_array_equal(encoder(vectors, np.arange(20)[None]).data[0, -1], last)
    vectors[0, 20 - reach] += 1
    assert not np.allclose(encoder(vectors, np.arange(20)[None]).data[0, -1], last)


# --------------------------------------------------------------------------------------------- losses
@pytest.mark.parametrize("loss", SAMPLED)
def test_the_right_item_is_no_negative(network, loss):
    """However often it is drawn, and whatever it scores."""
    states, targets = network.last_states(histories([3, 1], [4])), np.array([7, 2])
    log_q = np.zeros(N_ITEMS, np.float32)
    expected = against(loss, network, states, np.array([7, 7]), None, np.array([5, 11]), log_q)
    drawn = against(loss, network, states, np.array([7, 7]), None, np.array([5, 7, 11, 7]), log_q)
    np.testing.assert_allclose(float(drawn), float(expected), rtol=1e-5)
    assert np.isfinite(float(against(loss, network, states, targets, None, targets, log_q)))


@pytest.mark.parametrize("seen", [None, (np.array([0, 0, 1]), np.array([3, 1, 4]))], ids=["repeats", "seen"])
def test_with_all_items_drawn_the_sampled_softmax_is_the_full_one(network, seen):
    states, targets, rng = network.last_states(histories([3, 1], [4])), np.array([7, 2]), np.random.default_rng(0)
    everything = against("sampled_softmax", network, states, targets, seen, np.arange(N_ITEMS),
                         np.zeros(N_ITEMS, np.float32))
    assert float(everything) == pytest.approx(float(full_softmax(network, states, targets, seen, rng)), rel=1e-5)


def test_the_softmax_is_of_all_items_but_the_seen_ones(network):
    """Its value and its gradients are those of the softmax of the items that are left."""
    targets, seen = np.array([7, 2]), (np.array([0, 0, 1]), np.array([3, 1, 4]))
    gradients = []
    for row, item, left in ((0, 7, np.delete(np.arange(N_ITEMS), [3, 1])), (1, 2, np.delete(np.arange(N_ITEMS), [4]))):
        network.zero_grad()
        state = network.last_states(histories([3, 1], [4]))[[row]]
        loss = ops.cross_entropy(network.scores(state)[:, left], np.flatnonzero(left == item))
        loss.backward()
        gradients.append([float(loss), *(dense(weight) for weight in network.parameters())])
    network.zero_grad()
    loss = full_softmax(network, network.last_states(histories([3, 1], [4])), targets, seen, None)
    loss.backward()
    for found, first, second in zip([float(loss), *(dense(w) for w in network.parameters())], *gradients, strict=True):
        np.testing.assert_allclose(found, (first + second) / 2, rtol=1e-4, atol=1e-5)


def dense(parameter):
    gradient = parameter.grad
    return gradient.to_dense() if hasattr(gradient, "to_dense") else np.asarray(gradient.data)


@pytest.mark.parametrize("loss", SAMPLED)
def test_seen_items_are_no_negatives(network, loss):
    """Each of the two states has other ones; the loss of both is the mean over what counts, row by row."""
    targets, log_q = np.array([7, 7]), np.zeros(N_ITEMS, np.float32)
    states = network.last_states(histories([3, 1], [3, 1]))
    expected = against(loss, network, states, targets, None, np.array([5, 11]), log_q)
    seen = np.array([0, 1, 0, 1, 0]), np.array([3, 1, 1, 3, 19])
    found = against(loss, network, states, targets, seen, np.array([1, 5, 3, 7, 11, 3]), log_q)
    np.testing.assert_allclose(float(found), float(expected), rtol=1e-5)


@given(rows=st.lists(st.lists(st.integers(0, N_ITEMS - 1), max_size=9), min_size=1, max_size=4),
       length=st.integers(1, 10), seed=st.integers(0, 99))
def test_a_state_has_seen_its_piece_but_what_comes_next(rows, length, seed):
    indptr = np.cumsum([0, *map(len, rows)])
    csr = CSR(indptr, np.array([item for row in rows for item in row], np.int32), None, (len(rows), N_ITEMS))
    rng, found = np.random.default_rng(seed), []

    class Network:
        def states_at(self, items, flat):
            return [items[row, :place + 1] for row, place in zip(*np.divmod(flat, items.shape[1]), strict=True)]

    def loss(network, states, targets, seen, rng):
        found.append((states, targets, seen))

    for repeats in False, True:
        objective = NextItem(csr, length, Network(), loss, repeats=repeats)
        for batch in objective.batches(0, rng, 1000):
            objective.loss(batch, rng)
    for states, targets, seen in found[:1]:
        expected = [(row, item) for row, (state, target) in enumerate(zip(states, targets, strict=True))
                    for item in state if item != target]
        assert sorted(zip(*seen, strict=True)) == sorted(expected)
    assert all(seen is None for _, _, seen in found[1:])


@pytest.mark.parametrize("seen", [None, (np.array([0, 0, 1, 0]), np.array([3, 1, 4, 3]))], ids=["repeats", "seen"])
def test_squares_are_those_of_dense_rows(network, seen):
    """Of one item for each state, or of several; a pair that is seen twice is left out once."""
    states = network.last_states(histories([3, 1], [4]))
    scores, counted = network.scores(states).data.astype(np.float64), np.ones((2, N_ITEMS))
    if seen is not None:
        counted[seen] = 0
    for targets, indptr in (np.array([7, 2]), None), (np.array([7, 9, 2]), np.array([0, 2, 3])):
        x = np.zeros((2, N_ITEMS))
        x[[0, 1] if indptr is None else [0, 0, 1], targets] = 1
        expected = 0.5 * (np.square(scores - x) * counted).sum() / len(targets)
        assert float(full_squares(network, states, targets, seen, None, indptr)) == pytest.approx(expected, rel=1e-5)


def test_the_softmax_of_what_is_left_is_the_mean_of_each(network):
    states, seen = network.last_states(histories([3, 1], [4])), (np.array([0, 0, 1]), np.array([3, 1, 4]))
    each = [float(full_softmax(network, states[[row]], np.array([item]), (seen[0][seen[0] == row] * 0,
                                                                          seen[1][seen[0] == row]), None))
            for row, item in ((0, 7), (0, 9), (1, 2))]
    found = float(full_softmax(network, states, np.array([7, 9, 2]), seen, None, np.array([0, 2, 3])))
    assert found == pytest.approx(np.mean(each), rel=1e-5)


@given(sizes=st.lists(st.lists(st.integers(1, 3), max_size=4), min_size=1, max_size=4), length=st.integers(1, 13),
       seed=st.integers(0, 99), ordered=st.booleans(), repeats=st.booleans())
def test_a_history_is_a_part_that_was_read_and_what_may_come_next(sizes, length, seed, ordered, repeats):
    """Histories of baskets of these sizes; without an order, a history is one basket."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, N_ITEMS, sum(baskets)).tolist() for baskets in sizes]
    csr = histories(*rows)
    basket = np.repeat(np.arange(sum(map(len, sizes))), np.concatenate(sizes).astype(np.int64))
    found = []

    class Network:
        def last_states(self, history):
            return [history.row(row)[0].tolist() for row in range(history.shape[0])]

    def loss(network, states, targets, seen, rng, indptr):
        found.extend(zip(states, (targets[a:b].tolist() for a, b in pairwise(indptr)), strict=True))
        assert (seen is None) == repeats
        if not repeats and length >= 12:
            for at, (state, rest) in enumerate(found):
                assert sorted(seen[1][seen[0] == at]) == sorted(item for item in state if item not in rest)

    objective = Rest(csr, length, Network(), loss, basket if ordered else csr.row_of_entry, repeats)
    used = [number for number, row in enumerate(rows) if len(row) > 1]
    batches = list(objective.batches(0, rng, 1000))
    assert [sorted(batch) for batch in batches] == [list(range(len(used)))] * bool(used)
    for batch in batches:
        objective.loss(np.sort(batch), rng)
    for number, (state, rest) in zip(used, found, strict=True):
        row, groups = rows[number], np.cumsum([0, *sizes[number]]) if ordered else np.array([0, len(rows[number])])
        assert rest
        assert len(row) // 2 <= len(row) - len(rest)
        if length >= 12:  # what was read, and what may come next, are the baskets up to one of them
            end = len(state) + len(rest)
            start = groups[np.searchsorted(groups, len(state), side="right") - 1]
            assert end in groups
            assert groups[np.searchsorted(groups, start) + 1] == end
            assert sorted(state + rest) == sorted(row[:end])
            assert sorted(state[:start]) == sorted(row[:start])
        assert len(state) <= length


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_items_are_drawn_by_popularity(alpha):
    counts = np.array([1, 4, 25, 100])
    sampler = item_sampler(counts, alpha)
    drawn = np.bincount(sampler.sample(np.zeros(1, np.int64), 100_000, np.random.default_rng(0))[0], minlength=4)
    np.testing.assert_allclose(drawn / 100_000, counts ** alpha / (counts ** alpha).sum(), atol=0.006)
    np.testing.assert_allclose(np.exp(sampler.log_q), counts ** alpha / (counts ** alpha).sum(), rtol=1e-4)
