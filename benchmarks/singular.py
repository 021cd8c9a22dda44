"""The truncated singular value decomposition of a sparse matrix against scipy's."""

from __future__ import annotations

import numpy as np

from benchmarks.datasets import described, real, says
from benchmarks.harness import Arrays, Claim, Session, close

RANK, ACCURACY = 256, 1e-4


def data() -> Arrays:
    """Gowalla's pairs of training, each divided by the roots of both its numbers of events."""
    found = real("gowalla-lightgcn", part="train")
    user, item = found.user, found.item
    weight = 1 / np.sqrt(np.bincount(user)[user] * np.bincount(item)[item])
    return {"user": user, "item": item, "weight": weight.astype(np.float32),
            "shape": np.array([found.n_users, found.n_items])} | says(described("gowalla-lightgcn", found))


def _ours(arrays: Arrays) -> Session:
    from recsys.data.csr import CSR
    from recsys.models.svd import truncated_svd

    n, m = arrays["shape"].tolist()
    matrix, found = CSR.from_pairs(arrays["user"], arrays["item"], arrays["weight"], (n, m)), []

    def run() -> None:
        found[:] = [truncated_svd(matrix, RANK, accuracy=ACCURACY)]

    return Session(run, lambda: {"values": found[0].values})


def _theirs(arrays: Arrays) -> Session:
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import svds

    matrix = csr_matrix((arrays["weight"], (arrays["user"], arrays["item"])), shape=tuple(arrays["shape"].tolist()))
    found: list[np.ndarray] = []

    def run() -> None:
        found[:] = [svds(matrix, k=RANK, tol=ACCURACY, random_state=0)[1]]

    return Session(run, lambda: {"values": np.sort(found[0])[::-1]})


def _agree(ours: Arrays, theirs: Arrays) -> str:
    return close(ours["values"], theirs["values"], "singular values", rtol=1e-4)


CLAIMS = [Claim("truncated-svd", f"the {RANK} largest singular triplets of Gowalla", "scipy's svds", 1.5, data, _ours,
                _theirs, _agree, rounds=3, on="gowalla-lightgcn")]
