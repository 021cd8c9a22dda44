"""Data sets, loaders, collating: order and contents, threads that end, errors that arrive."""

import gc
import itertools
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import weakref
from collections import namedtuple
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import GradientError, ShapeError, Tensor, tensor
from minidl.data import (
    ArrayDataset,
    DataLoader,
    TensorDataset,
    default_collate,
    pad_collate,
    pad_sequence,
)

PREFETCH = st.sampled_from([0, 1, 3])


class Squares:
    """A data set without arrays; counts what was asked for."""

    def __init__(self, n):
        self.n = n
        self.asked = 0

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        self.asked += 1
        return index, float(index ** 2)


class Broken(Squares):
    """Item 3 fails."""

    def __getitem__(self, index):
        if index == 3:
            raise KeyError("item three is broken")
        return super().__getitem__(index)


def prefetchers():
    return [t for t in threading.enumerate() if t.name.startswith("minidl.data")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    assert prefetchers() == []


def order_of(loader):
    return [int(i) for x, _ in loader for i in x]


# --------------------------------------------------------------------------------------------- contents

@given(st.integers(0, 20), st.integers(1, 7), st.booleans(), st.booleans(), PREFETCH, st.booleans())
def test_an_epoch_has_every_item_once(n, batch_size, shuffle, drop_last, prefetch, by_item):
    dataset = Squares(n) if by_item else ArrayDataset(np.arange(n), np.arange(n) ** 2.0)
    loader = DataLoader(dataset, batch_size, shuffle, drop_last=drop_last, prefetch=prefetch)
    batches = list(loader)
    sizes = [len(x) for x, _ in batches]
    assert len(batches) == len(loader)
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    kept = n - n % batch_size if drop_last else n
    assert sum(sizes) == kept
    seen = [int(i) for x, _ in batches for i in x]
    assert len(set(seen)) == kept
    assert set(seen) <= set(range(n))
    assert all(np.array_equal(y, x ** 2.0) and y.dtype == np.float64 for x, y in batches)
    if not shuffle:
        assert seen == list(range(kept))


def test_arrays_are_gathered_and_not_shared():
    x = np.arange(12.0, dtype=np.float32).reshape(6, 2)
    for dataset in (x, ArrayDataset(x)):
        batch = next(iter(DataLoader(dataset, 3)))
        batch = batch if isinstance(batch, np.ndarray) else batch[0]
        assert batch.dtype == np.float32
        assert np.array_equal(batch, x[:3])
        batch += 1
        assert x[0, 0] == 0
    assert TensorDataset is ArrayDataset


def test_no_item_is_fetched_alone():
    class Whole(Squares):
        def batch(self, indices):
            assert indices.dtype == np.int64
            return indices * 10

    dataset = Whole(5)
    assert [b.tolist() for b in DataLoader(dataset, 2)] == [[0, 10], [20, 30], [40]]
    assert dataset.asked == 0
    assert list(DataLoader(dataset, 4, collate_fn=len)) == [4, 1]  # but a collate_fn takes items
    assert dataset.asked == 5


def test_tensors_stay_tensors():
    x = tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    (batch, plain), = DataLoader(ArrayDataset(x, np.arange(3)), 3, sampler=[2, 0, 2])
    assert isinstance(batch, Tensor)
    assert isinstance(plain, np.ndarray)
    batch.sum().backward()
    assert np.array_equal(x.grad, [[1, 1], [0, 0], [2, 2]])
    assert isinstance(next(iter(DataLoader(x.detach(), 2))), Tensor)


@pytest.mark.parametrize("sampler", [[4, 0, 0], np.array([4, 0, 0], np.uint8), (i for i in (4, 0, 0))])
def test_a_sampler_gives_the_order(sampler):
    assert order_of(DataLoader(Squares(5), 2, sampler=sampler)) == [4, 0, 0]


def test_a_sampler_may_be_without_end():
    loader = DataLoader(Squares(5), 2, sampler=itertools.cycle([1, 2, 3]), prefetch=2)
    assert [x.tolist() for (x, _), _ in zip(loader, range(3), strict=False)] == [[1, 2], [3, 1], [2, 3]]
    with pytest.raises(TypeError):
        len(loader)


@pytest.mark.parametrize(("error", "call", "message"), [
    (ValueError, lambda: DataLoader([], 0), "batch_size is 0"),
    (ValueError, lambda: DataLoader([], prefetch=-1), "prefetch is -1"),
    (ValueError, lambda: DataLoader([], seed=-1), "seed is -1"),
    (TypeError, lambda: DataLoader([], None), "batch_size is None, it has to be an integer"),
    (TypeError, lambda: DataLoader([], 2.0), "batch_size is 2.0, it has to be an integer"),
    (ValueError, lambda: DataLoader([], 1, True, sampler=[0]), "shuffle has to be False"),
    (ShapeError, lambda: ArrayDataset(np.zeros(2), np.zeros(3)), r"shapes \(2,\), \(3,\); they need one length"),
    (ShapeError, lambda: ArrayDataset(np.array(1.0)), "need one length"),
    (ShapeError, lambda: ArrayDataset(), "shapes none"),
    (IndexError, lambda: list(DataLoader(np.zeros(3), sampler=[3])), "out of bounds"),
    (IndexError, lambda: list(DataLoader(np.zeros(3), sampler=[0.5])), "dtype float64"),
])
def test_what_is_refused(error, call, message):
    with pytest.raises(error, match=message):
        call()


# -------------------------------------------------------------------------------------- reproducible order

@given(st.integers(0, 2**40), st.integers(0, 3), PREFETCH)
def test_the_order_depends_on_seed_and_epoch_alone(seed, epoch, prefetch):
    straight = DataLoader(Squares(30), 4, True, seed=seed)
    orders = [order_of(straight) for _ in range(4)]
    assert straight.epoch == 4
    resumed = DataLoader(ArrayDataset(np.arange(30), np.arange(30)), 7, True, seed=seed, prefetch=prefetch)
    next(iter(resumed))  # an epoch that is given up
    assert resumed.epoch == 1
    resumed.epoch = epoch
    assert order_of(resumed) == orders[epoch]
    assert len({tuple(order) for order in orders}) == 4


def test_seeds_differ_and_generators_give_them():
    first, second = (order_of(DataLoader(Squares(30), shuffle=True, seed=s)) for s in (0, 1))
    assert first != second
    loaders = [DataLoader(Squares(30), shuffle=True, generator=np.random.default_rng(5)) for _ in range(2)]
    assert order_of(loaders[0]) == order_of(loaders[1])
    assert loaders[0].seed == loaders[1].seed != 0


def test_two_iterations_at_once_are_two_epochs():
    loader = DataLoader(Squares(9), 2, True, prefetch=2)
    pairs = list(zip(loader, loader, strict=True))
    loader.epoch = 0
    assert [int(i) for (x, _), _ in pairs for i in x] == order_of(loader)
    assert [int(i) for _, (x, _) in pairs for i in x] == order_of(loader)


# ------------------------------------------------------------------------------------------------ the thread

def test_it_works_ahead_and_no_further_than_it_should():
    dataset = Squares(100)
    iterator = iter(DataLoader(dataset, 2, prefetch=3))
    assert dataset.asked == 0
    assert prefetchers() == []
    next(iterator)
    deadline = time.monotonic() + 10
    while dataset.asked < 8 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert dataset.asked == 8  # one batch is out, three are ready
    assert len(prefetchers()) == 1
    iterator.close()


def fail_in_the_loop(loader):
    for _ in loader:
        raise ZeroDivisionError


@pytest.mark.parametrize("ending", ["close", "drop", "break", "error", "exhaust", "never started"])
@pytest.mark.parametrize("prefetch", [1, 4])
def test_the_thread_ends_with_the_iteration(ending, prefetch):
    loader = DataLoader(Squares(20), 3, prefetch=prefetch)
    if ending == "exhaust":
        list(loader)
    elif ending == "never started":
        iter(loader)
    elif ending == "break":
        for _ in loader:
            break
    elif ending == "error":
        with pytest.raises(ZeroDivisionError):
            fail_in_the_loop(loader)
        gc.collect()  # the traceback, which holds the loop
    else:
        iterator = iter(loader)
        next(iterator)
        assert len(prefetchers()) == 1
        if ending == "close":
            iterator.close()
        else:
            del iterator
    assert prefetchers() == []


def test_a_slow_reader_and_a_slow_maker():
    class Slow(Squares):
        def __getitem__(self, index):
            time.sleep(0.001 * (index % 3))
            return super().__getitem__(index)

    seen = []
    for x, _ in DataLoader(Slow(30), 2, prefetch=2):
        time.sleep(0.001 * (len(seen) % 3))
        seen.extend(x.tolist())
    assert seen == list(range(30))


def test_giving_up_waits_for_the_batch_in_the_making_only():
    started = threading.Event()

    class Endless(Squares):
        def __getitem__(self, index):
            if index > 1:
                started.set()
                time.sleep(0.05)
            return super().__getitem__(index)

    dataset = Endless(1000)
    iterator = iter(DataLoader(dataset, 2, prefetch=100))
    next(iterator)
    started.wait(10)
    iterator.close()
    assert dataset.asked < 20


@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_errors_arrive_in_their_turn_with_their_traceback(prefetch):
    iterator = iter(DataLoader(Broken(10), 2, prefetch=prefetch))
    assert next(iterator)[0].tolist() == [0, 1]
    with pytest.raises(KeyError, match="item three is broken") as caught:
        next(iterator)
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert frames[-1].name == "__getitem__"
    assert frames[-1].line == 'raise KeyError("item three is broken")'
    with pytest.raises(StopIteration):
        next(iterator)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, MemoryError])
