"""Images of items out of a file: matched, counted, and refused in a sentence that names the file."""

import numpy as np
import pytest

from recsys.data import Interactions
from recsys.data.images import add_images, without_image
from recsys.errors import DataError

DATA = Interactions.from_arrays(["ann", "ann", "bo"], ["tea", "jam", "bun"])
WHITE = np.ones((2, 4, 4), np.float32)


def test_images_are_matched_by_id_and_counted(tmp_path):
    np.savez(tmp_path / "a.npz", images=WHITE, ids=["jam", "oil"])
    data = add_images(DATA, tmp_path / "a.npz")
    assert without_image(data).tolist() == [id != "jam" for id in data.items.ids.tolist()]
    assert data.notes == (f"{tmp_path / 'a.npz'}: images of 1 of 3 items; 1 of its ids are not among them.",)


@pytest.mark.parametrize(("images", "ids", "says"), [
    (WHITE, ["oil", "ale"], r"none of its ids \('ale', 'oil', ...\) is one of the data's items \("),
    (WHITE[:0], np.zeros(0, "<U3"), r"'images' has shape \(0, 4, 4\)"),
    (WHITE, ["tea", "tea"], "each id must occur once; 'tea' occur more often"),
    (WHITE, [0.5, 1.5], ""),
    (np.full((2, 4, 4), "x"), ["tea", "jam"], "'images' are <U1, not real numbers"),
    (WHITE + 0j, ["tea", "jam"], "'images' are complex64, not real numbers"),
    (WHITE.astype("M8[s]"), ["tea", "jam"], "'images' are datetime64"),
    (np.ones((2, 0, 4)), ["tea", "jam"], r"'images' has shape \(2, 0, 4\)"),
    (np.ones((2, 4, 4, 0)), ["tea", "jam"], r"'images' has shape \(2, 4, 4, 0\)"),
    (np.array([np.nan, np.inf])[:, None, None] * WHITE, ["tea", "jam"],
     "the items' 'images' has numbers that are not finite in row 1; a missing one is all NaN")])
def test_what_is_no_image_of_an_item_is_said_of_the_file(images, ids, says, tmp_path):
    np.savez(tmp_path / "a.npz", images=images, ids=ids)
    with pytest.raises(DataError, match=rf"a\.npz: {says}|a\.npz: .*{says}"):
        add_images(DATA, tmp_path / "a.npz")
