"""Files of the package `safetensors` are read here, and the reverse, in every dtype that both have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file as save_torch

from minidl import io

DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8"]
STATE = {d: np.array([[0, 1, 1], [1, 0, 1]], d) for d in DTYPES} | {
    "scalar": np.array(1.5), "empty": np.zeros((0, 3), np.float32), "a.b.weight": np.arange(5, dtype=np.float32)}


def _same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name, array in a.items():
        assert (array.dtype, array.shape) == (b[name].dtype, b[name].shape)
        np.testing.assert_array_equal(array, b[name])


@pytest.mark.parametrize("mmap", [False, True])
def test_theirs_is_read_here(tmp_path: Path, mmap: bool) -> None:
    save_file(STATE, tmp_path / "s.safetensors", metadata={"k": "v"})
    _same(io.load(tmp_path / "s.safetensors", mmap), STATE)
    assert io.load_metadata(tmp_path / "s.safetensors") == {"k": "v"}


def test_ours_is_read_there(tmp_path: Path) -> None:
    io.save(tmp_path / "s.safetensors", STATE, {"k": "v"})
    _same(load_file(tmp_path / "s.safetensors"), STATE)
    with safe_open(tmp_path / "s.safetensors", "np") as file:
        assert file.metadata() == {"k": "v"}


@pytest.mark.parametrize("mmap", [False, True])
def test_half_precision_of_pytorch(tmp_path: Path, mmap: bool) -> None:
    values = torch.tensor([1.0, -2.5, 3e38, float("inf"), 1e-40])
    save_torch({"b": values.bfloat16(), "h": values.half()}, tmp_path / "s.safetensors")
    loaded = io.load(tmp_path / "s.safetensors", mmap)
    assert loaded["b"].dtype == np.float32
    assert loaded["h"].dtype == np.float16
    np.testing.assert_array_equal(loaded["b"], values.bfloat16().float().numpy())
    np.testing.assert_array_equal(loaded["h"], values.half().numpy())


def test_a_state_dict_of_pytorch_goes_round(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    save_torch(module.state_dict(), tmp_path / "a.safetensors")
    io.save(tmp_path / "b.safetensors", io.load(tmp_path / "a.safetensors"))
    for key, value in load_torch(tmp_path / "b.safetensors").items():
        assert torch.equal(value, module.state_dict()[key])


def test_eight_bit_floats_are_named(tmp_path: Path) -> None:
    save_torch({"w": torch.ones(4).to(torch.float8_e4m3fn)}, tmp_path / "s.safetensors")
    with pytest.raises(ValueError, match=r"'w' .* dtype 'F8_E4M3' is unknown to NumPy"):
        io.load(tmp_path / "s.safetensors")


@pytest.mark.parametrize("cut", [0, 3, 40, -1])
def test_what_they_refuse_is_refused(tmp_path: Path, cut: int) -> None:
    io.save(tmp_path / "s.safetensors", STATE)
    raw = (tmp_path / "s.safetensors").read_bytes()
    (tmp_path / "s.safetensors").write_bytes(raw[:cut])
    with pytest.raises(SafetensorError):
        load_file(tmp_path / "s.safetensors")
    with pytest.raises(ValueError, match=r"s\.safetensors"):
        io.load(tmp_path / "s.safetensors")