def test_any_error_arrives(error):
    def fail(items):
        raise error("from collate_fn")

    wanted = RuntimeError if error is StopIteration else error  # which would end the generator in silence
    with pytest.raises(wanted):
        list(DataLoader(Squares(4), 2, collate_fn=fail, prefetch=2))


def test_a_batch_is_not_kept_while_the_next_is_made():
    class Batch(list):
        pass

    iterator = iter(DataLoader(Squares(6), 2, collate_fn=Batch, prefetch=1))
    first = weakref.ref(next(iterator))
    next(iterator)
    assert first() is None
    iterator.close()


def test_a_program_ends_within_an_epoch():
    """The iterator is alive at the end of the program, and its thread waits."""
    program = textwrap.dedent("""
        import numpy as np
        from minidl.data import DataLoader
        iterator = iter(DataLoader(np.arange(1000), 2, prefetch=3))
        print(next(iterator))
    """)
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60,
                          check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0 1]\n", "")


# ---------------------------------------------------------------------------------------------- collating

def test_collating_follows_the_items():
    Pair = namedtuple("Pair", "name row")
    items = [Pair("a", {"x": np.ones(2, np.float32), "n": 1}), Pair("b", {"x": np.zeros(2, np.float32), "n": 2})]
    got = default_collate(items)
    assert isinstance(got, Pair)
    assert got.name == ["a", "b"]
    assert got.row["x"].dtype == np.float32
    assert np.array_equal(got.row["x"], [[1, 1], [0, 0]])
    assert got.row["n"].tolist() == [1, 2]
    assert default_collate([True, False]).dtype == bool
    assert default_collate([np.uint8(3), np.uint8(4)]).dtype == np.uint8
    assert default_collate([None, None]) == [None, None]
    leaf = tensor([1.0, 2.0], requires_grad=True)
    default_collate([leaf, leaf]).sum().backward()
    assert np.array_equal(leaf.grad, [2, 2])


