"""Words as bytes in Numba; what each kernel does is described at its NumPy reference."""

from __future__ import annotations

import numpy as np

from minidl.kernels.ahead import njit

__all__ = ["number_distinct"]

_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # of the FNV-1a hash


def number_distinct(data, starts, ends):
    n = len(starts)
    numbers, first = np.empty(n, np.int64), np.empty(n, np.int64)
    places = np.full(1 << max(4, (2 * n - 1).bit_length()), -1, np.int64)  # at most half of them will be taken
    return numbers, first[:_number_distinct(data, starts, ends, places, numbers, first)].copy()


@njit(cache=True, nogil=True)
def _number_distinct(data, starts, ends, places, numbers, first):
    """A hash table with open addresses: a place holds the number whose first piece has the hash."""
    mask, found = np.uint64(len(places) - 1), 0
    for i in range(len(starts)):
        start, length = starts[i], ends[i] - starts[i]
        code = _BASIS
        for at in range(start, start + length):
            code = (code ^ np.uint64(data[at])) * _PRIME
        code ^= code >> np.uint64(32)
        place = code & mask
        while True:
            number = places[place]
            if number < 0:
                places[place], first[found], number = found, i, found
                found += 1
                break
            other = starts[first[number]]
            if ends[first[number]] - other == length:
                same = True
                for at in range(length):
                    if data[other + at] != data[start + at]:
                        same = False
                        break
                if same:
                    break
            place = (place + np.uint64(1)) & mask
        numbers[i] = number
    return found
