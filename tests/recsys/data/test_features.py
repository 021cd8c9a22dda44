"""Features follow the rows they describe."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import CSR, Features
from recsys.data.features import label_matrix
from recsys.errors import DataError

labels = st.lists(st.lists(st.sampled_from(["war", "drama", "sci-fi"]), unique=True), max_size=6)


@given(labels, st.data())
def test_take_and_blanks(own, data):
    n = len(own)
    genres, names = label_matrix(own)
    features = Features(
        titles=np.array([f"t{i}" for i in range(n)], np.str_), genres=genres, genre_names=names,
        text=np.array([f"text {i}" for i in range(n)], np.str_),
        attributes={"age": np.arange(n), "price": np.arange(n) / 2, "image": np.ones((n, 2, 2), np.uint8),
                    "new": np.ones(n, np.bool_), "day": np.zeros(n, "M8[D]")})
    which = data.draw(st.lists(st.integers(-1, n - 1)))
    taken = features.take(np.array(which, np.int64))
    assert len(taken) == len(which)
    assert taken.titles.tolist() == [f"t{i}" if i >= 0 else "" for i in which]
    assert taken.attributes["age"].tolist() == [i if i >= 0 else -1 for i in which]
    np.testing.assert_array_equal(taken.attributes["price"], [i / 2 if i >= 0 else np.nan for i in which])
    np.testing.assert_array_equal(taken.attributes["image"].reshape(-1, 4).sum(axis=1), [4 * (i >= 0) for i in which])
    assert taken.attributes["new"].tolist() == [i >= 0 for i in which]
    assert np.isnat(taken.attributes["day"]).tolist() == [i < 0 for i in which]
    got = [sorted(names[taken.genres.row(r)[0]].tolist()) for r in range(len(which))]
    assert got == [sorted(own[i]) if i >= 0 else [] for i in which]


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match=r"same number of rows, got \{'price': 3, 'titles': 2\}"):
        Features(titles=np.array(["a", "b"]), attributes={"price": np.zeros(3)})
    with pytest.raises(DataError, match=r"need as many genre_names"):
        Features(genres=CSR.from_pairs([0], [0]))
    with pytest.raises(DataError, match=r"genres are an array of shape \(2, 1\); recsys.data.features.label"):
        Features(genres=np.ones((2, 1)), genre_names=["war"])
    for weight in (np.nan, np.inf):
        with pytest.raises(DataError, match=r"genres have weights that are not finite"):
            Features(genres=CSR.from_pairs([0], [0], [weight]), genre_names=["war"])
    with pytest.raises(DataError, match=r"indices must lie in -1\.\.0, got 0\.\.1"):
        Features(titles=np.array(["a"])).take(np.array([0, 1]))
    assert repr(Features(titles=np.array(["a"]))) == "Features(1 rows: titles)"
    assert len(Features()) == 0
