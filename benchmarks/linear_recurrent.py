"""The LRU layer: forward and backward of a batch, and one step of one sequence that was read before."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.datasets import SEED
from benchmarks.harness import Arrays, Claim, Session, close

_NAMES = ("nu", "theta", "gamma", "weight_in", "bias_in", "weight_out", "bias_out")


def data(batch: int, steps: int, width: int) -> Arrays:
    from minidl import nn

    rng = np.random.default_rng(SEED)
    layer = nn.LRU(width, 2 * width, generator=rng)
    return {name: getattr(layer, name).data for name in _NAMES} | {
        "x": rng.standard_normal((batch, steps, width), np.float32),
        "g": rng.standard_normal((batch, steps, width), np.float32),  # upstream gradient of the output
        "h": rng.standard_normal((batch, 4 * width), np.float32)}


def ours(arrays: Arrays, repeat: int, train: bool) -> Session:
    import minidl
    from minidl import nn, runtime

    runtime.tune()  # as the trainer does
    layer = nn.LRU(arrays["x"].shape[2], len(arrays["nu"]))
    layer.load_state_dict({name: arrays[name] for name in _NAMES})
    x = minidl.tensor(arrays["x"], requires_grad=train)
    found: Arrays = {}

    def step() -> None:
        x.grad = None
        layer.zero_grad()
        output, _ = layer(x)
        output.backward(arrays["g"])
        found["output"] = output.data

    def infer() -> None:
        with minidl.no_grad():
            found["output"] = layer(x, arrays["h"])[0].data

    def result() -> Arrays:
        gradients = {"x": x.grad, **{name: getattr(layer, name).grad for name in _NAMES}} if train else {}
        return {"output": np.array(found["output"])} | {name: np.array(g) for name, g in gradients.items()}

    return Session(step if train else infer, result, repeat)


def theirs(arrays: Arrays, repeat: int, train: bool) -> Session:
    """In complex numbers; the states by doublings, as in LRURec's code, which is faster than a loop."""
    import torch

    torch.set_num_threads(2)
    given = {name: torch.from_numpy(value) for name, value in arrays.items()}
    weights = {name: given[name].clone().requires_grad_(train) for name in _NAMES}
    x = given["x"].requires_grad_(train)
    n = len(arrays["nu"])
    found: dict[str, Any] = {}

    def output(h: Any = None) -> Any:
        w = weights
        factors = torch.exp(torch.complex(-torch.exp(w["nu"]), torch.exp(w["theta"])))
        read = torch.nn.functional.linear(x, w["weight_in"], w["bias_in"])
        states = torch.complex(read[..., :n], read[..., n:]) * torch.exp(w["gamma"])
        if h is not None:
            states = states + factors * torch.complex(h[:, :n], h[:, n:])[:, None]
        reach, power = 1, factors
        while reach < states.shape[1]:
            states = states + torch.nn.functional.pad(states[:, :-reach] * power, (0, 0, reach, 0))
            reach, power = 2 * reach, power * power
        return torch.nn.functional.linear(torch.cat([states.real, states.imag], -1), w["weight_out"], w["bias_out"])

    def step() -> None:
        for leaf in (x, *weights.values()):
            leaf.grad = None
        found["output"] = output()
        found["output"].backward(given["g"])

    def infer() -> None:
        with torch.no_grad():
            found["output"] = output(given["h"])

    def result() -> Arrays:
        gradients = {"x": x.grad, **{name: w.grad for name, w in weights.items()}} if train else {}
        return {"output": found["output"].detach().numpy().copy()} | {name: g.numpy().copy()
                                                                      for name, g in gradients.items()}

    return Session(step if train else infer, result, repeat)


def agree(ours: Arrays, theirs: Arrays) -> str:
    said = [close(ours[k], theirs[k], k, rtol=1e-4) for k in sorted(theirs)]
    return f"{', '.join(sorted(theirs))}: {max(float(s.rpartition(' ')[2]) for s in said):.0e} at most"


def claim(name: str, batch: int, steps: int, width: int, repeat: int) -> Claim:
    train = steps > 1
    work = (f"LRU layer {width} with {2 * width} complex states, T {steps}, batch {batch}, "
            f"{'forward and backward' if train else 'one step'}")
    products = 2.0 * batch * steps * 8 * width * width
    return Claim(f"lru-{name}", work, "PyTorch", 2, partial(data, batch, steps, width),
                 partial(ours, repeat=repeat, train=train), partial(theirs, repeat=repeat, train=train), agree,
                 flops=products * (3 if train else 1))


CLAIMS = [claim("50-128", 128, 50, 64, 10), claim("200-32", 32, 200, 64, 10), claim("one", 1, 1, 64, 500)]
