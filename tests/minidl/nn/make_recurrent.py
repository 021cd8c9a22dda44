"""Write recurrent.npz: what torch.nn's recurrent layers give and their gradients. Needs PyTorch; the tests do not.

    python tests/minidl/nn/make_recurrent.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

STEPS, SAMPLES, INPUTS, UNITS = 4, 3, 2, 3
LENGTHS = [2, 4, 1]
CONFIGURATIONS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2, "bidirectional": True}),
    ("GRU", {"batch_first": True}),
    ("GRU", {"num_layers": 2, "bidirectional": True}),
    ("GRU", {"bias": False}),
    ("LSTM", {}),
    ("LSTM", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("RNNCell", {"nonlinearity": "relu"}),
    ("GRUCell", {}),
    ("LSTMCell", {"bias": False}),
]


def record(name: str, options: dict, padded: bool, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Inputs, parameters, outputs and gradients of the sum of squares of all outputs: a flat vector of each."""
    import torch  # not on the machines that run the tests, whose collector imports this file
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    layer = getattr(torch.nn, name)(INPUTS, UNITS, **options).double()
    directions, first = 1 + options.get("bidirectional", False), options.get("batch_first", False)
    cell = name.endswith("Cell")
    shape = (SAMPLES, INPUTS) if cell else (SAMPLES, STEPS, INPUTS) if first else (STEPS, SAMPLES, INPUTS)
    state = (SAMPLES, UNITS) if cell else (options.get("num_layers", 1) * directions, SAMPLES, UNITS)
    lstm = name.startswith("LSTM")
    given = [torch.tensor(rng.normal(size=s).round(2), requires_grad=True) for s in (shape, *[state] * (1 + lstm))]
    for p in layer.parameters():
        p.data = p.data.round(decimals=3)
    x, start = given[0], tuple(given[1:]) if lstm else given[1]
    if cell:
        found = layer(x, start)
        outputs = list(found) if lstm else [found]
    else:
        if padded:
            x = pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=first, enforce_sorted=False)
        output, final = layer(x, start)
        if padded:
            output, _ = pad_packed_sequence(output, batch_first=first, total_length=STEPS)
        outputs = [output, *final] if lstm else [output, final]
    sum((o**2).sum() for o in outputs).backward()
    leaves = [*given, *layer.parameters()]
    groups = {"given": given, "state": list(layer.parameters()), "output": outputs,
              "gradient": [leaf.grad for leaf in leaves]}
    return {k: torch.cat([t.detach().ravel() for t in group]).numpy() for k, group in groups.items()}


def main() -> None:
    import torch

    torch.manual_seed(7)
    rng = np.random.default_rng(7)
    arrays = {"names": np.array([name for name, _ in CONFIGURATIONS]),
              "options": np.array([repr(options) for _, options in CONFIGURATIONS]), "lengths": np.array(LENGTHS)}
    for i, (name, options) in enumerate(CONFIGURATIONS):
        for padded in (False, True)[:1 if name.endswith("Cell") else 2]:
            found = record(name, options, padded, rng)
            arrays |= {f"{i}{'p' if padded else ''}.{k}": v for k, v in found.items()}
    np.savez_compressed(Path(__file__).with_name("recurrent.npz"), **arrays)


if __name__ == "__main__":
    main()
