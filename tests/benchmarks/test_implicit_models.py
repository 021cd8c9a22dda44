"""Item-kNN is the same work on both sides: the neighbours agree, on real data and on data that is made."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from benchmarks import datasets, implicit_models

pytest.importorskip("implicit")


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.filterwarnings("ignore:Method expects CSR")
def test_item_knn_agrees(real, request, monkeypatch):
    if real:
        monkeypatch.setattr(datasets, "SHARED", request.getfixturevalue("shared_data"))
    else:
        monkeypatch.setitem(datasets._SIZES, "ml-1m", (300, 200, 9000))
    claim = next(claim for claim in implicit_models.CLAIMS if claim.name == "item-knn")
    with nullcontext() if real else datasets.simulating():
        arrays = claim.data()
    results = []
    for side in claim.ours, claim.theirs:
        session = side(arrays)
        session.run()
        results.append(session.result())
    assert "within" in claim.agree(*results)
    assert (results[0]["similarity"] > 0).any()
