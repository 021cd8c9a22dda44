"""Words of texts and labels, counted, and how much each says: TF-IDF and BM25."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, count

import numpy as np

from recsys import kernels
from recsys.data.csr import CSR, ranges

__all__ = ["bm25", "bm25_rarity", "count_texts", "count_words", "inverse_document_frequency", "known_columns",
           "tf_idf", "unit_rows", "words_of"]

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_BYTES = np.zeros(256, np.uint8)  # letters and digits of ASCII, in lower case, apostrophes, all else but ASCII; or 0
for _byte in range(256):
    if _byte >= 128 or chr(_byte).isalnum() or chr(_byte) == "'":
        _BYTES[_byte] = _byte + 32 * (ord("A") <= _byte <= ord("Z"))


def words_of(text: str) -> list[str]:
    """The words of a text in lower case: letters and digits, with apostrophes inside; all else separates.

    >>> words_of("Schindler's List (1993): a TRUE story")
    ["schindler's", 'list', '1993', 'a', 'true', 'story']
    """
    return [word.lower() for word in _WORD.findall(text.replace("’", "'"))]


def count_words(documents: Iterable[Sequence[str]]) -> tuple[CSR, np.ndarray]:
    """How often each document has each word, and the words, which are the names of the columns, ascending.

    >>> counts, words = count_words([["tea", "red", "tea"], [], ["jam"]])
    >>> words.tolist(), counts.toarray().tolist()
    (['jam', 'red', 'tea'], [[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    """
    documents = list(documents)
    numbers: defaultdict[str, int] = defaultdict(count().__next__)  # the first time a word is asked for numbers it
    found = np.fromiter(map(numbers.__getitem__, chain.from_iterable(documents)), np.int64)
    lengths = np.fromiter(map(len, documents), np.int64, len(documents))
    return _counted(np.repeat(np.arange(len(documents)), lengths), found, [[word] for word in numbers], len(documents))


def count_texts(texts: Sequence[str]) -> tuple[CSR, np.ndarray]:
    """The same of the words of texts, as `words_of` gives them, faster: what occurs again is looked into once.

    >>> counts, words = count_texts(["Red tea, green TEA", ""])
    >>> words.tolist(), counts.toarray().tolist()
    (['green', 'red', 'tea'], [[1.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    """
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    data = _BYTES[np.frombuffer(b"\0".join([*encoded, b""]), np.uint8)]  # a 0 behind each text
    edges = np.flatnonzero(np.diff(data != 0, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]  # of the runs of bytes other than 0
    numbers, first = kernels.words.number_distinct(data, starts, ends)
    plain = data.tobytes()
    runs = (plain[start:end].decode("utf-8", "surrogatepass")
            for start, end in zip(starts[first].tolist(), ends[first].tolist(), strict=True))
    inside = [[run] if run.isascii() and run.isalnum() else words_of(run) for run in runs]
    behind = np.cumsum([len(text) + 1 for text in encoded], dtype=np.int64)
    return _counted(np.searchsorted(behind, starts, "right"), numbers, inside, len(encoded))


def _counted(rows: np.ndarray, runs: np.ndarray, inside: Sequence[Sequence[str]], n: int) -> tuple[CSR, np.ndarray]:
    """Counts (n, n_words) of the words inside of runs, of which each entry has a row and a number, and the words."""
    words = sorted(set(chain.from_iterable(inside)))
    number = {word: j for j, word in enumerate(words)}
    columns = np.fromiter(map(number.__getitem__, chain.from_iterable(inside)), np.int64)
    lengths = np.fromiter(map(len, inside), np.int64, len(inside))
    held = lengths[runs]  # words of each entry
    keys = np.repeat(rows, held) * len(words) + columns[ranges((np.cumsum(lengths) - lengths)[runs], held)]
    keys.sort()
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    row, column = np.divmod(keys[first], max(len(words), 1))
    counts = np.diff(np.append(first, len(keys))).astype(np.float32)
    indptr = np.searchsorted(row, np.arange(n + 1))
    return CSR(indptr, column.astype(np.int32), counts, (n, len(words))), np.array(words, np.str_)


def known_columns(counts: CSR, words: np.ndarray, known: np.ndarray) -> CSR:
    """The same counts by the numbers of known words, others left out.

    Parameters
    ----------
    counts : CSR, shape (n, n_words)
    words : str array, shape (n_words,)
        The names of its columns.
    known : str array, shape (n_known,)
        Distinct.

    Returns
    -------
    CSR, shape (n, n_known)

    Examples
    --------
    >>> known_columns(*count_words([["tea", "bun", "tea"]]), np.array(["jam", "tea"])).toarray()
    array([[0., 2.]], dtype=float32)
    """
    number = {word: j for j, word in enumerate(known.tolist())}
    column = np.array([number.get(word, -1) for word in words.tolist()], np.int32)
    kept = counts.where(column[counts.indices] >= 0)
    return CSR(kept.indptr, column[kept.indices], kept.data, (counts.shape[0], len(known)))


def inverse_document_frequency(counts: CSR) -> np.ndarray:
    """`log((1 + n) / (1 + df)) + 1` of each word, df of the n documents having it: float32 (n_words,).

    >>> inverse_document_frequency(CSR.from_pairs([0, 1], [0, 0], None, (2, 2))).round(3)
    array([1.   , 2.099], dtype=float32)
    """
    present = np.bincount(counts.indices, minlength=counts.shape[1])
    return np.asarray(np.log((1 + counts.shape[0]) / (1 + present)) + 1, np.float32)


def tf_idf(counts: CSR, rarity: np.ndarray) -> CSR:
    """`(1 + log(tf)) * rarity`, the second time that a word occurs saying less than the first; rows of length 1.

    Parameters
    ----------
    counts : CSR, shape (n, n_words)
        Above 0.
    rarity : ndarray of float32, shape (n_words,)
        As `inverse_document_frequency` gives it, of the documents that were learned from.

    References
    ----------
    Salton and Buckley, Term-weighting approaches in automatic text retrieval, Information Processing & Management 1988.

    Examples
    --------
    >>> tf_idf(CSR.from_pairs([0, 0], [0, 1], [1.0, 1.0], (1, 2)), np.array([3, 4], np.float32)).toarray()
    array([[0.6, 0.8]], dtype=float32)
    """
    weights = (1 + np.log(counts.weights)) * rarity[counts.indices]
    return unit_rows(CSR(counts.indptr, counts.indices, weights, counts.shape))


def bm25_rarity(counts: CSR) -> np.ndarray:
    """`log(1 + (n - df + 1/2) / (df + 1/2))` of each word, df of the n documents having it: float32 (n_words,).

    >>> bm25_rarity(CSR.from_pairs([0], [0], None, (3, 2))).round(3)
    array([0.981, 2.079], dtype=float32)
    """
    present = np.bincount(counts.indices, minlength=counts.shape[1])
    return np.asarray(np.log(1 + (counts.shape[0] - present + 0.5) / (present + 0.5)), np.float32)


def bm25(counts: CSR, rarity: np.ndarray, usual: float, saturation: float = 1.2, length: float = 0.75) -> CSR:
    """`rarity * tf * (saturation + 1) / (tf + saturation * (1 - length + length * l / usual))`, l the row's sum.

    Parameters
    ----------
    counts : CSR, shape (n, n_words)
        Above 0.
    rarity : ndarray of float32, shape (n_words,)
        As `bm25_rarity` gives it, of the documents that were learned from.
    usual : float
        Mean length of the documents that were learned from.
    saturation : float
        Called k1: how much the second time that a word occurs adds to the first.
    length : float
        Called b: how much long documents are held back, from 0 to 1.

    References
    ----------
    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009, section 3.4; the rarity is
    Lucene's, which is never below 0.

    Examples
    --------
    >>> bm25(CSR.from_pairs([0], [0], [1.0], (1, 1)), np.ones(1, np.float32), 1.0).toarray()
    array([[1.]], dtype=float32)
    """
    tf, row = counts.weights, counts.row_of_entry
    lengths = np.bincount(row, tf, counts.shape[0])
    held_back = saturation * (1 - length + length * lengths / max(usual, 1e-12))
    data = rarity[counts.indices] * tf * (saturation + 1) / (tf + held_back[row])
    return CSR(counts.indptr, counts.indices, data.astype(np.float32), counts.shape)


def unit_rows(matrix: CSR) -> CSR:
    """Rows divided by their length; empty ones stay.

    >>> unit_rows(CSR.from_pairs([0, 0], [0, 1], [3.0, 4.0], (2, 2))).toarray().tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    squares = np.bincount(matrix.row_of_entry, matrix.weights.astype(np.float64) ** 2, matrix.shape[0])
    scale = 1 / np.sqrt(np.where(squares > 0, squares, 1))
    return CSR(matrix.indptr, matrix.indices, (matrix.weights * scale[matrix.row_of_entry]).astype(np.float32),
               matrix.shape)
