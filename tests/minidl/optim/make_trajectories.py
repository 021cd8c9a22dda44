"""Write trajectories.npz: what torch.optim and its schedules do. Needs PyTorch; the tests do not.

    python tests/minidl/optim/make_trajectories.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.02, "maximize": True}),
    ("Adagrad", {"lr": 0.1, "weight_decay": 0.02, "maximize": True}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.02, "amsgrad": True, "maximize": True}),
    ("AdamW", {"lr": 0.05, "betas": (0.8, 0.9), "amsgrad": True, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.9, "eps": 1e-6, "weight_decay": 0.02, "maximize": True}),
    ("RMSprop", {"lr": 0.02, "momentum": 0.8}),
    ("RMSprop", {"lr": 0.02, "centered": True}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.95, "weight_decay": 0.01, "momentum": 0.5, "centered": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.02, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.05, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.02, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.02, "momentum_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.02, "maximize": True}),
    ("RAdam", {"lr": 0.05, "betas": (0.9, 0.99), "weight_decay": 0.1, "decoupled_weight_decay": True}),
]
SCHEDULE_STEPS, RATES = 24, (0.5, 0.03)  # of the two groups
SCHEDULES = [  # evaluated with the names of lr_scheduler and an optimizer o
    "LambdaLR(o, [lambda t: 0.9 ** t, lambda t: 1 / (1 + t)])",
    "MultiplicativeLR(o, lambda t: 0.9 if t % 3 else 1.5)",
    "StepLR(o, 5)",
    "StepLR(o, 3, gamma=0.7)",
    "MultiStepLR(o, [2, 9, 9, 15], gamma=0.5)",
    "ConstantLR(o)",
    "ConstantLR(o, factor=0.2, total_iters=9)",
    "LinearLR(o)",
    "LinearLR(o, start_factor=0.9, end_factor=0.0, total_iters=7)",
    "ExponentialLR(o, gamma=0.8)",
    "PolynomialLR(o)",
    "PolynomialLR(o, total_iters=11, power=2.5)",
    "CosineAnnealingLR(o, T_max=7)",
    "CosineAnnealingLR(o, T_max=10, eta_min=0.01)",
    "CosineAnnealingLR(o, T_max=1, eta_min=0.01)",
    "CosineAnnealingWarmRestarts(o, T_0=5)",
    "CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=0.002)",
    "OneCycleLR(o, max_lr=[1.0, 0.2], total_steps=24)",
    "OneCycleLR(o, max_lr=1.0, epochs=5, steps_per_epoch=5, pct_start=0.37, anneal_strategy='linear')",
    "OneCycleLR(o, 0.3, 30, three_phase=True, base_momentum=0.5, max_momentum=[0.9, 0.8], div_factor=5)",
    "OneCycleLR(o, 0.3, 24, cycle_momentum=False, final_div_factor=10)",
    "ReduceLROnPlateau(o)",
    "ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=2, min_lr=[0.1, 0.02])",
    "ReduceLROnPlateau(o, mode='max', factor=0.3, patience=2, threshold=0.3, threshold_mode='abs')",
    "ReduceLROnPlateau(o, mode='max', patience=0, threshold=0.1, eps=1e-3)",
    "ReduceLROnPlateau(o, patience=0, threshold=0.2, threshold_mode='abs')",
    "ChainedScheduler([ConstantLR(o, 0.1, total_iters=4), ExponentialLR(o, 0.9)])",
    "ChainedScheduler([LinearLR(o, 0.5, total_iters=6), CosineAnnealingLR(o, 8, eta_min=0.01), StepLR(o, 5, 0.5)])",
    "SequentialLR(o, [LinearLR(o, 0.1, total_iters=4), CosineAnnealingLR(o, 20)], milestones=[4])",
    "SequentialLR(o, [ConstantLR(o, 0.1, 3), ExponentialLR(o, 0.9), MultiplicativeLR(o, lambda t: 0.8)], [3, 8])",
    "SequentialLR(o, [StepLR(o, 2), PolynomialLR(o, 6), CosineAnnealingWarmRestarts(o, 3), LambdaLR(o, lambda t: t)], "
    "[5, 11, 19])",
    "SequentialLR(o, [LinearLR(o, 0.2), SequentialLR(o, [StepLR(o, 2, 0.5), ExponentialLR(o, 0.7)], [4])], [50])",
    "SWALR(o, swa_lr=0.05)",
    "SWALR(o, swa_lr=[0.2, 0.01], anneal_epochs=5, anneal_strategy='linear')",
    "SWALR(o, swa_lr=0.05, anneal_epochs=0)",
]


def trajectory(name: str, options: dict, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    import torch  # not on the machines that run the tests, whose collector imports this file

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.from_numpy(start).dtype)  # of what NAdam carries from step to step
    try:
        return _steps(torch, name, options, start, gradients)
    finally:
        torch.set_default_dtype(before)


def _steps(torch: Any, name: str, options: dict, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    p = torch.nn.Parameter(torch.tensor(start))
    optimizer = getattr(torch.optim, name)([p], **options)
    places = []
    for gradient in gradients:
        p.grad = torch.tensor(gradient)
        optimizer.step()
        places.append(p.detach().numpy().copy())
    return np.stack(places)


def schedule(expression: str, metrics: np.ndarray) -> np.ndarray:
    """Rate and momentum of two groups at every step."""
    import torch
    from torch.optim import lr_scheduler, swa_utils

    ps = [torch.nn.Parameter(torch.ones(1)) for _ in RATES]
    o = torch.optim.SGD([{"params": [p], "lr": lr} for p, lr in zip(ps, RATES, strict=True)], momentum=0.7)
    made = eval(expression, {**vars(lr_scheduler), **vars(swa_utils), "o": o})
    places = []
    for metric in metrics:
        places.append([[group["lr"], group["momentum"]] for group in o.param_groups])
        o.step()
        made.step(*([metric] if "Plateau" in expression else []))
    return np.array(places)


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
    metrics = np.round(3 / (1 + np.arange(SCHEDULE_STEPS)) + rng.normal(size=SCHEDULE_STEPS) * 0.2, 3)
    arrays |= {"schedules": np.array(SCHEDULES), "metrics": metrics, "rates": np.array(RATES),
               "scheduled": np.stack([schedule(expression, metrics) for expression in SCHEDULES])}
    np.savez_compressed(Path(__file__).with_name("trajectories.npz"), **arrays)


if __name__ == "__main__":
    main()