def test_ragged_items_name_the_way_out():
    with pytest.raises(ShapeError, match=r"shapes \(2,\), \(3,\); .*collate_fn=pad_collate"):
        default_collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(ShapeError, match=r"pad_collate"):
        list(DataLoader([[1, 2], [3]], 2))
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is"):
        default_collate([(1, 2), (1,)])


@st.composite
def ragged(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inner = draw(st.sampled_from([(), (2,), (0,)]))
    dtype = draw(st.sampled_from([np.float32, np.int64, np.uint8]))
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    return [rng.integers(1, 9, (n, *inner)).astype(dtype) for n in lengths]


@given(ragged(), st.booleans(), st.sampled_from(["left", "right"]), st.sampled_from([0, 7]))
def test_padding_row_by_row(sequences, batch_first, side, value):
    got = pad_sequence(sequences, batch_first, value, side)
    assert got.flags.c_contiguous
    assert got.dtype == sequences[0].dtype
    longest = max(map(len, sequences))
    rows = got if batch_first else got.swapaxes(0, 1)
    assert rows.shape == (len(sequences), longest, *sequences[0].shape[1:])
    for row, sequence in zip(rows, sequences, strict=True):
        start = 0 if side == "right" else longest - len(sequence)
        assert np.array_equal(row[start:start + len(sequence)], sequence)
        assert (np.delete(row, np.s_[start:start + len(sequence)], axis=0) == value).all()


@given(ragged(), st.sampled_from(["left", "right"]))
def test_padded_batches_have_lengths(sequences, side):
    collate = partial(pad_collate, padding_value=3, padding_side=side)
    items = [(s, i) for i, s in enumerate(sequences)]
    (padded, lengths), number = next(iter(DataLoader(items, len(items), collate_fn=collate)))
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [len(s) for s in sequences]
    assert np.array_equal(padded, pad_sequence(sequences, True, 3, side))
    assert number.tolist() == list(range(len(items)))


@pytest.mark.parametrize(("error", "call", "message"), [
    (ValueError, lambda: pad_sequence([]), "there is no sequence"),
    (ValueError, lambda: pad_sequence([[1]], padding_side="top"), "padding_side='top'"),
    (ShapeError, lambda: pad_sequence([np.zeros((1, 2)), np.zeros((1, 3))]), r"\(1, 2\), \(1, 3\); they may differ"),
    (ShapeError, lambda: pad_sequence([np.array(1)]), r"shapes \(\)"),
    *((ShapeError, lambda items=items: pad_collate(items), r"pad_sequence: sequences have shapes \(\), \(2,\)")
      for items in ([[1, 2], 3], [3, [1, 2]])),
    (GradientError, lambda: pad_sequence([tensor([1.0], requires_grad=True)]), "no derivative"),
    (ValueError, lambda: pad_sequence([[1]], padding_value=np.nan), "padding_value=nan is not a number of .* int64"),
    (ValueError, lambda: pad_sequence([[1]], padding_value=0.5), "padding_value=0.5 is not"),
    (ValueError, lambda: pad_sequence([np.zeros(1, np.uint8)], padding_value=-1), "padding_value=-1 is not .* uint8"),
])
def test_what_cannot_be_padded(error, call, message):
    with pytest.raises(error, match=message):
        call()


def test_lists_and_tensors_are_padded_too():
    assert pad_sequence([tensor([1.0, 2.0]), [3.0]], True).tolist() == [[1, 2], [3, 0]]
    assert pad_sequence([[], [1, 2]], True).dtype == np.int64  # an empty history does not make floats of indices
