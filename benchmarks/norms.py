"""Normalisation, attention and embedding bags, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.datasets import SEED
from benchmarks.harness import Arrays, Claim, Session, close

ROWS, WIDTH = 128 * 50, 64
TABLE, IMAGES = (256, 128), (32, 32, 49, 49)
BATCH, LENGTH, DIM = 64, 50, 64
ITEMS, HIDDEN, BAGS, BAG = 20_108, 200, 500, 100


def _normal(**shapes: tuple[int, ...]) -> Arrays:
    rng = np.random.default_rng(SEED)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def _session(arrays: Arrays, names: list[str], run: Callable[..., Any], leaf: Callable[[np.ndarray], Any],
             constant: Callable[[np.ndarray], Any], repeat: int) -> Session:
    """`run` of the leaves `names` and the upstream gradient, and the leaves' gradients."""
    leaves, upstream = [leaf(arrays[name]) for name in names], constant(arrays["upstream"])

    def step() -> None:
        for x in leaves:
            x.grad = None
        run(*leaves).backward(upstream)

    def result() -> Arrays:
        return {name: np.asarray(x.grad.to_dense() if hasattr(x.grad, "to_dense") else x.grad)
                for name, x in zip(names, leaves, strict=True)}

    return Session(step, result, repeat)


def _ours(arrays: Arrays, names: list[str], run: Callable[..., Any], repeat: int) -> Session:
    import minidl

    minidl.runtime.tune()
    return _session(arrays, names, run, lambda a: minidl.tensor(a, requires_grad=True), lambda a: a, repeat)


def _theirs(arrays: Arrays, names: list[str], run: Callable[..., Any], repeat: int) -> Session:
    import torch

    torch.set_num_threads(2)
    return _session(arrays, names, run, lambda a: torch.from_numpy(a).requires_grad_(), torch.from_numpy, repeat)


def agree(ours: Arrays, theirs: Arrays) -> str:
    said = [close(ours[name], theirs[name], f"gradients of {name}", rtol=1e-4) for name in sorted(ours)]
    return ", ".join(said)


# ------------------------------------------------------------------------------------------ normalisation

_AFFINE = ["x", "weight", "bias"]


def _layer_ours(arrays: Arrays) -> Session:
    from minidl import ops
    return _ours(arrays, _AFFINE, lambda x, w, b: ops.layer_norm(x, WIDTH, w, b), 50)


def _layer_theirs(arrays: Arrays) -> Session:
    from torch.nn import functional
    return _theirs(arrays, _AFFINE, lambda x, w, b: functional.layer_norm(x, (WIDTH,), w, b), 50)


def _batch_data(shape: tuple[int, ...]) -> Arrays:
    return _normal(x=shape, upstream=shape, weight=shape[1:2], bias=shape[1:2])


def _batch_ours(arrays: Arrays) -> Session:
    from minidl import ops
    mean, var = np.zeros_like(arrays["bias"]), np.ones_like(arrays["bias"])
    return _ours(arrays, _AFFINE, lambda x, w, b: ops.batch_norm(x, mean, var, w, b, training=True), 10)


def _batch_theirs(arrays: Arrays) -> Session:
    import torch
    from torch.nn import functional
    mean, var = torch.zeros(len(arrays["bias"])), torch.ones(len(arrays["bias"]))
    return _theirs(arrays, _AFFINE, lambda x, w, b: functional.batch_norm(x, mean, var, w, b, training=True), 10)


# ---------------------------------------------------------------------------------------------- attention

def _attention_ours(arrays: Arrays) -> Session:
    from minidl import ops
    return _ours(arrays, ["q", "k", "v"],
                 lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, is_causal=True), 20)


def _attention_theirs(arrays: Arrays) -> Session:
    from torch.nn import functional
    return _theirs(arrays, ["q", "k", "v"],
                   lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, is_causal=True), 20)


# ------------------------------------------------------------------------------------------- embedding bag

def _bag_data() -> Arrays:
    """Items of users, popular ones more often."""
    rng = np.random.default_rng(SEED)
    p = 1 / np.arange(1, ITEMS + 1) ** 0.8
    sizes = rng.integers(BAG // 2, 3 * BAG // 2, BAGS)
    return {"indices": rng.choice(ITEMS, sizes.sum(), p=p / p.sum()), "offsets": np.cumsum(sizes) - sizes,
            **_normal(table=(ITEMS, HIDDEN), upstream=(BAGS, HIDDEN))}


def _bag_ours(arrays: Arrays) -> Session:
    from minidl import ops
    return _ours(arrays, ["table"],
                 lambda t: ops.embedding_bag(arrays["indices"], t, arrays["offsets"], mode="sum"), 5)


def _bag_theirs(arrays: Arrays, sparse: bool) -> Session:
    import torch
    indices, offsets = torch.from_numpy(arrays["indices"]), torch.from_numpy(arrays["offsets"])
    return _theirs(arrays, ["table"], lambda t: torch.nn.functional.embedding_bag(
        indices, t, offsets, mode="sum", sparse=sparse), 5)


_PASSES = 5 * 4.0  # bytes of float32: forward reads x and writes, backward reads x and g and writes
CLAIMS = [
    Claim("layer-norm", f"layer norm of {ROWS:,} x {WIDTH}, forward + backward", "PyTorch", 1.2,
          lambda: _normal(x=(ROWS, WIDTH), upstream=(ROWS, WIDTH), weight=(WIDTH,), bias=(WIDTH,)), _layer_ours,
          _layer_theirs, agree, moved=_PASSES * ROWS * WIDTH),
    *(Claim(name, f"batch norm of {' x '.join(map(str, shape))}, forward + backward", "PyTorch", 1.2,
            lambda shape=shape: _batch_data(shape), _batch_ours, _batch_theirs, agree,
            moved=_PASSES * math.prod(shape))
      for name, shape in (("batch-norm", TABLE), ("batch-norm-2d", IMAGES))),
    Claim("attention", f"causal attention, {BATCH} x {LENGTH} x {DIM}, forward + backward", "PyTorch", 1.2,
          lambda: _normal(**dict.fromkeys(("q", "k", "v", "upstream"), (BATCH, 1, LENGTH, DIM))), _attention_ours,
          _attention_theirs, agree, flops=12.0 * BATCH * LENGTH * LENGTH * DIM),
    *(Claim(name, f"embedding bags of {BAGS} x about {BAG} of {ITEMS:,} x {HIDDEN}, forward + backward", baseline, 1.2,
            _bag_data, _bag_ours, lambda arrays, sparse=sparse: _bag_theirs(arrays, sparse), agree,
            moved=2 * 4.0 * BAGS * BAG * HIDDEN)
      for name, baseline, sparse in (("embedding-bag", "PyTorch, dense gradient", False),
                                 ("embedding-bag-sparse", "PyTorch, sparse gradient", True))),
]
