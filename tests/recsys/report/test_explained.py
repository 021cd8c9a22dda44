"""The page of explanations."""

from __future__ import annotations

import pytest

from recsys.explanation import Explanation, Part
from recsys.report.explained import explained

pytest.importorskip("matplotlib")


def made(title: str, n: int) -> Explanation:
    parts = [Part("history", f"<b>{title} {i}", 1.0 - i, 1 / n, i) for i in range(n)]
    return Explanation("EASE", 1, title, 1.0, 2, "model", "exact", parts, 1e-9, 0.0, "points", 0.05,
                       content=[Part("content", "genres=Comedy", 0.4, 0.4)], sentences=("Because of <this>.",))


def test_titles_are_text_and_small_parts_are_counted():
    page = explained("user 7", [made("A & B", 15), made("C", 3)])
    assert "<b>" not in page
    assert "&lt;b&gt;A &amp; B 0" in page
    assert "Because of &lt;this&gt;." in page
    assert "3 smaller parts are not shown" in page
    assert page.count("<rect") == 12 + 1 + 3 + 1
    assert "genres=Comedy" in page


def test_the_same_input_gives_the_same_page():
    assert explained("user 7", [made("A", 3)]) == explained("user 7", [made("A", 3)])
