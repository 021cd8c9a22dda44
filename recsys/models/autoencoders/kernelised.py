"""Dense layers whose weights a kernel thins out, and a small kernel that all ratings are convolved with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minidl import nn, ops
from recsys.data.csr import CSR

__all__ = ["GlobalKernel", "KernelAutoencoder", "KernelLayer", "kernel_autoencoder"]


class KernelLayer(nn.Module):
    """`y = (W * K)' x + b` with `K_ij = max(0, 1 - |u_i - v_j|^2)`: a weight lives where its input and output are near.

    Parameters
    ----------
    inputs, outputs : int
    dimensions : int
        Of the vectors u and v.
    generator : numpy.random.Generator

    References
    ----------
    Muller, Martel and Indiveri, Kernelized Synaptic Weight Matrices, ICML 2018, equations 3 and 6.
    """

    def __init__(self, inputs: int, outputs: int, dimensions: int, generator: np.random.Generator) -> None:
        self.weight = nn.Parameter(np.empty((inputs, outputs), np.float32))
        nn.init.xavier_uniform_(self.weight, generator=generator)
        self.bias = nn.Parameter(np.zeros(outputs, np.float32))
        self.inputs = nn.Parameter(_near(inputs, dimensions, generator))
        self.outputs = nn.Parameter(_near(outputs, dimensions, generator))

    def kernel(self) -> Any:
        """K: (inputs, outputs)."""
        u, v = self.inputs, self.outputs
        squares = ops.square(u).sum(axis=1, keepdims=True) + ops.square(v).sum(axis=1) - 2 * (u @ v.T)
        return ops.relu(1 - squares)

    def table(self) -> Any:
        """The weights that are in force: (inputs, outputs)."""
        return self.weight * self.kernel()

    def forward(self, x: Any) -> Any:
        """Rows of numbers, dense or CSR: (B, inputs) -> (B, outputs)."""
        if isinstance(x, CSR):
            return ops.embedding_bag(x.indices, self.table(), x.indptr, "sum", x.data, True) + self.bias
        return x @ self.table() + self.bias


def _near(rows: int, dimensions: int, generator: np.random.Generator) -> np.ndarray:
    """Vectors so close to each other that nearly all weights live at the start."""
    return (1e-3 * generator.standard_normal((rows, dimensions))).astype(np.float32)


class GlobalKernel(nn.Module):
    """Rows of ratings convolved with one kernel, `relu(ratings * (1 + sum_i mean_i w_i / n))`; 1 does nothing.

    The ratings are an image here, whose rows and columns are next to each other as they are numbered. mean_i is the
    mean of what a network gives for row i, which is told once; until then, and while w is 0, rows stay as they are.

    Parameters
    ----------
    rows : int
        n.
    size : int
        Of the kernel, in rows and columns; odd.

    References
    ----------
    Han et al., GLocal-K, CIKM 2021, equations 5 to 7, whose kernel begins at random, without the 1.
    """

    means: np.ndarray

    def __init__(self, rows: int, size: int = 3) -> None:
        self.weight = nn.Parameter(np.zeros((rows, size * size), np.float32))
        self.register_buffer("means", np.zeros(rows, np.float32))
        self.size = size

    def kernel(self) -> Any:
        """(size, size)."""
        still = np.zeros(self.size ** 2, np.float32)
        still[len(still) // 2] = 1
        return (self.means @ self.weight / len(self.means) + still).reshape(self.size, self.size)

    def forward(self, ratings: CSR, which: np.ndarray) -> Any:
        """Rows of the ratings, (n, m), convolved: int (B,) -> (B, m), or CSR as long as no means were told."""
        if not self.means.any():
            return ratings.rows(which)
        reach = self.size // 2
        around = np.asarray(which)[:, None] + np.arange(-reach, reach + 1)
        inside = (around >= 0) & (around < ratings.shape[0])
        image = ratings.rows(np.where(inside, around, 0).ravel()).toarray() * inside.reshape(-1, 1)
        image = image.reshape(len(around), 1, self.size, -1)
        found = ops.conv2d(image, self.kernel().reshape(1, 1, self.size, self.size), padding=(0, reach))
        return ops.relu(found).reshape(len(around), -1)


class KernelAutoencoder(nn.Module):
    """Rows of ratings to hidden layers and back, all of them `KernelLayer`s.

    Parameters
    ----------
    columns : int
        Length of a row.
    hidden : sequence of int
    dimensions : int
    generator : numpy.random.Generator
    """

    def __init__(self, columns: int, hidden: Sequence[int], dimensions: int, generator: np.random.Generator) -> None:
        self.inner = nn.ModuleList(KernelLayer(a, b, dimensions, generator) for a, b in pairwise([columns, *hidden]))
        self.output = KernelLayer(hidden[-1], columns, dimensions, generator)

    def encode(self, rows: Any) -> Any:
        """Dense or CSR (B, columns) -> (B, hidden[-1])."""
        x = rows
        for layer in self.inner:
            x = ops.sigmoid(layer(x))
        return x

    def decoder(self) -> tuple[Any, Any]:
        """Weights and bias that take codes to rows: (columns, hidden[-1]), (columns,)."""
        return self.output.table().T, self.output.bias

    def penalty(self, reg: float, reg_kernel: float) -> Any:
        """Half the sums of the squared weights and of the squared kernels, weighted."""
        layers = [*self.inner, self.output]
        weights = sum((ops.square(layer.weight).sum() for layer in layers), 0.0)
        kernels = sum((ops.square(layer.kernel()).sum() for layer in layers), 0.0)
        return 0.5 * reg * weights + 0.5 * reg_kernel * kernels


def kernel_autoencoder(n_users: int, n_items: int, rng: np.random.Generator, *, of: str, hidden: Sequence[int],
                       dimensions: int) -> KernelAutoencoder:
    """A `KernelAutoencoder` of rows of items, or of users."""
    return KernelAutoencoder(n_items if of == "items" else n_users, hidden, dimensions, rng)
