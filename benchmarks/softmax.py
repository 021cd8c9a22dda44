"""Softmax cross-entropy over a catalogue, forward and backward."""

from __future__ import annotations

import numpy as np

from benchmarks.datasets import SEED
from benchmarks.harness import Arrays, Claim, Session, close

CLASSES, BATCH = 3706, 512


def data() -> Arrays:
    rng = np.random.default_rng(SEED)
    return {"logits": rng.standard_normal((BATCH, CLASSES), np.float32), "target": rng.integers(0, CLASSES, BATCH)}


def ours(arrays: Arrays) -> Session:
    import minidl
    from minidl import ops, runtime

    runtime.tune()
    logits = minidl.tensor(arrays["logits"], requires_grad=True)

    def step() -> None:
        logits.grad = None
        ops.cross_entropy(logits, arrays["target"]).backward()

    return Session(step, lambda: {"gradient": logits.grad}, repeat=50)


def theirs(arrays: Arrays) -> Session:
    import torch

    torch.set_num_threads(2)
    logits = torch.from_numpy(arrays["logits"]).requires_grad_()
    target = torch.from_numpy(arrays["target"])

    def step() -> None:
        logits.grad = None
        torch.nn.functional.cross_entropy(logits, target).backward()

    return Session(step, lambda: {"gradient": logits.grad.numpy()}, repeat=50)


def agree(ours: Arrays, theirs: Arrays) -> str:
    return close(ours["gradient"], theirs["gradient"], "gradients", rtol=1e-5)


CLAIMS = [Claim("softmax", f"softmax-cross-entropy over {CLASSES:,} classes, batch {BATCH}, forward + backward",
                "PyTorch", 1.3, data, ours, theirs, agree)]
