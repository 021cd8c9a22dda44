"""Saving and loading: everything comes back, damage is noticed, nothing is left half written."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
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


F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(("entry", "says"), [
    ({**F32, "shape": [2]}, r"shape \(2,\) and dtype F32 do not fit bytes 0 to 4"),
    ({**F32, "data_offsets": [8, 12]}, r"is cut off: 'x' ends at byte \d+ of \d+"),
    ({**F32, "data_offsets": [-4, 0]}, "integers of at least 0"), ({**F32, "shape": [True]}, "integers of at least 0"),
    ({**F32, "dtype": "F8_E4M3"}, "dtype 'F8_E4M3' is unknown to NumPy"), ({**F32, "shape": [-1]}, "at least 0"),
    ({**F32, "data_offsets": [0.0, 4.0]}, "integers of at least 0"), ({"dtype": "F32", "shape": [1]}, "data_offsets"),
    ({**F32, "shape": [0, 10**30], "data_offsets": [0, 0]}, "'x' is of a kind that cannot be read"),
    ({**F32, "shape": [1] * 70}, "'x' is of a kind that cannot be read"),
    ({**F32, "shape": [2**40, 2**40]}, "do not fit"), ({**F32, "data_offsets": [0, 2, 4]}, "cannot be read"),
    ([1, 2], "cannot be read"), ("x", "cannot be read"), (None, "cannot be read"),
    ({**F32, "data_offsets": [4, 8]}, "leaves 4 bytes before it unused"), (F32, "4 bytes follow the last array")])
@pytest.mark.parametrize("mmap", [False, True])
def test_headers_that_lie_are_refused(tmp_path: Path, entry: Any, says: str, mmap: bool) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        io.load(_safetensors(tmp_path / "s.safetensors", {"x": entry}, bytes(8)), mmap)
    assert "s.safetensors" in str(caught.value)


def test_arrays_that_overlap_are_refused(tmp_path: Path) -> None:
    two = {"x": {**F32, "shape": [2], "data_offsets": [0, 8]}, "y": {**F32, "data_offsets": [4, 8]}}
    with pytest.raises(ValueError, match=r"'y', at bytes .* overlaps another"):
        io.load(_safetensors(tmp_path / "s.safetensors", two, bytes(8)))


@pytest.mark.parametrize(("raw", "says"), [
    (b"", "is cut off"), (b"\x02\0\0", "is cut off: it has 3 bytes"), ((99).to_bytes(8, "little"), "should have 99"),
    ((10**9).to_bytes(8, "little"), "its header would have 1000000000 bytes"),
    ((2).to_bytes(8, "little") + b"[]", "is not a JSON object"), ((1).to_bytes(8, "little") + b"\xff", "damaged"),
    ((16).to_bytes(8, "little") + b'{"x": 1, "x": 2}', "'x' is there twice"),
    ((25).to_bytes(8, "little") + b'{"__metadata__": {"a":1}}', "has to map strings to strings"),
    ((10**5).to_bytes(8, "little") + b"[" * 10**5, "damaged")])
def test_headers_that_cannot_be_read_are_refused(tmp_path: Path, raw: bytes, says: str) -> None:
    path = tmp_path / "s.safetensors"
    path.write_bytes(raw)
    for mmap in (False, True):
        with pytest.raises(ValueError, match=rf"s\.safetensors.*({says}|it is empty)"):
            io.load(path, mmap)


def test_booleans_are_0_or_1(tmp_path: Path) -> None:
    entry = {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}
    assert io.load(_safetensors(tmp_path / "s.safetensors", {"x": entry}, b"\0\1"))["x"].tolist() == [False, True]
    with pytest.raises(ValueError, match="'x' has booleans that are neither 0 nor 1"):
        io.load(_safetensors(tmp_path / "s.safetensors", {"x": entry}, b"\0\2"))


# ------------------------------------------------------------------------------------------ mapping

@SUFFIXES
@given(state=STATES, layout=st.sampled_from("CFT"))
def test_what_is_mapped_is_what_is_read(tmp_path_factory: Any, suffix: str, state: Any, layout: str) -> None:
    path = tmp_path_factory.mktemp("io") / f"state{suffix}"
    io.save(path, {k: v.T if layout == "T" else np.asarray(v, order=layout) for k, v in state.items()}, {"k": "v"})
    read, mapped = io.load(path), io.load(path, mmap=True)
    assert read.keys() == mapped.keys()
    for name, array in read.items():
        assert mapped[name].dtype == array.dtype
        assert mapped[name].flags.aligned
        np.testing.assert_array_equal(mapped[name], array)
    assert io.load_metadata(path) == {"k": "v"}


@SUFFIXES
def test_mapped_arrays_lie_in_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"s{suffix}"
    io.save(path, {"a": np.arange(1000.0), "b": np.ones(3, np.int8), "c": np.full((2, 2), 7, np.float32)})
    raw = path.read_bytes()
    mapped = io.load(path, mmap=True)
    at = raw.index(np.full((2, 2), 7, np.float32).tobytes())
    with path.open("r+b") as file:  # what the documentation forbids shows that nothing was copied
        file.seek(at)
        file.write(np.float32(8).tobytes())
    assert mapped["c"].tolist() == [[8, 7], [7, 7]]
    module = nn.Linear(2, 2, bias=False)
    module.load_state_dict({"weight": mapped["c"]})
    module.weight.data[0, 0] = 1  # copied, so writeable
    assert mapped["c"][0, 0] == 8


def test_fortran_order_is_kept_in_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.arange(6).reshape(2, 3).T)
    np.testing.assert_array_equal(io.load(tmp_path / "s.npz", mmap=True)["x"], np.arange(6).reshape(2, 3).T)


def test_what_cannot_be_mapped_is_said(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "s.npz", x=np.zeros(9))
    assert io.load(tmp_path / "s.npz")["x"].shape == (9,)
    with pytest.raises(ValueError, match=r"s\.npz: 'x\.npy' is compressed"):
        io.load(tmp_path / "s.npz", mmap=True)
    np.savez(tmp_path / "o.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"o\.npz: 'x\.npy' .* Python objects"):
        io.load(tmp_path / "o.npz", mmap=True)


@SUFFIXES
@pytest.mark.parametrize("mmap", [False, True])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_but_never_crashes(tmp_path_factory: Any, suffix: str, mmap: bool,
                                                            data: Any) -> None:
    path = tmp_path_factory.mktemp("io") / f"s{suffix}"
    io.save(path, {"x": np.arange(6.0), "y": np.ones((2, 2), np.int16)})
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[:data.draw(st.integers(0, len(raw)))])
    try:
        io.load(path, mmap)
    except ValueError as error:
        if f"s{suffix}" not in str(error):
            raise


def test_a_name_that_occurs_twice_in_an_npz_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.npz", "w") as archive:
        archive.writestr("x.npy", b"")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.npy", b"")
    with pytest.raises(ValueError, match=r"s\.npz has 'x' twice"):
        io.load(tmp_path / "s.npz")


def _npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _npy(value: Any, shape: Any = None) -> bytes:
    """An .npy file; with a shape, one whose header promises that shape."""
    file, array = BytesIO(), np.asarray(value)
    if shape is None:
        np.lib.format.write_array(file, array)
    else:
        header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


@pytest.mark.parametrize(("members", "says"), [
    ({"x.npy": _npy(1.0, (10**15,))}, r"'x\.npy' is not one of plain arrays, or damaged"),
    ({"x.npy": _npy(1.0, (10**30,))}, r"'x\.npy' is not one of plain arrays, or damaged"),
    ({"x.npy": _npy(1.0), "x": _npy(2.0)}, "has 'x' twice")])
@pytest.mark.parametrize("mmap", [False, True])
def test_members_that_lie_are_refused(tmp_path: Path, members: dict[str, bytes], says: str, mmap: bool) -> None:
    with pytest.raises(ValueError, match=rf"s\.npz.*{says}"):
        io.load(_npz(tmp_path / "s.npz", **members), mmap)


def test_a_zip_of_a_later_version_is_refused(tmp_path: Path) -> None:
    raw = bytearray(_npz(tmp_path / "s.npz", **{"x.npy": _npy(1.0)}).read_bytes())
    raw[raw.index(b"PK\x01\x02") + 6] = 99  # the version that is needed to read the member
    (tmp_path / "s.npz").write_bytes(raw)
    with pytest.raises(ValueError, match=r"s\.npz is not an \.npz file of plain arrays, or cut off: zip file version"):
        io.load(tmp_path / "s.npz")


@pytest.mark.parametrize(("text", "says"), [
    ("{", "is not JSON"), ("[" * 10**5, "is not JSON"), ("[1]", "has to map strings"),
    ('{"a": 1}', "has to map strings")])
def test_foreign_metadata_in_an_npz_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=rf"s\.npz: '__metadata__' {says}"):
        io.load_metadata(_npz(tmp_path / "s.npz", **{"__metadata__.npy": _npy(text)}))


@SUFFIXES
@pytest.mark.parametrize(("state", "metadata", "says"), [({1: np.ones(1)}, None, "1 is no string"),
                                                         ({"x": np.ones(1)}, {"epoch": 3}, "3 is no string")])
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, suffix: str, state: Any, metadata: Any,
                                                    says: str) -> None:
    with pytest.raises(TypeError, match=says):
        io.save(tmp_path / f"s{suffix}", state, metadata)
    assert not list(tmp_path.iterdir())


def test_an_npz_is_a_zip_of_npy_files(tmp_path: Path) -> None:
    io.save(tmp_path / "s.npz", {"x": minidl.tensor([1.0])})
    with zipfile.ZipFile(tmp_path / "s.npz") as archive:
        assert archive.namelist() == ["x.npy"]
    with np.load(tmp_path / "s.npz") as file:
        assert file["x"].tolist() == [1.0]


# ----------------------------------------------------------------------------- states that do not fit

def test_every_misfit_of_a_state_is_named_with_what_it_may_have_been() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    module.register_buffer("count", np.zeros(1, int))
    before = module.state_dict()
    state = {**before, "0.weight": before["0.weight"].T, "count": np.zeros(1), "0.biass": before["0.bias"],
             "net.1.bias": before["1.bias"], "words": np.array(["a"])}
    del state["0.bias"], state["1.bias"]
    with pytest.raises(ValueError, match="the state does not fit Sequential") as caught:
        module.load_state_dict(state)
    for says in ("0.weight has shape (2, 3), the module's (3, 2) (transpose it?)", "missing: 0.bias, 1.bias",
                 "count has dtype float64, which does not become int64", "0.biass (is it 0.bias?)",
                 "net.1.bias (is it 1.bias?)", "words"):
        assert says in str(caught.value)
    assert "words (" not in str(caught.value)
    assert all(np.array_equal(a, before[k]) for k, a in module.state_dict().items())


def test_a_state_that_cannot_be_cast_is_refused_even_when_not_strict() -> None:
    with pytest.raises(ValueError, match="bias has dtype <U1, which does not become float32"):
        nn.Linear(1, 1).load_state_dict({"bias": np.array(["a"])}, strict=False)
    module = nn.Linear(1, 1)
    keys = module.load_state_dict({"bias": minidl.tensor([2]), "0.num_batches_tracked": np.array(3)}, strict=False)
    assert keys == (["weight"], [])
    assert module.bias.data.tolist() == [2.0]
