"""Ways to divide interactions into training, validation and test parts, each with a card that says how.

All parts share the id maps of the data that was divided: nothing is renumbered.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from recsys.checks import integer, number
from recsys.data import given
from recsys.data.interactions import Interactions
from recsys.data.parts import ORDERS, Split, origin, sizes
from recsys.errors import DataError, ParameterError
from recsys.kernels import sparse

__all__ = [
    "split_items",
    "split_kfold",
    "split_last",
    "split_predefined",
    "split_random",
    "split_time",
    "split_users",
]


def split_random(
    data: Interactions, valid: float = 0.1, test: float = 0.1, by: str = "user", seed: int = 0
) -> Split:
    """Rows at random.

    Parameters
    ----------
    data : Interactions
    valid, test : float
        Shares of the rows, at least 0 and together below 1.
    by : {"user", "global"}
        Divide each user's rows, or all rows at once. Of `n` rows, `test` and then `valid` take
        `floor(share * n)`, but at least one when the share is positive and a row remains for training
        (as RecBole's 8:1:1 "ratio split" does); training takes the rest.
    seed : int
        Of NumPy's PCG64 generator.

    Returns
    -------
    Split
        Parts keep the order of the rows; `valid` is None when its share is 0.

    Examples
    --------
    >>> data = Interactions.from_arrays([1] * 10 + [2] * 5, range(15), name="demo")
    >>> split_random(data)
    Split(random 0.8:0.1:0.1 by user: 11 train, 2 valid, 2 test)
    """
    data = given.interactions("split_random", data)
    _check_shares("split_random", valid, test)
    if by not in ("user", "global"):
        raise ParameterError(f"split_random: by must be 'user' or 'global', got {by!r}.")
    _not_empty(data, "split_random")
    group = data.user if by == "user" else np.zeros_like(data.user)
    shuffled = np.random.default_rng(seed).permutation(len(data))
    place, size = _places(group, shuffled)
    n_test = _share(size, test)
    n_valid = np.minimum(_share(size, valid), np.maximum(size - n_test - 1, 0))
    part = np.where(place < n_test, 2, np.where(place < n_test + n_valid, 1, 0))
    card = {"split": f"random {1 - valid - test:g}:{valid:g}:{test:g} by {by}", "seed": seed}
    return _divide(data, part, card, keep_valid=valid > 0)


def split_kfold(data: Interactions, k: int = 5, seed: int = 0) -> list[Split]:
    """Every row in exactly one of `k` test sets.

    The folds are those of Surprise's `KFold(k, shuffle=True, random_state=seed)`: rows in their order are
    shuffled by NumPy's legacy `RandomState(seed)` and cut into `k` runs, the first `n % k` one longer.

    Parameters
    ----------
    data : Interactions
    k : int
        Number of folds, 2 or more.
    seed : int

    Returns
    -------
    list of Split
        Without validation parts; the rows of a test part are in shuffled order, as Surprise's are.
    """
    data = given.interactions("split_kfold", data)
    integer().require("split_kfold", "k", k)
    if not 2 <= k <= len(data):
        raise ParameterError(f"split_kfold: k must lie between 2 and the number of rows ({len(data)}), got {k}.")
    order = np.arange(len(data))
    np.random.RandomState(seed).shuffle(order)
    folds = np.array_split(order, k)
    card_of_data = origin(data)
    splits = []
    for i, fold in enumerate(folds):
        train, test = data.take(np.concatenate(folds[:i] + folds[i + 1 :])), data.take(fold)
        card = card_of_data | {"split": f"fold {i + 1} of {k}, rows shuffled (legacy generator)", "seed": seed}
        splits.append(Split(train, None, test, card | {"sizes": sizes(train, None, test)}))
    return splits


def split_last(
    data: Interactions,
    n: int = 1,
    valid: bool = True,
    min_events: int = 3,
    baskets: bool = False,
    shuffle_ties: bool = False,
    seed: int = 0,
) -> Split:
    """Each user's last rows in time for testing, the ones before them for validation, the rest for training.

    Users with fewer than `min_events` rows are kept for training alone. When a pair may occur more than
    once, decide before: `data.clean(duplicates="first")`.

    Parameters
    ----------
    data : Interactions
        With times, or with rows in time order.
    n : int
        Rows a user gives to the test part, and to the validation part.
    valid : bool
        Whether to make a validation part. The history of the test part is then training and validation
        rows together.
    min_events : int
        Rows a user must have to be tested, more than the rows that are taken away.
    baskets : bool
        `n` and `min_events` count baskets instead of rows: what a user has taken at one time.
    shuffle_ties : bool
        Equal times are common (films rated in one sitting). They stay in row order, or all rows are put in random
        order by `seed`, those of training too, which shows how much a result owes to the order of the file.
    seed : int

    Returns
    -------
    Split

    Examples
    --------
    >>> data = Interactions.from_arrays(["ann"] * 4, list("abcd"), times=[3, 1, 2, 4])
    >>> split = split_last(data)
    >>> split.test.items.decode(split.test.item), split.valid.items.decode(split.valid.item)
    (array(['d'], dtype='<U1'), array(['a'], dtype='<U1'))
    """
    data = given.interactions("split_last", data)
    for what, value in (("n", n), ("min_events", min_events)):
        integer().require("split_last", what, value)
    taken = n * (2 if valid else 1)
    if n < 1 or min_events <= taken:
        raise ParameterError(f"split_last: n must be at least 1 and min_events above {taken}; got {n}, {min_events}.")
    _not_empty(data, "split_last")
    if baskets and data.time is None:
        raise DataError("split_last: the interactions have no times, which baskets are told by; leave out baskets.")
    shuffle_ties = shuffle_ties and data.time is not None
    if shuffle_ties:
        data = data.take(np.random.default_rng(seed).permutation(len(data)))
    place, size = _basket_places(data) if baskets else _places(data.user, _time_order(data))
    from_end = np.where(size >= min_events, size - 1 - place, taken)
    part = np.where(from_end < n, 2, np.where(from_end < taken, 1, 0))
    ties = "shuffled" if shuffle_ties else "row order" if data.time is not None else "no times: row order"
    card = {"split": f"last {n} {'baskets ' if baskets else ''}of each user", "min_events": min_events, "ties": ties}
    return _divide(data, part, card | ({"seed": seed} if shuffle_ties else {}), keep_valid=valid, grow_history=valid)


def split_time(data: Interactions, cutoff: Any = None, fraction: float = 0.8, valid: float = 0.0) -> Split:
    """One moment for all: rows before it train, rows from it on test.

    Parameters
    ----------
    data : Interactions
        With times.
    cutoff : int or datetime, optional
        The first moment of the test part.
    fraction : float
        Without `cutoff`: the moment by which this share of the rows has happened. Rows of one moment stay
        together, so the share is reached or exceeded.
    valid : float
        Share of the training rows, the latest ones, to validate on.

    Returns
    -------
    Split
        Test users may be new; the test history is everything before the cutoff.
    """
    data = given.interactions("split_time", data)
    if data.time is None:
        raise DataError("split_time: the interactions have no times; use split_random or split_last.")
    number().require("split_time", "fraction", fraction)
    number().require("split_time", "valid", valid)
    if not 0 < fraction < 1 or not 0 <= valid < 1:
        raise ParameterError(f"split_time: need 0 < fraction < 1 and 0 <= valid < 1; got {fraction} and {valid}.")
    _not_empty(data, "split_time")
    moment = _moment(data.time, fraction) if cutoff is None else _as_seconds(cutoff)
    before = data.time[data.time < moment]
    if len(before) in (0, len(data)):
        raise DataError(f"split_time: all rows lie {'before' if len(before) else 'after'} the cutoff {moment}; "
                        f"times run from {data.time.min()} to {data.time.max()}.")
    inner = _moment(before, 1 - valid) if valid else moment
    part = np.where(data.time >= moment, 2, np.where(data.time >= inner, 1, 0))
    card = {"split": "one moment for all users", "cutoff": int(moment)}
    return _divide(data, part, card, keep_valid=valid > 0, grow_history=valid > 0)


def split_users(
    data: Interactions, n_valid: int, n_test: int, fold_in: float = 0.8, seed: int = 98765
) -> Split:
    """Strong generalisation: users that training never sees, each shown a part of their rows.

    The protocol of Mult-VAE (Liang et al. 2018): active users are permuted; the last `n_test` are tested, the
    `n_valid` before them validate; items that no training user has are left out of the held-out rows; a random
    `1 - fold_in` of each held-out user's rows are targets, the others history.

    Parameters
    ----------
    data : Interactions
    n_valid, n_test : int
        Numbers of held-out users.
    fold_in : float
        Share of a held-out user's rows that is shown; of `n` rows, `floor((1 - fold_in) * n)` are targets when
        there are 5 or more, none otherwise (the authors' rule).
    seed : int
        Of NumPy's legacy generator, seeded again before the targets of each part are drawn, as the authors do.

    Returns
    -------
    Split
        `valid` and `test` hold the targets, `valid_history` and `test_history` what is shown.
    """
    data = given.interactions("split_users", data)
    for what, value in (("n_valid", n_valid), ("n_test", n_test)):
        integer().require("split_users", what, value)
    number().require("split_users", "fold_in", fold_in)
    active = np.flatnonzero(np.bincount(data.user, minlength=data.n_users))
    if n_valid < 0 or n_test < 1 or n_valid + n_test >= len(active):
        raise ParameterError(f"split_users: {n_valid} + {n_test} held-out users of {len(active)} leave none to train.")
    if not 0 < fold_in < 1:
        raise ParameterError(f"split_users: fold_in must lie between 0 and 1, got {fold_in}.")
    permuted = active[np.random.RandomState(seed).permutation(len(active))]
    role = np.full(data.n_users, 0, np.int8)
    role[permuted[len(permuted) - n_test - n_valid :]] = 1
    role[permuted[len(permuted) - n_test :]] = 2
    train = data.take(role[data.user] == 0)
    trained = np.zeros(data.n_items, np.bool_)
    trained[train.item] = True
    parts: list[Interactions] = []
    for which in (1, 2):
        held_out = data.take((role[data.user] == which) & trained[data.item])
        target = _targets(held_out, 1 - fold_in, np.random.RandomState(seed))
        parts += [held_out.take(~target), held_out.take(target)]
    valid_history, valid, test_history, test = parts
    card = origin(data) | {
        "split": f"strong generalisation: {n_valid} + {n_test} users held out, {fold_in:g} of their rows shown",
        "seed": seed, "dropped": len(data) - len(train) - sum(map(len, parts)),
        "sizes": sizes(train, valid if n_valid else None, test),
    }
    if not n_valid:
        return Split(train, None, test, card, None, test_history)
    whole = data.take((role[data.user] == 0) | ((role[data.user] == 1) & trained[data.item]))
    return Split(train, valid, test, card, valid_history, test_history, whole)


def split_items(data: Interactions, valid: float = 0.1, test: float = 0.1, seed: int = 0) -> Split:
    """Items that training never sees: all rows of some items are held out.

    Parameters
    ----------
    data : Interactions
    valid, test : float
        Shares of the items with rows, at least 0 and together below 1; at least one item tests, and one validates if
        that share is positive.
    seed : int
        Of NumPy's PCG64 generator.

    Returns
    -------
    Split

    Examples
    --------
    >>> data = Interactions.from_arrays([1] * 10 + [2] * 5, [*range(10), *range(5)], name="demo")
    >>> split_items(data, valid=0, test=0.2)
    Split(random items, 0:0.2 held out: 12 train, 0 valid, 3 test)
    """
    data = given.interactions("split_items", data)
    _check_shares("split_items", valid, test)
    _not_empty(data, "split_items")
    active = np.flatnonzero(np.bincount(data.item, minlength=data.n_items))
    n_test, n_valid = (int(_share(np.array(len(active)), share)) for share in (test, valid))
    if not 0 < n_test < len(active) - n_valid:
        raise ParameterError(f"split_items: {n_valid} + {n_test} held-out items of {len(active)} leave none to train.")
    permuted = np.random.default_rng(seed).permutation(active)
    part = np.zeros(data.n_items, np.int8)
    part[permuted[:n_test]] = 2
    part[permuted[n_test:n_test + n_valid]] = 1
    card = {"split": f"random items, {valid:g}:{test:g} held out", "seed": seed}
    return _divide(data, part[data.item], card, keep_valid=valid > 0)


def split_predefined(train: Interactions, test: Interactions, valid: Interactions | None = None) -> Split:
    """Parts that somebody else has made; ids of all parts are joined, those of `train` first.

    Parameters
    ----------
    train, test, valid : Interactions
        They may share rows with nobody's help. The card states how many pairs of the others training has too, and
        how many of their users and items have no training event.

    Returns
    -------
    Split

    Examples
    --------
    >>> train, test = Interactions.from_arrays([1, 1], ["a", "b"]), Interactions.from_arrays([1, 2], ["b", "c"])
    >>> card = split_predefined(train, test).card
    >>> card["test pairs in train"], card["only in test"]
    (1, '1 users, 1 items')
    """
    parts = {name: given.interactions("split_predefined", part, name) for name, part in
             (("train", train), ("test", test), ("valid", valid)) if part is not None or name != "valid"}
    users, items = parts["train"].users, parts["train"].items
    for name, part in parts.items():
        try:
            users, items = users.add(part.users.ids), items.add(part.items.ids)
        except DataError as error:
            raise DataError(f"split_predefined: the ids of {name} do not join those before: {error}") from None
    joined = {name: part.reindex(users, items) for name, part in parts.items()}
    train, test, valid = joined["train"], joined["test"], joined.get("valid")
    card = origin(train) | {"split": "predefined", "order": ORDERS[train.time is not None]}
    for name, held in {"validation": valid, "test": test}.items():
        card |= {} if held is None else _strangers(train, held, name)
    return Split(train, valid, test, card | {"sizes": sizes(train, valid, test)})


def _strangers(train: Interactions, part: Interactions, name: str) -> dict[str, Any]:
    """What a card says of a part that was given apart: pairs that training has too, users and items that it has not."""
    pairs, known = part.csr.unique().keys, train.csr.unique().keys
    counts = [int((np.bincount(column, minlength=n)[np.unique(wanted)] == 0).sum()) for column, n, wanted in (
        (train.user, train.n_users, part.user), (train.item, train.n_items, part.item))]
    return {f"{name} pairs in train": int(np.isin(pairs, known, assume_unique=True).sum()),
            f"only in {name}": f"{counts[0]:,} users, {counts[1]:,} items"}


def _divide(
    data: Interactions, part: np.ndarray, card: dict[str, Any], keep_valid: bool, grow_history: bool = False
) -> Split:
    """A split from the part of each row: 0 train, 1 valid, 2 test."""
    train, test = data.take(part == 0), data.take(part == 2)
    valid = data.take(part == 1) if keep_valid else None
    card = origin(data) | card | {"sizes": sizes(train, valid, test)}
    return Split(train, valid, test, card, None, data.take(part < 2) if grow_history else None)


def _places(group: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row its place within its group when rows stand in `order`, and the group's size."""
    indptr, by_group = sparse.group(np.ascontiguousarray(group[order]), int(group.max()) + 1)
    sizes = np.diff(indptr)
    place = np.empty(len(group), np.int64)
    place[order[by_group]] = np.arange(len(group)) - np.repeat(indptr[:-1], sizes)
    return place, sizes[group]


def _check_shares(who: str, valid: float, test: float) -> None:
    number().require(who, "valid", valid)
    number().require(who, "test", test)
    if valid < 0 or test <= 0 or valid + test >= 1:
        raise ParameterError(f"{who}: need valid >= 0, test > 0, valid + test < 1; got {valid} and {test}.")


def _share(size: np.ndarray, share: float) -> np.ndarray:
    """Rows of a group of `size` that a part of `share` takes."""
    at_least = (size > 1) if share > 0 else 0
    return np.maximum(np.floor(share * size + 1e-9).astype(np.int64), at_least)


def _basket_places(data: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """For each row the place of its basket among its user's, and their number."""
    stamp = np.stack([data.user.astype(np.int64), np.asarray(data.time)])
    (user, _), basket = np.unique(stamp, axis=1, return_inverse=True)  # sorted by user, then by time
    place, size = _places(user, np.arange(len(user)))
    return place[basket], size[basket]


def _time_order(data: Interactions) -> np.ndarray:
    return np.arange(len(data)) if data.time is None else np.argsort(data.time, kind="stable")


def _moment(time: np.ndarray, fraction: float) -> int:
    """The moment after the one in which `fraction` of the rows is reached."""
    ordered = np.sort(time)
    return int(ordered[min(int(np.ceil(fraction * len(ordered))), len(ordered)) - 1]) + 1


def _as_seconds(moment: Any) -> int:
    if isinstance(moment, int | np.integer):
        return int(moment)
    try:
        return int(np.datetime64(moment, "s").astype(np.int64))
    except (ValueError, TypeError):
        raise ParameterError(f"split_time: cutoff must be whole seconds or a date such as '2020-01-31', got {moment!r}."
                             ) from None


def _targets(data: Interactions, share: float, random: np.random.RandomState) -> np.ndarray:
    """Mask of the rows to be predicted: `floor(share * n)` of each user with 5 rows or more, drawn user by user."""
    mask = np.zeros(len(data), np.bool_)
    indptr, order = sparse.group(data.user, data.n_users)
    for begin, end in pairwise(indptr):
        n = int(end - begin)
        if n >= 5:
            chosen = random.choice(n, size=int(share * n + 1e-9), replace=False)
            mask[order[begin + chosen]] = True
    return mask


def _not_empty(data: Interactions, name: str) -> None:
    if not len(data):
        raise DataError(f"{name}: there are no interactions to divide.")
