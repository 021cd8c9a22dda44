"""How far PyTorch and minidl are apart on the same weights: the largest difference of outputs and of gradients.

    python docs/pytorch_weights.py

Three models get PyTorch's weights through a .safetensors file. Outputs, and the gradients of every parameter and of the
input, are compared in float64 and in float32; differences are relative to the largest value. Needs torch and
safetensors.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import minidl
from minidl import nn

LIMITS = {"float64": 1e-11, "float32": 1e-4}  # of what rounding explains; beyond them the script fails


def conv_net(lib: Any) -> Any:
    """Images (N, 3, 20, 20) to 5 logits."""
    return lib.Sequential(
        lib.Conv2d(3, 8, 3, padding=1), lib.ReLU(), lib.MaxPool2d(2), lib.Conv2d(8, 16, 3), lib.ReLU(),
        lib.MaxPool2d(2), lib.Flatten(), lib.Linear(16 * 4 * 4, 32), lib.ReLU(), lib.Linear(32, 5))


def lstm(lib: Any) -> Any:
    """Sequences (N, 12, 6) to states (N, 12, 16), both directions side by side."""
    class Net(lib.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = lib.LSTM(6, 8, num_layers=2, bidirectional=True, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.lstm(x)[0]

    return Net()


def transformer_block(lib: Any) -> Any:
    """Sequences (N, 10, 16) to sequences of the same shape; normalisation first."""
    class Block(lib.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = lib.LayerNorm(16), lib.LayerNorm(16)
            self.attention = lib.MultiheadAttention(16, 4, batch_first=True)
            self.feed = lib.Sequential(lib.Linear(16, 64), lib.GELU(), lib.Linear(64, 16))

        def forward(self, x: Any) -> Any:
            h = self.norm1(x)
            x = x + self.attention(h, h, h, need_weights=False)[0]
            return x + self.feed(self.norm2(x))

    return Block()


MODELS = {"conv net": (conv_net, (4, 3, 20, 20)), "2-layer bidirectional LSTM": (lstm, (4, 12, 6)),
          "transformer block": (transformer_block, (4, 10, 16))}


def differences(make: Any, shape: tuple[int, ...], dtype: str) -> tuple[float, float]:
    """The largest difference of outputs and of gradients."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    theirs, ours = make(torch.nn).to(getattr(torch, dtype)), make(nn).to(dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_file(theirs.state_dict(), path)
        ours.load_state_dict(minidl.io.load(path))
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(dtype)
    a, b = minidl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    left, right = ours(a), theirs(b)
    upstream = rng.normal(size=left.shape).astype(dtype)
    left.backward(upstream)
    right.backward(torch.tensor(upstream))
    wanted = {name: p.grad for name, p in theirs.named_parameters()}
    gradients = [(a.grad, b.grad), *((p.grad, wanted[name]) for name, p in ours.named_parameters())]
    return _relative(left.data, right), max(_relative(one, other) for one, other in gradients)


def _relative(ours: np.ndarray, theirs: Any) -> float:
    other = theirs.detach().numpy()
    return float(np.abs(ours - other).max() / np.abs(other).max())


def rows() -> Iterator[tuple[str, str, float, float]]:
    """Model, dtype, difference of outputs, difference of gradients."""
    for name, (make, shape) in MODELS.items():
        for dtype in LIMITS:
            yield name, dtype, *differences(make, shape, dtype)


def main() -> int:
    """Print the table; 1 if a difference is larger than rounding explains."""
    ok = True
    print(f"{'model':28}{'dtype':10}{'outputs':>10}{'gradients':>11}   (largest difference / largest value)")
    for name, dtype, outputs, gradients in rows():
        print(f"{name:28}{dtype:10}{outputs:10.1e}{gradients:11.1e}")
        ok &= max(outputs, gradients) < LIMITS[dtype]
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
