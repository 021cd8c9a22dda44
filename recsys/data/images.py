"""Item images and vectors: read from files, and which of them are there."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from recsys.data.features import Features
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.side import nothing_matches
from recsys.errors import DataError

__all__ = ["add_images", "given_rows", "read_images", "without_image"]

_BLOCK = 256  # rows that are copied at a time


def read_images(path: str | Path, ids: np.ndarray) -> np.ndarray:
    """Images of items out of an `.npz` file, black where it has none.

    Parameters
    ----------
    path : path
        It holds an array `images`, shape (m, H, W) or (m, H, W, C), and one other array, the ids of the m items.
    ids : array, shape (n,)

    Returns
    -------
    ndarray, shape (n, H, W) or (n, H, W, C)
        Of the dtype of `images`; what is not an unsigned integer is -1 or NaN instead of black.

    Raises
    ------
    DataError
        The file has no such arrays, its images are no numbers or not finite, or none of its ids is one of the data's.
    """
    return _matched(path, ids)[0]


def add_images(data: Interactions, path: str | Path, name: str = "poster") -> Interactions:
    """The data with the images of an `.npz` file, see `read_images`, as an attribute of its items, counted in `notes`.
    """
    features = data.item_features or Features()
    images, strange = _matched(path, data.items.ids)
    data = replace(data, item_features=replace(features, attributes={**features.attributes, name: images}))
    found = data.n_items - int(np.count_nonzero(without_image(data, name)))
    note = f"{path}: images of {found:,} of {data.n_items:,} items"
    note += f"; {strange:,} of its ids are not among them." if strange else "."
    return replace(data, notes=(*data.notes, note))


def _matched(path: str | Path, ids: np.ndarray) -> tuple[np.ndarray, int]:
    """Images of items, and how many others the file has images of."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile):  # a TypeError is an .npy file's
        raise DataError(f"{path}: not an .npz file of plain arrays; write one with numpy.savez.") from None
    others = [name for name in arrays if name != "images"]
    if "images" not in arrays or len(others) != 1:
        raise DataError(f"{path}: give two arrays, 'images' and the ids of their items; it holds "
                        f"{', '.join(arrays) or 'nothing'}.")
    images, items = arrays["images"], arrays[others[0]]
    if images.ndim not in (3, 4) or 0 in images.shape or items.shape != images.shape[:1]:
        raise DataError(f"{path}: 'images' has shape {images.shape} and {others[0]!r} {items.shape}; they must be "
                        f"(m, height, width) or (m, height, width, channels), and (m,).")
    if images.dtype.kind not in "biuf":
        raise DataError(f"{path}: 'images' are {images.dtype}, not real numbers; write pixels as numbers.")
    if (items.dtype.kind in "iu") != (ids.dtype.kind in "iu"):
        raise DataError(f"{path}: the ids {others[0]!r} are {items.dtype}, and those of the data {ids.dtype}; give ids "
                        f"of one kind.")
    given_rows(images, "images", str(path))
    try:
        rows = IdMap(items).encode(ids, "skip")
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    found = int(np.count_nonzero(rows >= 0))
    if not found:
        raise nothing_matches(str(path), items, ids, "items")
    return Features(attributes={"": images}).take(rows).attributes[""], len(items) - found


def without_image(data: Interactions, name: str = "poster") -> np.ndarray:
    """Which items have none in the attribute: bool (n_items,)."""
    attributes = {} if data.item_features is None else data.item_features.attributes
    if name not in attributes:
        raise DataError(f"without_image: the item features have no attribute {name!r} (they have "
                        f"{', '.join(attributes) or 'none'}); read images first, with add_images.")
    return ~given_rows(attributes[name], name, "without_image")


def given_rows(values: np.ndarray, name: str, who: str) -> np.ndarray:
    """Which rows of an attribute are there, not being all NaN, all -1 or all 0: (n, ...) -> bool (n,).

    Raises
    ------
    DataError
        A row is partly NaN or infinite.
    """
    given = np.empty(len(values), np.bool_)
    for start in range(0, len(values), _BLOCK):
        rows = values[start:start + _BLOCK].reshape(len(values[start:start + _BLOCK]), -1)
        finite = np.isfinite(rows)
        unknown = np.isnan(rows).all(axis=1)
        partly = np.flatnonzero(~(unknown | finite.all(axis=1)))
        if len(partly):
            raise DataError(f"{who}: the items' {name!r} has numbers that are not finite in row "
                            f"{start + partly[0]}; a missing one is all NaN.")
        given[start:start + _BLOCK] = ~(unknown | (rows == 0).all(axis=1) | (rows == -1).all(axis=1))
    return given
