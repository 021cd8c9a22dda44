"""Whether there is anything to compare with."""

from __future__ import annotations

import pytest

from tests.peers.conftest import ABSENT


def test_the_peers_are_installed() -> None:
    if ABSENT:
        pytest.skip(f"{' and '.join(ABSENT)} not installed, so nothing is compared with them; see make test-peers")
