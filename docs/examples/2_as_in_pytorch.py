"""
A network as in PyTorch
=======================

Modules, losses and optimizers have the names and the arguments that they have there. Two half moons, a network with two
layers, and what it makes of the plane.
"""

import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import nn, ops, optim

rng = np.random.default_rng(0)
angle, kind = rng.uniform(0, np.pi, 400), np.repeat([0, 1], 200)
moons = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.where(kind, -1, 1)[:, None] + kind[:, None] * [1, 0.4]
x = (moons + rng.normal(0, 0.12, moons.shape)).astype(np.float32)

# %%
# The loop is the one you know.
net = nn.Sequential(nn.Linear(2, 32, generator=rng), nn.ReLU(), nn.Linear(32, 32, generator=rng), nn.ReLU(),
                    nn.Linear(32, 2, generator=rng))
loss, optimizer = nn.CrossEntropyLoss(), optim.AdamW(net.parameters(), lr=0.01)
curve = []
for _ in range(300):
    optimizer.zero_grad()
    error = loss(net(minidl.tensor(x)), kind)
    error.backward()
    optimizer.step()
    curve.append(error.item())
print(f"the loss falls from {curve[0]:.2f} to {curve[-1]:.3f}")

# %%
# What it has learned, and how.
a, b = np.meshgrid(np.linspace(-1.5, 2.5, 150), np.linspace(-1.2, 1.6, 150))
with minidl.no_grad():
    scores = net(minidl.tensor(np.stack([a.ravel(), b.ravel()], axis=1).astype(np.float32)))
    share = ops.softmax(scores, dim=1).data[:, 1]

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.3))
left.contourf(a, b, share.reshape(a.shape), levels=20, cmap="RdBu", alpha=0.7)
left.scatter(*x.T, c=kind, cmap="RdBu", s=8, edgecolors="black", linewidths=0.3)
left.set(title="which moon")
right.semilogy(curve)
right.set(title="loss", xlabel="step")
figure.tight_layout()

# %%
# `net.state_dict()` has PyTorch's names, and goes into a file that PyTorch reads.
print(*net.state_dict(), sep=", ")
