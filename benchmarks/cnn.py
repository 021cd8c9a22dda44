"""Convolutions followed by relu and max-pool, and the article's network of three of them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benchmarks.datasets import SEED
from benchmarks.harness import Arrays, Claim, Session, close

BATCH, BATCHES = 32, 4
LAYERS = {"conv-3-32": (3, 32, 100), "conv-32-64": (32, 64, 49), "conv-64-128": (64, 128, 23)}


def _sides(run: Any) -> tuple[Any, Any]:
    """Ours and theirs: the same code, for the same names in both libraries."""
    def ours(arrays: Arrays) -> Session:
        import minidl

        minidl.runtime.tune()  # as training programs do
        return run(arrays, minidl, minidl.tensor)

    def theirs(arrays: Arrays) -> Session:
        import torch

        torch.set_num_threads(2)
        return run(arrays, torch,
                   lambda a, requires_grad=False: torch.from_numpy(a.copy()).requires_grad_(requires_grad))

    return ours, theirs


def _array(value: Any) -> np.ndarray:
    return np.array(value if isinstance(value, np.ndarray) else value.detach().numpy())


def _load(net: Any, arrays: Arrays, tensor: Any) -> Any:
    net.load_state_dict({k: tensor(v) for k, v in arrays.items() if "." in k})
    return net


# --------------------------------------------------------------------------------------------- one layer

def layer_data(taken: int, made: int, size: int) -> Arrays:
    rng = np.random.default_rng(SEED)
    pooled = (size - 2) // 2
    return {"x": rng.standard_normal((BATCH, taken, size, size), np.float32),
            "g": rng.standard_normal((BATCH, made, pooled, pooled), np.float32),
            "0.weight": (rng.standard_normal((made, taken, 3, 3)) / (3 * taken**0.5)).astype(np.float32),
            "0.bias": rng.standard_normal(made, np.float32)}


def layer(arrays: Arrays, library: Any, tensor: Any) -> Session:
    made, taken = arrays["0.weight"].shape[:2]
    nn = library.nn
    net = _load(nn.Sequential(nn.Conv2d(taken, made, 3), nn.ReLU(), nn.MaxPool2d(2)), arrays, tensor)
    parameters = dict(net.named_parameters())
    x = tensor(arrays["x"], requires_grad=taken > 3)  # the first layer's images need no gradient
    g = tensor(arrays["g"])

    def step() -> Any:
        for held in (x, *parameters.values()):
            if held.requires_grad:
                held.grad = None
        out = net(x)
        out.backward(g)
        return out

    def result() -> Arrays:
        found = {"out": _array(step()), **{k: _array(p.grad) for k, p in parameters.items()}}
        return {**found, "x": _array(x.grad)} if x.requires_grad else found

    return Session(step, result, repeat=5)


def layer_agrees(ours: Arrays, theirs: Arrays) -> str:
    return "; ".join(close(ours[k], theirs[k], {"out": "output"}.get(k, f"gradient of {k}"), rtol=1e-4) for k in theirs)


# ------------------------------------------------------------------------------------------- the network

def network_data() -> Arrays:
    rng = np.random.default_rng(SEED)
    shapes = {0: (32, 3, 3, 3), 3: (64, 32, 3, 3), 6: (128, 64, 3, 3), 10: (512, 12800), 12: (1, 512)}
    weights = {f"{i}.weight": rng.standard_normal(s, np.float32) * np.float32((2 / np.prod(s[1:])) ** 0.5)
               for i, s in shapes.items()}
    return {"x": rng.random((BATCHES, BATCH, 3, 100, 100), np.float32),
            "y": rng.integers(0, 2, (BATCHES, BATCH, 1)).astype(np.float32),
            **weights, **{f"{i}.bias": np.zeros(s[0], np.float32) for i, s in shapes.items()}}


def _network(arrays: Arrays, nn: Any, tensor: Any) -> Any:
    convolutions = [make for taken, made in ((3, 32), (32, 64), (64, 128))
                    for make in (nn.Conv2d(taken, made, 3), nn.ReLU(), nn.MaxPool2d(2))]
    return _load(nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(12800, 512), nn.ReLU(), nn.Linear(512, 1)),
                 arrays, tensor)


def training(arrays: Arrays, library: Any, tensor: Any) -> Session:
    net, loss = _network(arrays, library.nn, tensor), library.nn.BCEWithLogitsLoss()
    optimizer = library.optim.Adam(net.parameters())
    batches = itertools.cycle([(tensor(x), tensor(y)) for x, y in zip(arrays["x"], arrays["y"], strict=True)])

    def step() -> Any:
        x, y = next(batches)
        optimizer.zero_grad()
        logits = net(x)
        loss(logits, y).backward()
        optimizer.step()
        return logits

    def result() -> Arrays:
        return {"logits": _array(step())}  # of the second step, as one has been done to warm up

    return Session(step, result, repeat=3)


def inference(arrays: Arrays, library: Any, tensor: Any) -> Session:
    net, x = _network(arrays, library.nn, tensor).eval(), tensor(arrays["x"][0])
    sigmoid = library.nn.Sigmoid()

    def run() -> Any:
        with library.no_grad():
            return sigmoid(net(x))

    return Session(run, lambda: {"probabilities": _array(run())}, repeat=5)


def flops(sizes: dict[int, tuple[int, int]], passes: int) -> float:
    """Of the convolutions from `taken` to `made` channels on images of `size`, counted by the definition."""
    return sum(passes * 2.0 * BATCH * made * (size - 2) ** 2 * taken * 9 for size, (taken, made) in sizes.items())


def _agrees(ours: Arrays, theirs: Arrays) -> str:
    return "; ".join(close(ours[k], theirs[k], k, rtol=1e-3) for k in theirs)


_NETWORK = "three 3x3 convolutions (32, 64, 128) with relu and max-pool, dense 512, on 100x100x3, batch 32"
CLAIMS = [
    *(Claim(name, f"conv2d {taken}->{made} on {size}x{size} + bias + relu + 2x2 max-pool, forward + backward, batch 32",
            "PyTorch", 1.2, lambda shape=(taken, made, size): layer_data(*shape), *_sides(layer), layer_agrees,
            flops=flops({size: (taken, made)}, 2 if taken == 3 else 3))
      for name, (taken, made, size) in LAYERS.items()),
    Claim("cnn-train", f"{_NETWORK}: Adam step", "PyTorch", 1.5, network_data, *_sides(training), _agrees,
          flops=flops({100: (3, 32)}, 2) + flops({49: (32, 64), 23: (64, 128)}, 3)),
    Claim("cnn-infer", f"{_NETWORK}: inference", "PyTorch", 1.2, network_data, *_sides(inference), _agrees,
          flops=flops({100: (3, 32), 49: (32, 64), 23: (64, 128)}, 1)),
]
