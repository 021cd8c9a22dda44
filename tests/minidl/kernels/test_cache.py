"""Kernels from the cache give the bits of those that were compiled just now."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import minidl.kernels
import recsys.kernels
from minidl.runtime import numba_enabled

SCRIPT = """
import hashlib
import numpy as np
from minidl import nn, ops, tensor

rng = np.random.default_rng(0)

def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)

def show(name, compute, *arrays):
    inputs = [tensor(a, requires_grad=True) for a in arrays]
    out = compute(*inputs)
    (out * normal(*out.shape)).sum().backward()
    numbers = [out.data, *(x.grad for x in inputs)]
    print(name, *(hashlib.md5(np.ascontiguousarray(a).tobytes()).hexdigest() for a in numbers))

classes, shares = rng.integers(0, 977, 211), np.full((211, 977), 1 / 977, np.float32)
show("cross_entropy", lambda x: ops.cross_entropy(x, classes), normal(211, 977))
show("multinomial", lambda x: ops.multinomial_loss(x, classes, np.arange(0, 212, 211)), normal(1, 977))
show("soft", lambda x: ops.cross_entropy(x, shares), normal(211, 977))
show("bce", lambda x: ops.binary_cross_entropy_with_logits(x, np.ones((331, 71), np.float32)), normal(331, 71))
show("bpr", lambda a, b: ops.bpr_loss(a, b), normal(331, 71), normal(331, 71))
show("layer_norm", nn.LayerNorm(77), normal(513, 77))
show("rms_norm", nn.RMSNorm(77), normal(513, 77))
show("batch_norm", nn.BatchNorm1d(77), normal(300, 77))
show("attention", lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, is_causal=True),
     *(normal(8, 50, 64) for _ in range(3)))
show("conv2d", nn.Conv2d(3, 5, 3, generator=np.random.default_rng(1)), normal(3, 3, 17, 19))
show("winograd", nn.Conv2d(33, 35, 3, padding=1, generator=np.random.default_rng(1)), normal(5, 33, 16, 24))
show("gru", lambda x: nn.GRU(24, 33, generator=np.random.default_rng(1))(x)[0], normal(19, 21, 24))
"""


FAMILIES = [f"{package.__name__}.{module.name}" for package in (minidl.kernels, recsys.kernels)
            for module in pkgutil.iter_modules(package.__path__) if module.name.startswith("numba_")]


@pytest.mark.skipif(not numba_enabled(), reason="compiles with Numba")
@pytest.mark.parametrize("family", FAMILIES)
def test_what_kernels_call_and_the_compiler_may_reorder_is_inlined(family: str) -> None:
    module = importlib.import_module(family)
    kernels = {name: value for name, value in vars(module).items() if hasattr(value, "py_func")}
    called = {name for kernel in kernels.values() for name in kernel.py_func.__code__.co_names} & set(kernels)
    options = {name: kernels[name].targetoptions for name in called}
    reordered = {name for name in called if "reassoc" in (options[name].get("fastmath") or ())}
    inlined = {name for name in called if options[name].get("forceinline") or options[name].get("inline") == "always"}
    assert reordered - inlined == set()


@pytest.mark.skipif(not numba_enabled(), reason="compiles with Numba")
def test_the_first_run_gives_the_bits_of_the_second(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    first, second = (subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True, text=True,
                                    capture_output=True).stdout for _ in range(2))
    assert first == second
    assert first.count("\n") == SCRIPT.count("\nshow(")
