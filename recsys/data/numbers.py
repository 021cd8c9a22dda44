"""Numbers in delimited text: which fields are some, and all of a column at once."""

from __future__ import annotations

import re

import numpy as np

__all__ = ["FLOAT", "INTEGRAL", "NO_INTEGER", "is_number", "scan"]

_NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
FLOAT = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf(inity)?|nan)", re.ASCII | re.IGNORECASE)
"""What is read as a number; Python would also take `1_000` and digits of other scripts."""
INTEGRAL = re.compile(r"(-?[1-9]\d*|0)\.0*", re.ASCII)
"""An integer as columns of floats write it."""
NO_INTEGER = re.compile(r"-?(0|[1-9]\d*)\.\d*|-?[1-9]\d{18,}", re.ASCII)
"""What looks like an id that is a number, and is a fraction or too large to be an integer."""


def is_number(field: str) -> bool:
    """Whether a field is a number as it is usually written: no leading zeros, `nan` or `inf`."""
    return _NUMBER.fullmatch(field.strip()) is not None


def scan(
    buffer: np.ndarray, start: np.ndarray, length: np.ndarray, decimal: str = "."
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fields like `-12.50` as digits 1250 (uint64), decimals 2 (-1: no point), sign, and whether they are so."""
    n = len(start)
    negative = (buffer[start] == ord("-")) & (length > 0)
    start, length = start + negative, length - negative
    digits, count = np.zeros(n, np.uint64), np.zeros(n, np.int8)
    decimals, plain = np.full(n, -1, np.int8), (length > 0) & (length <= 20)
    for p in range(min(int(length.max(initial=0)), 20)):
        byte = buffer[np.minimum(start + p, len(buffer) - 1)]
        inside, digit = p < length, byte - np.uint8(ord("0"))  # wraps below "0"
        is_digit = inside & (digit < 10)
        is_point = inside & (byte == ord(decimal)) & (decimals < 0)
        digits = np.where(is_digit, digits * np.uint64(10) + digit, digits)
        count += is_digit
        decimals += is_point | (is_digit & (decimals >= 0))
        plain &= is_digit | is_point | ~inside
    return digits, decimals, negative, plain & (count > 0) & (count < 20)
