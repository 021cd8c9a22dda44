"""Images and vectors of items: what is missing, what is refused, how they are scaled and made smaller."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data import Features
from recsys.errors import DataError
from recsys.models.content.image_reader import ImageReader, VectorReader


def features(values, name="poster") -> Features:
    return Features(attributes={name: values})


def learn(values, known=None, side=64) -> tuple:
    known = np.ones(len(values), bool) if known is None else known
    reader = ImageReader.learn(features(values), "poster", known, "Model.fit", side=side)
    return reader, *reader.read(features(values), "Model.fit")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3)])
def test_any_dtype_with_and_without_channels(dtype, shape):
    images = (1 + np.random.default_rng(0).integers(0, 100, (7, *shape))).astype(dtype)
    reader, rows, given = learn(images)
    assert given.all()
    ready = reader.prepare(rows)
    channels = shape[2] if len(shape) == 3 else 1
    assert ready.shape == (7, channels, 5, 4)
    assert ready.dtype == np.float32
    np.testing.assert_allclose(ready.mean(axis=(0, 2, 3)), 0, atol=1e-3)
    np.testing.assert_allclose(ready.std(axis=(0, 2, 3)), 1, atol=1e-3)


def test_the_channels_are_those_of_the_items_that_are_known():
    images = np.ones((4, 2, 2), np.float32) * np.array([1, 3, 100, 0], np.float32)[:, None, None]
    reader, _, given = learn(images, np.array([True, True, False, True]))
    assert given.tolist() == [True, True, True, False]
    assert (reader.mean.tolist(), reader.std.tolist()) == ([2], [1])


def test_missing_images():
    whole = np.full((2, 2), 3.0)
    images = np.stack([whole, whole * np.nan, whole * 0, whole * 0 - 1, np.eye(2)])
    assert learn(images)[2].tolist() == [True, False, False, False, True]
    assert learn(images[2:].astype(np.int8))[2].tolist() == [False, False, True]
    taken = Features(attributes={"poster": np.full((1, 2, 2), 9, np.uint8)}).take(np.array([0, -1]))
    assert ImageReader.learn(taken, "poster", np.ones(2, bool), "M", side=8).read(taken, "M")[1].sum() == 1


def test_many_images_go_by_blocks():
    images = np.random.default_rng(0).normal(3, 2, (1000, 3, 3))
    images[[5, 700]] = np.nan
    reader, _, given = learn(images)
    assert np.flatnonzero(~given).tolist() == [5, 700]
    np.testing.assert_allclose(reader.mean, images[given].mean(), rtol=1e-6)
    np.testing.assert_allclose(reader.std, images[given].std(), rtol=1e-6)


def test_large_images_become_means_of_squares():
    images = np.arange(1, 2 * 7 * 4 + 1, dtype=np.uint8).reshape(2, 7, 4)
    _, rows, _ = learn(images, side=4)
    assert rows.shape == (2, 3, 2, 1)
    assert rows[0, 1, 1, 0] == images[0, 2:4, 2:4].mean()
    assert learn(np.ones((1, 1, 90)), side=3)[1].shape == (1, 1, 3, 1)
    assert learn(images, side=7)[1].base is not None  # as they are, not copied


@pytest.mark.parametrize(("values", "said"), [
    (np.ones(3), r"'poster' is float64\(3,\); give images of shape \(n_items, height, width\)"),
    (np.ones((3, 4)), r"float64\(3, 4\)"), (np.ones((3, 2, 2, 2, 2)), r"\(3, 2, 2, 2, 2\)"),
    (np.ones((3, 0, 4)), r"\(3, 0, 4\)"), (np.full((3, 2, 2), "x"), r"<U1\(3, 2, 2\)"),
    (np.full((3, 2, 2), None), r"object\(3, 2, 2\)"), (np.full((3, 2, 2), 1j), "complex128"),
    (np.array([np.ones((2, 2)), [[1, np.nan], [1, 1]]]), "not finite in row 1; a missing one is all NaN"),
    (np.full((3, 2, 2), np.inf), "not finite in row 0")])
def test_what_is_no_image_is_refused(values, said):
    with pytest.raises(DataError, match=rf"^Model\.fit: .*{said}"):
        learn(values)


def test_an_attribute_that_is_not_there():
    with pytest.raises(DataError, match=r"no attribute 'poster' \(they have none\); give images of shape .* or name"):
        ImageReader.learn(None, "poster", np.ones(1, bool), "Model.fit", side=8)
    with pytest.raises(DataError, match=r"no attribute 'poster' \(they have year\)"):
        ImageReader.learn(features(np.ones(2), "year"), "poster", np.ones(2, bool), "Model.fit", side=8)


def test_images_of_another_shape_than_the_training_had():
    reader, _, _ = learn(np.ones((3, 4, 4)))
    with pytest.raises(DataError, match=r"the shape \(4, 5\) an item, which makes \(4, 5, 1\), and .* \(4, 4, 1\)"):
        reader.read(features(np.ones((3, 4, 5))), "Model.add_vectors")


def test_vectors_are_flat_and_scaled_by_column():
    values = np.random.default_rng(0).normal(5, [[1], [9]], (50, 2, 1)).astype(np.float32)
    reader = VectorReader.learn(features(values, "v"), "v", np.ones(50, bool), "M")
    rows, given = reader.read(features(values, "v"), "M")
    assert reader.shape == (2,)
    assert given.all()
    np.testing.assert_allclose(np.square(reader.prepare(rows)).sum(axis=1).mean(), 1, rtol=1e-4)
    again = VectorReader.restore(reader.state(), "v")
    assert again.prepare(rows).tobytes() == reader.prepare(rows).tobytes()
