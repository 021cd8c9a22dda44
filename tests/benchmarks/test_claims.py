"""Every claim's own side runs, on made data of few rows."""

from __future__ import annotations

import pytest

from benchmarks import datasets, speed

CLAIMS = {claim.name: claim for _, claim in speed.claims() if claim.on not in (datasets.MADE, datasets.NONE)}


@pytest.mark.parametrize("name", CLAIMS)
def test_our_side_of_a_claim_on_a_set(name, monkeypatch):
    monkeypatch.setattr(datasets, "_SIZES", dict.fromkeys(datasets._SIZES, (80, 60, 1500)))
    with datasets.simulating():
        session = CLAIMS[name].ours(CLAIMS[name].data())
    session.run()
    assert session.result()
