"""NumPy reference of the kernel of dropout masks."""

from __future__ import annotations

import numpy as np

__all__ = ["GAMMA", "MIX", "dropout_factors", "threshold"]

GAMMA = np.uint64(0x9E3779B97F4A7C15)  # between the states of SplitMix64
MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def threshold(p: float) -> np.uint64:
    """How many of the 2**32 draws mean 0: p, to the nearest."""
    return np.uint64(round(p * 2**32))


def dropout_factors(key: np.uint64, p: float, scale: float, out: np.ndarray) -> None:
    """0 with probability p, else `scale`, each for itself.

    The j-th number of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014,
    figure 18) started with `key` is computed from j alone, so the result does not depend on who computes which part;
    its upper half is the draw for `out[j]`, its lower half that for the j-th entry of the second half.

    Parameters
    ----------
    key : numpy.uint64
    p : float
        From 0 to 1; taken to the nearest multiple of 2**-32.
    scale : float
    out : float array, shape (n,)
        Filled in place.
    """
    half = (len(out) + 1) // 2
    z = key + np.arange(1, half + 1, dtype=np.uint64) * GAMMA  # modulo 2**64, as all that follows
    z = (z ^ (z >> np.uint64(30))) * MIX[0]
    z = (z ^ (z >> np.uint64(27))) * MIX[1]
    z ^= z >> np.uint64(31)
    draws = np.concatenate([z >> np.uint64(32), z & np.uint64(0xFFFFFFFF)])[:len(out)]
    out[:] = np.where(draws >= threshold(p), scale, 0)
