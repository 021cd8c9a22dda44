"""Bits do not depend on where arrays lie: near arrays take another way through compiled loops than far ones."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.kernels import numba_loss

GAPS = range(0, 80, 2)  # elements between two arrays; the compiler asks for up to 256 bytes


def near(gap, *arrays):
    """The arrays in one piece of memory, so many elements apart."""
    memory = np.zeros(sum(a.size + gap for a in arrays), arrays[0].dtype)
    begins = np.cumsum([0] + [a.size + gap for a in arrays[:-1]])
    placed = [memory[b:b + a.size].reshape(a.shape) for b, a in zip(begins, arrays, strict=True)]
    for there, a in zip(placed, arrays, strict=True):
        there[...] = a
    return placed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [5, 9])
def test_gradients_of_softmax_losses(dtype, width):
    rng = np.random.default_rng(0)
    ends, classes = np.array([0, 1, 2, 2]), np.array([3, 4])
    for _ in range(30):  # sums in another order differ in some cases only
        logits, g = rng.normal(size=(3, width)).astype(dtype), rng.normal(size=3).astype(dtype)
        peak, rest = numba_loss.exp_sums(logits)
        bits = set()
        for gap in GAPS:
            rows, out = near(gap, logits, np.zeros_like(logits))
            numba_loss._softmax_gradient(0, 3, g, rows, peak, rest, classes, ends, g[:2], out)
            bits.add(out.tobytes())
        assert len(bits) == 1
