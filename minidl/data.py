"""Data sets and batches: shuffled by seed and epoch, gathered from arrays at once, prefetched in a thread."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

import numpy as np

from minidl import ops
from minidl.errors import GradientError, ShapeError, refuse_masked
from minidl.ops.index import as_indices
from minidl.tensors import Tensor, as_array

__all__ = ["ArrayDataset", "DataLoader", "Dataset", "TensorDataset", "default_collate", "pad_collate", "pad_sequence"]

_T = TypeVar("_T", covariant=True)
_Stack = Callable[[Sequence[Any]], Any]


# -------------------------------------------------------------------------------------------- data sets

class Dataset(Protocol[_T]):
    """Anything with a length and items: a class of yours, a list.

    One that has a method `batch(indices)` too, which takes an int64 array of shape (B,) and gives a batch, is asked
    for whole batches.
    """

    def __len__(self) -> int:
        """Number of items."""
        ...

    def __getitem__(self, index: int, /) -> _T:
        """One item."""
        ...


class ArrayDataset:
    """Arrays of one length; item i is the tuple of their rows i.

    Parameters
    ----------
    *arrays : array or Tensor, shape (N, ...)
        Not copied; memory-mapped arrays stay on disk.

    Raises
    ------
    ShapeError
        When the lengths differ, or an array has none.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl.data import ArrayDataset
    >>> pairs = ArrayDataset(np.arange(6).reshape(3, 2), np.array([1.0, 0.0, 1.0]))
    >>> len(pairs), pairs[1]
    (3, (array([2, 3]), np.float64(0.0)))
    >>> pairs.batch(np.array([2, 0]))
    (array([[4, 5], [0, 1]]), array([1., 1.]))
    """

    def __init__(self, *arrays: Any) -> None:
        self.arrays = tuple(a if isinstance(a, Tensor) else np.asanyarray(a) for a in arrays)
        shapes = [a.shape for a in self.arrays]
        if not shapes or any(s[:1] != shapes[0][:1] or not s for s in shapes):
            raise ShapeError(f"ArrayDataset: arrays have shapes {', '.join(map(str, shapes)) or 'none'}; "
                             "they need one length, that of their first axis")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        """Rows `index` of each array."""
        return tuple(a[index] for a in self.arrays)

    def batch(self, indices: np.ndarray) -> tuple[Any, ...]:
        """Rows of each array, gathered: shape (B,) -> (B, ...) each."""
        return tuple(_rows(a, indices) for a in self.arrays)


TensorDataset = ArrayDataset
"""PyTorch's name."""


def _rows(array: Any, indices: np.ndarray) -> Any:
    return array[indices] if isinstance(array, Tensor) else np.take(array, indices, axis=0)


# ----------------------------------------------------------------------------------------------- batches

