"""GRU and LSTM layers: forward and backward of a batch, and inference of one sequence."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.datasets import SEED
from benchmarks.harness import Arrays, Claim, Session, close

GATES = {"GRU": 3, "LSTM": 4}


def data(kind: str, steps: int, batch: int, inputs: int, units: int) -> Arrays:
    rng = np.random.default_rng(SEED)
    rows, bound = GATES[kind] * units, units**-0.5
    shapes = {"weight_ih_l0": (rows, inputs), "weight_hh_l0": (rows, units), "bias_ih_l0": (rows,),
              "bias_hh_l0": (rows,)}
    arrays = {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}
    arrays["x"] = rng.standard_normal((steps, batch, inputs), np.float32)
    arrays["g"] = rng.standard_normal((steps, batch, units), np.float32)  # upstream gradient of the output
    return arrays


def _state(arrays: Arrays) -> Arrays:
    return {k: v for k, v in arrays.items() if k.endswith("_l0")}


def ours(arrays: Arrays, kind: str, repeat: int, train: bool) -> Session:
    import minidl
    from minidl import nn, runtime

    runtime.tune()  # as the trainer does
    layer = getattr(nn, kind)(arrays["x"].shape[2], arrays["g"].shape[2])
    layer.load_state_dict(_state(arrays))
    x = minidl.tensor(arrays["x"], requires_grad=train)
    return _session(layer, x, arrays["g"], minidl.no_grad, repeat, train, lambda t: np.array(t))


def theirs(arrays: Arrays, kind: str, repeat: int, train: bool) -> Session:
    import torch

    torch.set_num_threads(2)
    layer = getattr(torch.nn, kind)(arrays["x"].shape[2], arrays["g"].shape[2])
    layer.load_state_dict({k: torch.from_numpy(v) for k, v in _state(arrays).items()})
    x = torch.from_numpy(arrays["x"]).requires_grad_(train)
    return _session(layer, x, torch.from_numpy(arrays["g"]), torch.no_grad, repeat, train,
                    lambda t: t.detach().numpy().copy())


def _session(layer: Any, x: Any, g: Any, no_grad: Any, repeat: int, train: bool, plain: Any) -> Session:
    found: Arrays = {}

    def step() -> None:
        x.grad = None
        layer.zero_grad()
        output, _ = layer(x)
        output.backward(g)
        found["output"] = output

    def infer() -> None:
        with no_grad():
            found["output"] = layer(x)[0]

    def result() -> Arrays:
        output = found["output"]
        answer = {"output": plain(output.detach())}
        if train:
            answer |= {"x": plain(x.grad), **{name: plain(p.grad) for name, p in layer.named_parameters()}}
        return answer

    return Session(step if train else infer, result, repeat)


def agree(ours: Arrays, theirs: Arrays) -> str:
    said = [close(ours[k], theirs[k], k, rtol=1e-5) for k in sorted(theirs)]
    return f"{', '.join(sorted(theirs))}: {max(float(s.rpartition(' ')[2]) for s in said):.0e} at most"


def claim(kind: str, name: str, steps: int, batch: int, inputs: int, units: int, target: float, repeat: int) -> Claim:
    train = batch > 1
    options = {"kind": kind, "repeat": repeat, "train": train}
    work = (f"{kind} layer {inputs} to {units}, T {steps}, batch {batch}, "
            f"{'forward and backward' if train else 'inference'}")
    products = 2.0 * steps * batch * {"GRU": 3, "LSTM": 4}[kind] * units * (inputs + units)
    return Claim(f"{kind.lower()}-{name}", work, "PyTorch", target, partial(data, kind, steps, batch, inputs, units),
                 partial(ours, **options), partial(theirs, **options), agree,
                 flops=products * (3 if train else 1))


CLAIMS = [
    claim("GRU", "50-128", 50, 128, 64, 128, 1.2, 10),
    claim("LSTM", "50-128", 50, 128, 64, 128, 1.2, 10),
    claim("GRU", "20-32", 20, 32, 64, 64, 2.5, 100),
    claim("LSTM", "20-32", 20, 32, 64, 64, 1.1, 100),
    claim("GRU", "20-512", 20, 512, 100, 100, 1.1, 10),
    claim("LSTM", "20-512", 20, 512, 100, 100, 1.1, 10),
    claim("GRU", "one", 50, 1, 64, 64, 2, 500),
    claim("LSTM", "one", 50, 1, 64, 64, 2, 500),
]
