"""
Derivatives of any order
========================

`minidl.grad` takes a function to its gradient, which is a function again: once more gives the second derivative. On the
way, Newton's method on a valley that is hard to walk downhill.
"""

# %%
# One function, and its first three derivatives
# ---------------------------------------------
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import ops


def f(x):
    return ops.exp(-ops.square(x)).sum()  # a sum over independent points: the gradient has them all


def derivative(g):
    return lambda x: minidl.grad(g)(x).sum()


x = np.linspace(-3, 3, 201)
first, second, third = minidl.grad(f), minidl.grad(derivative(f)), minidl.grad(derivative(derivative(f)))

figure, axes = plt.subplots(figsize=(6, 3.5))
axes.plot(x, np.exp(-x**2), label="exp(-x²)")
for order, g in enumerate([first, second, third], 1):
    axes.plot(x, g(x), label=f"derivative {order}")
axes.legend()
figure.tight_layout()

# %%
# They are exact, not differences of values:
assert np.allclose(second(x), (4 * x**2 - 2) * np.exp(-x**2), rtol=0, atol=1e-14)


# %%
# Newton's method
# ---------------
# Rosenbrock's valley has its lowest point at (1, 1). The gradient alone leads across the valley, the Hessian along it.
def valley(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


path = [np.array([-1.2, 1.0])]
while np.linalg.norm(minidl.grad(valley)(path[-1])) > 1e-8:
    p = path[-1]
    path.append(p - np.linalg.solve(minidl.hessian(valley)(p), minidl.grad(valley)(p)))
print(f"{len(path) - 1} steps, to {path[-1]}")

a, b = np.meshgrid(np.linspace(-1.6, 1.6, 200), np.linspace(-4, 2, 200))
figure, axes = plt.subplots(figsize=(6, 3.5))
axes.contour(a, b, valley(np.stack([a, b])), levels=np.geomspace(0.1, 2000, 12), linewidths=0.6)
axes.plot(*np.array(path).T, "o-", color="black", markersize=4)
axes.set(title="Newton's steps to (1, 1)")
figure.tight_layout()
