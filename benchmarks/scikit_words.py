"""TF-IDF against scikit-learn, on the plots of films."""

from __future__ import annotations

import numpy as np

from benchmarks.datasets import checksum, file, says
from benchmarks.harness import Arrays, Claim, Session, close

_PLOTS = "tmdb-5000/tmdb_5000_movies.csv.gz"


def data() -> Arrays:
    """The plots of `tmdb-5000` that there are."""
    from recsys.data.readers import read_table

    texts = [text for text in read_table(file(_PLOTS), header=True).texts("overview").tolist() if text]
    about = {"name": "tmdb-5000", "fingerprint": checksum(file(_PLOTS))}
    return {"text": np.array(texts, np.str_)} | says(about)


def _summed(rows: np.ndarray, values: np.ndarray, n: int) -> Arrays:
    """What two matrices have in common whatever the order of their columns: sums and sums of cubes of rows."""
    return {"sums": np.bincount(rows, values, n), "cubes": np.bincount(rows, np.asarray(values, float) ** 3, n)}


def _ours(arrays: Arrays) -> Session:
    from recsys.data.words import count_texts, inverse_document_frequency, tf_idf

    texts, found = arrays["text"].tolist(), []

    def run() -> None:
        counts, _ = count_texts(texts)
        found[:] = [tf_idf(counts, inverse_document_frequency(counts))]

    return Session(run, lambda: _summed(found[0].row_of_entry, found[0].weights, len(texts)))


def _theirs(arrays: Arrays) -> Session:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, found = [text.replace("’", "'") for text in arrays["text"].tolist()], []
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"[^\W_]+(?:'[^\W_]+)*", dtype=np.float32)

    def run() -> None:
        found[:] = [vectorizer.fit_transform(texts).tocoo()]

    return Session(run, lambda: _summed(found[0].row, found[0].data, len(texts)))


def _agree(ours: Arrays, theirs: Arrays) -> str:
    return " and ".join(close(ours[name], theirs[name], f"{name} of rows", rtol=1e-5) for name in ("sums", "cubes"))


CLAIMS = [Claim("tf-idf", "TF-IDF of 4,800 plots: words, counts, weights", "scikit-learn", 2.0, data, _ours, _theirs,
                _agree, on="tmdb-5000")]
