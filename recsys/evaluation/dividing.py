"""How each named protocol prepares data and divides it: `divide(data, seed, **options) -> list of Split`.

The keyword arguments behind the seed are the options of the protocol that has the function.
"""

from __future__ import annotations

from typing import Any

from recsys.checks import whole
from recsys.data import splits
from recsys.data.interactions import Interactions
from recsys.data.parts import Split
from recsys.data.sessions import split_sessions
from recsys.errors import DataError

__all__ = ["basket", "basket_repeats", "kfold", "last", "last_repeats", "moment", "ncf", "new_items", "new_users",
           "ninety_ten", "predefined", "ratio", "sessions"]


def kfold(data: Interactions, seed: int = 0, folds: int = 5) -> list[Split]:
    """Rows shuffled and cut into folds."""
    return splits.split_kfold(data.clean(duplicates="last"), folds, seed)


def ninety_ten(data: Interactions, seed: int = 0, folds: int = 5) -> list[Split]:
    """A random tenth of the rows, several times."""
    whole(1).require("protocol ratings-90-10", "folds", folds)
    data = data.clean(duplicates="last")
    return [splits.split_random(data, valid=0.09, test=0.1, by="global", seed=seed + fold) for fold in range(folds)]


def ratio(data: Interactions, seed: int = 0, min_value: float | None = None) -> list[Split]:
    """A random tenth of each user's events tests, a tenth validates."""
    return [splits.split_random(_events(data, min_value), valid=0.1, test=0.1, by="user", seed=seed)]


def last(data: Interactions, seed: int = 0, min_value: float | None = None, min_events: int = 3, valid: bool = True,
         shuffle_ties: bool = False) -> list[Split]:
    """Each user's last event."""
    data = _events(data, min_value)
    return [splits.split_last(data, valid=valid, min_events=min_events, shuffle_ties=shuffle_ties, seed=seed)]


def last_repeats(data: Interactions, seed: int = 0, min_value: float | None = None, min_events: int = 3,
                 valid: bool = True, shuffle_ties: bool = False) -> list[Split]:
    """Each user's last event, repeated pairs too."""
    return [splits.split_last(_rows(data, min_value), valid=valid, min_events=min_events, shuffle_ties=shuffle_ties,
                              seed=seed)]


def ncf(data: Interactions, seed: int = 0, min_value: float | None = None, min_events: int = 2) -> list[Split]:
    """Each user's last event, with nothing to validate on."""
    return last(data, seed, min_value, min_events=min_events, valid=False)


def basket(data: Interactions, seed: int = 0, min_value: float | None = None, min_baskets: int = 3,
           shuffle_ties: bool = False) -> list[Split]:
    """Each user's last basket."""
    return [splits.split_last(_events(data, min_value), min_events=min_baskets, baskets=True,
                              shuffle_ties=shuffle_ties, seed=seed)]


def basket_repeats(data: Interactions, seed: int = 0, min_value: float | None = None, min_baskets: int = 3
                   ) -> list[Split]:
    """Each user's last basket, repeated pairs too."""
    return [splits.split_last(_rows(data, min_value), min_events=min_baskets, baskets=True, seed=seed)]


def new_users(data: Interactions, seed: int = 98765, min_value: float | None = None, min_events: int = 5,
              n_valid: int | None = None, n_test: int | None = None, fold_in: float = 0.8) -> list[Split]:
    """Users that training never sees; a tenth of them where no number is given."""
    data = _events(data, min_value).k_core(users=min_events, items=0)
    tenth = data.n_users // 10
    return [splits.split_users(data, tenth if n_valid is None else n_valid, tenth if n_test is None else n_test,
                               fold_in, seed)]


def new_items(data: Interactions, seed: int = 0, min_value: float | None = None, valid: float = 0.1,
              test: float = 0.1) -> list[Split]:
    """Items that training never sees."""
    return [splits.split_items(_events(data, min_value), valid, test, seed)]


def moment(data: Interactions, min_value: float | None = None, cutoff: Any = None, fraction: float = 0.8,
           valid: float = 0.1) -> list[Split]:
    """One moment for all."""
    return [splits.split_time(_events(data, min_value), cutoff, fraction, valid)]


def sessions(data: Any, test_share: float = 0.1, valid_share: float = 0.1) -> list[Split]:
    """Later sessions, or those given apart: `(train, test)` or `(train, test, valid)`."""
    if isinstance(data, Split):
        raise DataError("protocol sessions-next: give whole sessions, as one set or as a tuple (train, test) or "
                        "(train, test, valid), not a Split, whose parts are beginnings of sessions already.")
    data, test, valid = (*((data,) if isinstance(data, Interactions) else data), None, None)[:3]
    return [split_sessions(data, test, valid, test_share=test_share, valid_share=valid_share)]


def predefined(data: Any) -> list[Split]:
    """Parts given apart, or a Split as it is."""
    if isinstance(data, Split):
        return [data]
    if isinstance(data, Interactions) or len(data) not in (2, 3):
        raise DataError("protocols for parts, such as predefined: give a Split, or a tuple (train, test) or "
                        "(train, test, valid).")
    return [splits.split_predefined(*data)]


def _events(data: Interactions, min_value: float | None) -> Interactions:
    """The first event of each pair among those of `min_value` or more."""
    kept = data if min_value is None else data.filter(min_value=min_value)
    return kept.clean(duplicates="first").compact()


def _rows(data: Interactions, min_value: float | None) -> Interactions:
    """All rows of `min_value` or more, repeated pairs too."""
    return (data if min_value is None else data.filter(min_value=min_value)).compact()
