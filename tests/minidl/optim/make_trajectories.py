"""Write trajectories.npz: what torch.optim does with fixed gradients. Needs PyTorch; the tests do not.

    python tests/minidl/optim/make_trajectories.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

STEPS, SHAPE = 30, (4, 3)
CONFIGURATIONS = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.02}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.2, "lr_decay": 0.05, "weight_decay": 0.01, "initial_accumulator_value": 0.1, "eps": 1e-6}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.02}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.02, "decoupled_weight_decay": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "betas": (0.7, 0.9), "weight_decay": 0.1}),
]


def trajectory(name: str, options: dict, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    import torch  # not on the machines that run the tests, whose collector imports this file

    p = torch.nn.Parameter(torch.tensor(start))
    optimizer = getattr(torch.optim, name)([p], **options)
    places = []
    for gradient in gradients:
        p.grad = torch.tensor(gradient)
        optimizer.step()
        places.append(p.detach().numpy().copy())
    return np.stack(places)


def main() -> None:
    rng = np.random.default_rng(7)
    start = rng.normal(size=SHAPE)
    gradients = rng.normal(size=(STEPS, *SHAPE)) * rng.choice([1e-3, 1.0, 10.0], size=(STEPS, 1, 1))
    arrays = {"start": start, "gradients": gradients,
              "names": np.array([name for name, _ in CONFIGURATIONS]),
              "options": np.array([repr(options) for _, options in CONFIGURATIONS])}
    for i, (name, options) in enumerate(CONFIGURATIONS):
        for dtype in (np.float32, np.float64):
            arrays[f"{i}_{np.dtype(dtype).name}"] = trajectory(
                name, options, start.astype(dtype), gradients.astype(dtype))
    np.savez_compressed(Path(__file__).with_name("trajectories.npz"), **arrays)


if __name__ == "__main__":
    main()