class DataLoader:
    """Batches of a data set; each iteration is an epoch.

    The order of an epoch depends on the seed and its number alone, however the epochs before went. With `prefetch`
    a thread makes the next batches in the meantime; it ends with the iteration, also with one that is given up,
    and an error in it is raised at the caller as if there were no thread.

    Parameters
    ----------
    dataset : Dataset, array or Tensor
        An array's items are its rows. Arrays and an `ArrayDataset` are gathered batch by batch, without a loop over
        items.
    batch_size : int
        Items in a batch; the last may have fewer.
    shuffle : bool
        Take the items in a random order, another each epoch.
    sampler : iterable of int, optional
        Indices of items, iterated once each epoch; it stands for the order.
    drop_last : bool
        Leave out a last batch that is not full.
    collate_fn : callable, optional
        Makes a batch of a list of items; by default `default_collate`.
    prefetch : int
        Batches that are made ahead, in a thread; 0 for no thread.
    seed : int
        Of the order; not negative.
    generator : numpy.random.Generator, optional
        The seed is drawn from it, once.

    Attributes
    ----------
    epoch : int
        Number of the next iteration, from 0; it may be set, to resume.

    Raises
    ------
    ValueError
        For a batch size below 1, a negative prefetch or seed, and for both a sampler and shuffle.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl.data import ArrayDataset, DataLoader
    >>> loader = DataLoader(ArrayDataset(np.arange(5), np.arange(5) ** 2), batch_size=2)
    >>> for x, y in loader:
    ...     print(x, y)
    [0 1] [0 1]
    [2 3] [4 9]
    [4] [16]
    """

    def __init__(self, dataset: Any, batch_size: int = 1, shuffle: bool = False, *,
                 sampler: Iterable[int] | None = None, drop_last: bool = False,
                 collate_fn: Callable[[list[Any]], Any] | None = None, prefetch: int = 0, seed: int = 0,
                 generator: np.random.Generator | None = None) -> None:
        for name, value, least in (("batch_size", batch_size, 1), ("prefetch", prefetch, 0), ("seed", seed, 0)):
            if not isinstance(value, (int, np.integer)):
                raise TypeError(f"DataLoader: {name} is {value!r}, it has to be an integer of at least {least}")
            if value < least:
                raise ValueError(f"DataLoader: {name} is {value}, it has to be at least {least}")
        if shuffle and sampler is not None:
            raise ValueError("DataLoader: a sampler gives the order, so shuffle has to be False")
        self.dataset, self.batch_size, self.shuffle, self.sampler = dataset, batch_size, shuffle, sampler
        self.drop_last, self.collate_fn, self.prefetch = drop_last, collate_fn, prefetch
        self.seed = seed if generator is None else int(generator.integers(2**63))
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in an epoch; with a sampler it needs to have a length."""
        count = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        """Begin the next epoch."""
        epoch, self.epoch = self.epoch, self.epoch + 1
        batches = self._batches(epoch)
        return _prefetched(batches, self.prefetch) if self.prefetch else batches

    def _batches(self, epoch: int) -> Generator[Any, None, None]:
        for indices in _chunks(self._order(epoch), self.batch_size):
            if len(indices) == self.batch_size or not self.drop_last:
                yield self._batch(indices)

    def _order(self, epoch: int) -> Iterable[int]:
        if self.sampler is not None:
            return self.sampler
        count = len(self.dataset)
        return np.random.default_rng([self.seed, epoch]).permutation(count) if self.shuffle else np.arange(count)

    def _batch(self, indices: np.ndarray) -> Any:
        if self.collate_fn is None and isinstance(self.dataset, (np.ndarray, Tensor)):
            return _rows(self.dataset, indices)
        if self.collate_fn is None and hasattr(self.dataset, "batch"):
            return self.dataset.batch(indices)
        return (self.collate_fn or default_collate)([self.dataset[i] for i in indices.tolist()])


def _chunks(order: Iterable[int], size: int) -> Iterator[np.ndarray]:
    """Indices in pieces, int64 of shape (size,), the last one perhaps shorter."""
    if isinstance(order, np.ndarray):
        yield from (as_indices("DataLoader", "sampler", order[i:i + size]) for i in range(0, len(order), size))
        return
    items = iter(order)
    while piece := list(itertools.islice(items, size)):
        yield as_indices("DataLoader", "sampler", piece)


# ------------------------------------------------------------------------------------------- prefetching

def _prefetched(batches: Generator[Any, None, None], depth: int) -> Iterator[Any]:
    """The batches, made by a thread that is at most `depth` ahead.

    The thread waits only for a slot, and this generator frees one when it ends, in whatever way; the queue has no
    bound. So neither can wait for the other for ever.
    """
    ready: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
    slots, stopped = threading.Semaphore(depth), threading.Event()
    thread = threading.Thread(target=_work, args=(batches, ready, slots, stopped), name="minidl.data prefetch",
                              daemon=True)  # a program that ends within an epoch does not wait for it
    thread.start()
    try:
        while True:
            is_batch, value = ready.get()
            slots.release()
            if not is_batch:
                break
            yield value
            value = None  # the caller's batch is not kept while the next one is waited for
    finally:
        stopped.set()
        slots.release()
        if thread is not threading.current_thread() and not sys.is_finalizing():
            thread.join()
    if value is not None:
        try:
            raise value
        finally:
            del value  # it refers to this frame by its traceback


def _work(batches: Generator[Any, None, None], ready: SimpleQueue[tuple[bool, Any]], slots: threading.Semaphore,
          stopped: threading.Event) -> None:
    """Put (True, batch) for each batch, then (False, None or the error)."""
    try:
        while slots.acquire() and not stopped.is_set():
            ready.put((True, next(batches)))
    except StopIteration:
        ready.put((False, None))
    except BaseException as error:
        ready.put((False, error))
    finally:
        batches.close()


# ---------------------------------------------------------------------------------------------- collating

def default_collate(items: Sequence[Any]) -> Any:
    """Items stacked along a new first axis.

    Parameters
    ----------
    items : sequence, not empty
        Arrays, Tensors, lists or numbers of one shape are stacked. Of tuples and mappings each field is stacked by
        itself. Anything else stays a list, strings too.

    Returns
    -------
    array, or tuples and dicts of arrays

    Raises
    ------
    ShapeError
        When items that should be stacked differ in shape.

    Examples
    --------
    >>> from minidl.data import default_collate
    >>> default_collate([{"user": 3, "seen": [1, 2]}, {"user": 5, "seen": [4, 4]}])
    {'user': array([3, 5]), 'seen': array([[1, 2], [4, 4]])}
    """
    return _collate(items, _stack)


def pad_collate(items: Sequence[Any], padding_value: float = 0.0, padding_side: str = "right") -> Any:
    """As `default_collate`, but of each field with axes the first is padded; the field becomes (padded, lengths).

    For other options than the defaults: `collate_fn=functools.partial(pad_collate, padding_value=-1)`.

    Parameters
    ----------
    items : sequence, not empty
        Such as B tuples of a sequence (L_i, ...) and a number.
    padding_value, padding_side
        Of `pad_sequence`.

    Returns
    -------
    array, or tuples and dicts of arrays
        A field of sequences is a tuple of arrays of shapes (B, max L_i, ...) and, int64, (B,).

    Examples
    --------
    >>> import numpy as np
    >>> from minidl.data import pad_collate
    >>> (padded, lengths), target = pad_collate([([7, 8, 9], 0), ([5], 1)])
    >>> padded, lengths, target
    (array([[7, 8, 9], [5, 0, 0]]), array([3, 1]), array([0, 1]))
    """
    def pad(values: Sequence[Any]) -> Any:
        arrays = [_plain(v) for v in values]
        if not any(a.ndim for a in arrays):
            return _stack(arrays)
        padded = pad_sequence(arrays, True, padding_value, padding_side)
        return padded, np.array([len(a) for a in arrays], np.int64)

    return _collate(items, pad)


def _collate(items: Sequence[Any], stack: _Stack) -> Any:
    first = items[0]
    if isinstance(first, Mapping):
        return {key: _collate([item[key] for item in items], stack) for key in first}
    if isinstance(first, tuple):
        fields = [_collate(field, stack) for field in zip(*items, strict=True)]
        return type(first)(*fields) if hasattr(first, "_fields") else tuple(fields)
    if isinstance(first, (Tensor, np.ndarray, np.generic, bool, int, float, list)):
        return stack(items)
    return list(items)


def _stack(values: Sequence[Any]) -> Any:
    shapes = {np.shape(v.data if isinstance(v, Tensor) else v) for v in values}
    if len(shapes) > 1:
        raise ShapeError(f"default_collate: items have shapes {', '.join(map(str, sorted(shapes)))}; "
                         "sequences of different lengths need collate_fn=pad_collate")
    if isinstance(values[0], Tensor):
        return ops.stack(values)
    refuse_masked("default_collate: an item", list(values))
    return np.array(values)


def pad_sequence(sequences: Sequence[Any], batch_first: bool = False, padding_value: float = 0.0,
                 padding_side: str = "right") -> np.ndarray:
    """Sequences of different lengths in one array, as `torch.nn.utils.rnn.pad_sequence`.

    Parameters
    ----------
    sequences : sequence of B arrays, shape (L_i, ...)
        Not empty; all axes but the first are the same.
    batch_first : bool
        Whether the result is (B, T, ...) or (T, B, ...), T the largest length.
    padding_value : float
        What fills the rest.
    padding_side : {"right", "left"}
        Where the rest is.

    Returns
    -------
    array, shape (T, B, ...) or (B, T, ...), dtype of the sequences

    Raises
    ------
    ShapeError
        When a sequence has no length, or other axes differ.
    ValueError
        When there is no sequence, no such side, or integers cannot be padded with the value.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl.data import pad_sequence
    >>> pad_sequence([np.array([1, 2, 3]), np.array([4])], batch_first=True, padding_side="left")
    array([[1, 2, 3],
           [0, 0, 4]])
    """
    if padding_side not in ("right", "left"):
        raise ValueError(f"pad_sequence: padding_side={padding_side!r} is unknown; use 'right' or 'left'")
    arrays = [_plain(s) for s in sequences]
    if not arrays:
        raise ValueError("pad_sequence: there is no sequence")
    inner = {a.shape[1:] if a.ndim else None for a in arrays}
    if len(inner) > 1 or None in inner:
        raise ShapeError(f"pad_sequence: sequences have shapes {', '.join(sorted({str(a.shape) for a in arrays}))}; "
                         "they may differ in the length of the first axis only")
    dtype = np.result_type(*([a for a in arrays if a.size] or arrays))  # an empty list would make integers floats
    if dtype.kind in "iu" and not (padding_value == round(padding_value, 0)
                                   and np.iinfo(dtype).min <= padding_value <= np.iinfo(dtype).max):
        raise ValueError(f"pad_sequence: padding_value={padding_value} is not a number of the sequences' {dtype}")
    lengths = np.array([len(a) for a in arrays])
    longest = int(lengths.max())
    out = np.full((len(arrays), longest, *arrays[0].shape[1:]), padding_value, dtype)
    place = np.arange(longest)
    used = place < lengths[:, None] if padding_side == "right" else place >= longest - lengths[:, None]  # (B, T)
    out[used] = np.concatenate(arrays)
    return out if batch_first else np.ascontiguousarray(out.swapaxes(0, 1))


def _plain(value: Any) -> np.ndarray:
    """An array; Tensors that ask for no gradient too."""
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise GradientError("pad_sequence: it has no derivative, but a sequence is a Tensor that requires a "
                                "gradient; pad the indices or the constants that it is made of, or pass .detach()")
        return value.data
    return as_array(value)
