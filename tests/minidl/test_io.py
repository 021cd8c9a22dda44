"""Saving and loading: everything comes back, damage is noticed, nothing is left half written."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import minidl
from minidl import io, nn

DTYPES = [f"{order}{kind}" for order in "<>" for kind in ("f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8")]
DTYPES += ["i1", "u1", "?"]
LETTERS = st.characters(exclude_categories=["C"], exclude_characters="/\\")
STATES = st.dictionaries(st.text(LETTERS, min_size=1, max_size=8),
                         st.sampled_from(DTYPES).flatmap(lambda d: arrays(d, array_shapes(min_dims=0, min_side=0))),
                         max_size=4)
SUFFIXES = pytest.mark.parametrize("suffix", [".npz", ".safetensors"])


@SUFFIXES
@given(state=STATES, metadata=st.dictionaries(st.text(), st.text(), max_size=2), layout=st.sampled_from("CFT"))
def test_what_is_saved_comes_back(tmp_path_factory: Any, suffix: str, state: Any, metadata: Any, layout: str) -> None:
    path = tmp_path_factory.mktemp("io") / f"state{suffix}"
    given_ = {k: v.T if layout == "T" else np.asarray(v, order=layout) for k, v in state.items()}
    io.save(path, given_, metadata)
    loaded = io.load(path)
    assert loaded.keys() == state.keys()
    for name, array in given_.items():
        assert loaded[name].dtype == array.dtype.newbyteorder("=")
        assert loaded[name].shape == array.shape
        np.testing.assert_array_equal(loaded[name], array)
        loaded[name][...] = 0  # writeable
    assert io.load_metadata(path) == metadata
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@SUFFIXES
def test_names_that_savez_would_not_take(tmp_path: Path, suffix: str) -> None:
    state = {name: np.array([i]) for i, name in enumerate(("file", "allow_pickle", "self", "a.b-c d"))}
    io.save(tmp_path / f"s{suffix}", state)
    assert io.load(tmp_path / f"s{suffix}") == state


@SUFFIXES
def test_a_module_goes_round(tmp_path: Path, suffix: str) -> None:
    first, second = (nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 2)) for _ in range(2))
    io.save(tmp_path / f"m{suffix}", dict(first.named_parameters()))  # Tensors will do
    second.load_state_dict(io.load(tmp_path / f"m{suffix}"))
    assert all(np.array_equal(a.data, b.data) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@SUFFIXES
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"s{suffix}"
    io.save(path, {"x": np.ones(2)})

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(io.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        io.save(path, {"x": np.zeros(2)})
    assert io.load(path)["x"].tolist() == [1, 1]
    assert list(tmp_path.iterdir()) == [path]


@SUFFIXES
@pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
def test_damage_is_noticed_and_the_file_named(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"s{suffix}"
    io.save(path, {"x": np.ones(100)})
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": whole[:-50], "noise": b"\xff" * len(whole)}[damage])
    with pytest.raises(ValueError, match=f"s{suffix}"):
        io.load(path)


@SUFFIXES
def test_python_objects_are_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(TypeError, match="'x' has dtype object"):
        io.save(tmp_path / f"s{suffix}", {"x": np.array([{}])})
    with pytest.raises(ValueError, match="is reserved"):
        io.save(tmp_path / f"s{suffix}", {"__metadata__": np.zeros(1)})
    assert not list(tmp_path.iterdir())


def test_pickles_inside_an_npz_are_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="plain arrays"):
        io.load(tmp_path / "s.npz")


def test_strings_go_into_npz_only(tmp_path: Path) -> None:
    io.save(tmp_path / "s.npz", {"ids": np.array(["a", "bc"])})
    assert io.load(tmp_path / "s.npz")["ids"].tolist() == ["a", "bc"]
    with pytest.raises(TypeError, match=r"only \.npz takes"):
        io.save(tmp_path / "s.safetensors", {"ids": np.array(["a"])})


def test_unknown_formats_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'\.pt' is unknown"):
        io.save(tmp_path / "s.pt", {})
    with pytest.raises(ValueError, match=r"'\.bin' is unknown"):
        io.load(tmp_path / "s.bin")


# --------------------------------------------------------------------------------- the format itself

def _safetensors(path: Path, header: Any, body: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def test_a_safetensors_file_is_laid_out_as_its_specification_says(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    io.save(path, {"b": np.array([1], np.int8), "a": np.array([[1.5]], np.float32)}, {"k": "v"})
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    assert (8 + size) % 8 == 0
    assert json.loads(raw[8:8 + size]) == {
        "__metadata__": {"k": "v"}, "a": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]},
        "b": {"dtype": "I8", "shape": [1], "data_offsets": [4, 5]}}
    assert raw[8 + size:] == np.array([1.5], "<f4").tobytes() + b"\x01"


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    body = np.array([0x3FC0, 0xC000], "<u2").tobytes()  # 1.5, -2
    path = _safetensors(tmp_path / "s.safetensors",
                        {"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, body)
    loaded = io.load(path)["x"]
    assert loaded.dtype == np.float32
    assert loaded.tolist() == [1.5, -2]


@pytest.mark.parametrize("entry", [
    {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},
    {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}, {"dtype": "Q7", "shape": [1], "data_offsets": [0, 4]},
    {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, {"dtype": "F32", "shape": [1]}, [1, 2], "x"])
def test_headers_that_lie_are_refused(tmp_path: Path, entry: Any) -> None:
    with pytest.raises(ValueError, match="or damaged"):
        io.load(_safetensors(tmp_path / "s.safetensors", {"x": entry}, bytes(8)))


def test_an_npz_is_a_zip_of_npy_files(tmp_path: Path) -> None:
    io.save(tmp_path / "s.npz", {"x": minidl.tensor([1.0])})
    with zipfile.ZipFile(tmp_path / "s.npz") as archive:
        assert archive.namelist() == ["x.npy"]
    with np.load(tmp_path / "s.npz") as file:
        assert file["x"].tolist() == [1.0]
