"""Masks of dropout: Numba equals its NumPy reference, the numbers are SplitMix64's, and they look random."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import nn
from minidl.kernels import numba_masks, numpy_masks

KEYS = st.integers(0, 2**64 - 1).map(np.uint64)
CHANCES = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 1e-12, 1 - 1e-12, 0.5])


def drawn(module, key, p, n, dtype=np.float32):
    out = np.full(n, np.nan, dtype)
    module.dropout_factors(np.uint64(key), p, 0 if p == 1 else 1 / (1 - p), out)
    return out


@given(KEYS, CHANCES, st.integers(0, 40) | st.sampled_from([65_535, 65_536, 65_537, 100_001]),
       st.sampled_from([np.float32, np.float64]))
def test_kernel_equals_its_reference_bit_for_bit(key, p, n, dtype):
    fast, plain = (drawn(module, key, p, n, dtype) for module in (numba_masks, numpy_masks))
    assert fast.tobytes() == plain.tobytes()
    assert np.all((plain == 0) | (plain == dtype(0 if p == 1 else 1 / (1 - p))))


@given(KEYS)
def test_nothing_and_everything(key):
    assert np.all(drawn(numpy_masks, key, 0.0, 999) == 1)
    assert np.all(drawn(numpy_masks, key, 1.0, 999) == 0)


def test_the_numbers_are_those_of_splitmix64():
    """Its state in Python's integers: figure 18 of the paper."""
    state, mask = 1234567, 2**64 - 1
    expected = []
    for _ in range(6):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        expected.append(z ^ (z >> 31))
    assert expected[:3] == [6457827717110365317, 3203168211198807973, 9817491932198370423]  # widely published
    p = expected[2] / 2**64  # just so that the third upper half is at the edge
    for module in (numba_masks, numpy_masks):
        kept = drawn(module, 1234567, p, 12) > 0
        draws = [z >> 32 for z in expected] + [z & 0xFFFFFFFF for z in expected]
        assert kept.tolist() == [draw >= round(p * 2**32) for draw in draws]


def test_bits_do_not_depend_on_threads():
    before, found = numba.get_num_threads(), []
    for threads in (1, before):
        numba.set_num_threads(threads)
        found.append(drawn(numba_masks, 7, 0.3, 300_001).tobytes())
    numba.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9])
def test_draws_are_independent_and_as_frequent_as_they_should_be(p):
    """Frequencies, also of pairs at several distances and of the same place for neighbouring keys, within 5 sigma."""
    n = 1_000_000
    dropped = [drawn(numba_masks, key, p, n) == 0 for key in (0, 1, 2**63)]
    for a in dropped:
        assert abs(a.mean() - p) < 5 * np.sqrt(p * (1 - p) / n)
    pairs = [(dropped[0][d:], dropped[0][:-d]) for d in (1, 2, 64, 4096, n // 2)] + [(dropped[0], dropped[1])]
    for a, b in pairs:
        both = np.mean(a & b)
        assert abs(both - p * p) < 5 * np.sqrt(p * p * (1 - p * p) / len(a))


def test_masks_come_from_the_generator():
    x, masks = np.ones((4, 50), np.float32), []
    for seed in (1, 1, 2):
        layer = nn.Dropout(0.4, np.random.default_rng(seed))
        masks.append([layer(x).tobytes(), layer(x).tobytes()])
    assert masks[0] == masks[1] != masks[2]
    assert masks[0][0] != masks[0][1]
