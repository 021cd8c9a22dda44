"""Other public data sets, each read from the folder of its files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from recsys.data.csr import CSR
from recsys.data.features import Features, label_matrix
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.opening import read_text
from recsys.data.readers import read_ragged, read_table
from recsys.data.sources import Described, assemble, need, read, read_optional
from recsys.data.table import Table
from recsys.errors import DataError, ParameterError

__all__ = [
    "load_deskdrop",
    "load_diginetica",
    "load_gowalla",
    "load_goodbooks",
    "load_lastfm",
    "load_lastfm_lightgcn",
    "load_movielens_in_order",
    "load_msweb",
    "load_online_retail",
    "load_restaurants",
    "load_sequences",
    "load_trust",
]

DESKDROP_WEIGHTS = {"VIEW": 1.0, "LIKE": 2.0, "BOOKMARK": 2.5, "FOLLOW": 3.0, "COMMENT CREATED": 4.0}


def load_online_retail(folder: Path) -> Interactions:
    """Purchases: customers, stock codes, quantities, minutes; descriptions as titles, mean price, country.

    Kept are lines with a customer, without cancellations (`C...`), with quantity and unit price above 0 and a
    stock code that begins with five digits (the others are postage, fees, samples).
    """
    table = read(folder, "onlineretail.csv", header=True)
    quantity, price = table.floats("Quantity"), table.floats("UnitPrice")
    code = table.strings("StockCode")
    kept = (table.strings("CustomerID") != "") & (quantity > 0) & (price > 0)
    kept &= ~np.char.startswith(table.strings("InvoiceNo"), "C")
    kept &= np.char.isdigit(code.astype("U5")) & (np.char.str_len(code) >= 5)
    table, quantity, price, code = table.take(kept), quantity[kept], price[kept], code[kept]
    ids, first, number = np.unique(code, return_index=True, return_inverse=True)
    features = Features(table.take(first).texts("Description"),
                        attributes={"price": np.bincount(number, price) / np.bincount(number)})
    customers, first = np.unique(table.ids("CustomerID"), return_index=True)
    countries = Features(attributes={"country": table.take(first).strings("Country")})
    return assemble("online-retail", table.ids("CustomerID"), code, quantity, table.times("InvoiceDate"),
                    about_items=Described(ids, features), about_users=Described(customers, countries))


def load_msweb(folder: Path, part: str = "train", compact: bool = True) -> Interactions:
    """Areas of a web site that its visitors saw in a week (implicit); `part` is "train" or "test".

    A line is `A,id,1,"title","/url"` (an area), `C,"user",user` (a visitor) or `V,id,1` (that visitor's visit).
    """
    path = need(folder, f"anonymous-msweb.{_part(part, {'train': 'data', 'test': 'test'})}")
    lines = list(csv.reader(io.StringIO(read_text(path, ("latin-1",)).decode(), newline="")))
    areas = [line for line in lines if line[:1] == ["A"]]
    titles, urls = (np.array([line[column] for line in areas]) for column in (3, 4))
    about = Described(np.array([int(line[1]) for line in areas]), Features(titles, attributes={"url": urls}))
    visitor, pairs = -1, []
    for line in lines:
        if line[:1] == ["C"]:
            visitor = int(line[2])
        elif line[:1] == ["V"]:
            pairs.append((visitor, int(line[1])))
    users, items = np.array(pairs).T
    return assemble(f"msweb {part}", users, items, about_items=about, compact=compact)


def load_restaurants(folder: Path, compact: bool = True) -> Interactions:
    """Ratings 0, 1, 2 of restaurants: names, cuisines, price; guests' cuisines, budget, habits.

    Of the guests' profiles only what bears on choosing a restaurant is read; religion, weight and the like are not.
    """
    ratings = read(folder, "rating_final.csv", header=True)
    places = read_optional(folder, "geoplaces2.csv", header=True, encodings=("utf-8", "latin-1"), delimiter=";")
    profile = read_optional(folder, "userprofile.csv", header=True)
    about_items = about_users = None
    if places is not None:
        ids = places.ids("placeID")
        genres, names = _labels(read_optional(folder, "chefmozcuisine.csv", header=True), "placeID", ids)
        attributes = {name: places.strings(name) for name in ("city", "price", "alcohol", "smoking_area", "dress_code")}
        about_items = Described(ids, Features(places.texts("name"), genres, names, attributes=attributes))
    if profile is not None:
        ids = profile.ids("userID")
        genres, names = _labels(read_optional(folder, "usercuisine.csv", header=True), "userID", ids)
        chosen = ("smoker", "drink_level", "dress_preference", "ambience", "transport", "budget")
        about_users = Described(ids, Features(None, genres, names, attributes={n: profile.strings(n) for n in chosen}))
    return assemble("restaurant-consumer", ratings.ids("userID"), ratings.ids("placeID"), ratings.values("rating"),
                    about_users=about_users, about_items=about_items, compact=compact)


def load_goodbooks(folder: Path, compact: bool = True) -> Interactions:
    """Ratings 1 to 5 of books, with titles, authors (as text), years (NaN: unknown), languages.

    This release repeats 1,644 rows and rates 2,278 pairs more than once: `clean()` before use.
    """
    ratings = read(folder, "ratings.csv", header=True)
    books = read_optional(folder, "books.csv", header=True)
    about = None
    if books is not None:
        year = np.array([float(y or "nan") for y in books.strings("original_publication_year").tolist()])
        about = Described(books.ids("id"), Features(
            books.texts("title"), text=books.texts("authors"),
            attributes={"year": year, "language": books.strings("language_code")}))
    return assemble("goodbooks-10k-v1", ratings.ids("user_id"), ratings.ids("book_id"), ratings.values("rating"),
                    about_items=about, compact=compact)


def load_deskdrop(folder: Path, weights: Mapping[str, float] = DESKDROP_WEIGHTS) -> Interactions:
    """Reading on a company's platform, one row an event, its kind as a weight.

    Parameters
    ----------
    folder : path
    weights : mapping of str to float
        The value of each kind of event: by default 1 to view, 2 to like, 2.5 to bookmark, 3 to follow, 4 to
        comment. Kinds that are left out are dropped. `clean("sum")` adds a pair's events up.
    """
    table = read(folder, "users_interactions.csv", header=True)
    kinds, number = np.unique(table.strings("eventType"), return_inverse=True)
    weight = np.array([weights.get(kind, np.nan) for kind in kinds.tolist()], np.float32)[number]
    kept = ~np.isnan(weight)
    table = table.take(kept)
    return assemble("deskdrop", table.ids("personId"), table.ids("contentId"), weight[kept], table.times("timestamp"))


def load_trust(folder: Path, compact: bool = True) -> Interactions:
    """The layout of FilmTrust and Ciao: `ratings.txt` (user item rating) and `trust.txt` or `trusts.txt` (who whom)."""
    ratings = read(folder, "ratings.txt", header=False)
    trust = read_optional(folder, "trust.txt", "trusts.txt", header=False)
    links = None if trust is None else (trust.ids(0), trust.ids(1))
    return assemble(folder.name, ratings.ids(0), ratings.ids(1), ratings.values(2), links=links, compact=compact)


def load_lastfm(folder: Path, compact: bool = True) -> Interactions:
    """hetrec2011-lastfm-2k: plays of artists, friends, artists' names; genres are tags, weighted by their uses."""
    lenient = {"header": True, "delimiter": "\t", "errors": "replace", "quoted": False}
    plays = read(folder, "user_artists.dat", **lenient)
    friends = read_optional(folder, "user_friends.dat", **lenient)
    artists = read_optional(folder, "artists.dat", **lenient)
    used = read_optional(folder, "user_taggedartists.dat", **lenient)
    tags = read_optional(folder, "tags.dat", **lenient)
    about = None
    if artists is not None:
        ids = artists.ids("id")
        genres, names = (None, None) if used is None or tags is None else _tag_counts(ids, used, tags)
        about = Described(ids, Features(artists.texts("name"), genres, names))
    links = None if friends is None else (friends.ids("userID"), friends.ids("friendID"))
    return assemble("hetrec2011-lastfm-2k", plays.ids("userID"), plays.ids("artistID"), plays.values("weight"),
                    about_items=about, links=links, compact=compact)


def load_lastfm_lightgcn(folder: Path, part: str = "train", compact: bool = True) -> Interactions:
    """LightGCN's division of Last.fm: user item count, with friends; `part` is "train" or "test"."""
    table = read(folder, f"{_part(part, {'train': 'data1', 'test': 'test1'})}.txt", header=False)
    friends = read_optional(folder, "trustnetwork.txt", header=False)
    links = None if friends is None else (friends.ids(0), friends.ids(1))
    return assemble(f"lastfm-lightgcn {part}", table.ids(0), table.ids(1), table.values(2), links=links,
                    compact=compact)


def load_gowalla(folder: Path, part: str = "train") -> Interactions:
    """LightGCN's format: a line a user, the user's id and then the items; `part` is "train", "valid" or "test"."""
    words = read_ragged(need(folder, f"{_part(part, {p: p for p in ('train', 'valid', 'test')})}.txt"))
    ids = words.ids(0)
    first = np.diff(words.lines, prepend=0) > 0
    users = np.repeat(ids[first], np.diff(np.flatnonzero(np.append(first, True))))
    return Interactions.from_arrays(users[~first], ids[~first], name=f"{folder.name} {part}")


def load_sequences(folder: Path) -> Interactions:
    """SASRec's format: `user item` lines, a user's in time order; the time is the place in the user's sequence."""
    paths = sorted(path for path in folder.iterdir() if path.name.endswith((".txt", ".txt.gz")))
    if len(paths) != 1:
        raise DataError(f"{folder}: expected one .txt or .txt.gz file, found {[path.name for path in paths]}.")
    table = read_table(paths[0], header=False)
    users = table.ids(0)
    return assemble(folder.name, users, table.ids(1), times=_places(users))


def load_movielens_in_order(folder: Path) -> Interactions:
    """MovieLens 1M as SASRec's users have it, in time order: films of 5 ratings or more, with MovieLens' own ids."""
    table = read(folder, "ml-1m.txt", header=False)
    users, items = (_renamed(table.ids(column), read(folder, f"sas_to_original_{kind}.txt", header=False))
                    for column, kind in enumerate(("users", "items")))
    return assemble("ml-1m-sasrec", users, items, times=_places(users))


def _renamed(ids: np.ndarray, names: Table) -> np.ndarray:
    """Ids as a table has them in its second column."""
    order = np.argsort(names.ids(0))
    renamed: np.ndarray = names.ids(1)[order][np.searchsorted(names.ids(0)[order], ids)]
    return renamed


def load_diginetica(folder: Path, part: str = "train") -> Interactions:
    """Anonymous sessions as users, clicks in order; `part` is "train" or "test".

    A session's id is the number of its line, from 1; one million is added in the test part, so that the parts
    do not share sessions. The time is the place in the session.
    """
    words = read_ragged(need(folder, f"sessions_{_part(part, {'train': 'train', 'test': 'test'})}.txt"))
    sessions = words.lines + (1_000_000 if part == "test" else 0)
    return Interactions.from_arrays(sessions, words.ids(0), times=_places(sessions), name=f"diginetica {part}")


def _part(part: str, names: Mapping[str, str]) -> str:
    if part not in names:
        raise ParameterError(f"part must be one of {list(names)}, got {part!r}.")
    return names[part]


def _places(users: np.ndarray) -> np.ndarray:
    """Each row's place among its user's rows, from 0."""
    order = np.argsort(users, kind="stable")
    first = np.flatnonzero(np.diff(users[order], prepend=users[order][:1] - 1))
    place = np.empty(len(users), np.int64)
    place[order] = np.arange(len(users)) - np.repeat(first, np.diff(np.append(first, len(users))))
    return place


def _labels(table: Table | None, key: str, ids: np.ndarray) -> tuple[CSR | None, np.ndarray | None]:
    """Labels of `ids` from a table of (id, label) rows."""
    if table is None:
        return None, None
    own: list[list[str]] = [[] for _ in ids]
    for number, label in zip(IdMap(ids).encode(table.ids(key), "skip").tolist(), table.texts(1).tolist(), strict=True):
        if number >= 0:
            own[number].append(label)
    return label_matrix(own)


def _tag_counts(artists: np.ndarray, used: Table, tags: Table) -> tuple[CSR, np.ndarray]:
    """How often users gave each tag to each artist, artists x tags."""
    row = IdMap(artists).encode(used.ids("artistID"), "skip")
    col = IdMap(tags.ids("tagID")).encode(used.ids("tagID"), "skip")
    cell = (row * np.int64(len(tags)) + col)[(row >= 0) & (col >= 0)]
    cells, uses = np.unique(cell, return_counts=True)
    rows, cols = np.divmod(cells, len(tags))
    return CSR.from_pairs(rows, cols, uses, (len(artists), len(tags))), tags.texts("tagValue")
