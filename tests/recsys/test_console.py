"""What people and machines read: cells, tables that fit, JSON that parses."""

import importlib.util
import io
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.console import WIDTH, Console, cell, measured, plain

numbers = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text())
trees = st.recursive(numbers, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def expected(tree):
    """A tree as JSON must give it back."""
    if isinstance(tree, list):
        return [expected(each) for each in tree]
    if isinstance(tree, dict):
        return {key: expected(each) for key, each in tree.items()}
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


@given(trees)
def test_documents_are_valid_json_and_lose_nothing(tree):
    stream = io.StringIO()
    Console(as_json=True, stream=stream).result(tree)
    assert stream.getvalue().isascii()
    assert json.loads(stream.getvalue(), parse_constant=pytest.fail) == expected(tree)


@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(3), np.bool_(True), np.str_("a"), np.array([1.0, np.nan]),
                                   (1, 2), np.array(["x"]), np.array([], np.int32)])
def test_numpy_values_become_plain(value):
    again = json.loads(json.dumps(plain(value), allow_nan=False))
    assert again == expected(value.tolist() if hasattr(value, "tolist") else list(value))


def test_other_objects_become_text():
    assert plain({1: complex(1, 2)}) == {"1": "(1+2j)"}


def test_only_the_document_is_printed_for_machines():
    stream = io.StringIO()
    console = Console(as_json=True, stream=stream)
    console.note("a note")
    console.table("title", ["a"], [[1]])
    console.pairs("title", {"a": 1})
    console.ranking("title", ["a"], [[1]])
    assert stream.getvalue() == ""
    Console(stream=stream).result({"a": 1})
    assert stream.getvalue() == ""


def test_warnings_go_to_standard_error(capsys):
    Console(as_json=True).warn("look out")
    assert capsys.readouterr() == ("", "recsys: note: look out\n")


words = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
sentences = st.lists(words, max_size=12).map(" ".join)


@pytest.mark.parametrize("rich", [True, False])
@given(rows=st.lists(st.tuples(sentences, sentences, st.floats(0, 1)), max_size=6), title=words, caption=sentences)
def test_tables_fit_and_keep_every_letter(rich, rows, title, caption):
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        find_spec = importlib.util.find_spec
        patch.setattr(importlib.util, "find_spec", lambda name: find_spec(name) if rich else None)
        Console(stream=stream).table(title, ["name", "why", "value"], rows, text=2, caption=caption)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines), default=0) <= WIDTH

    def letters(text):
        return sorted("".join(text.split()).replace("─", ""))

    contents = "".join(f"{a}{b}{v:.4f}" for a, b, v in rows)
    assert letters("".join(lines)) == letters(f"{title}namewhyvalue{contents}{caption}")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("rich", [True, False])
@given(names=st.lists(words, min_size=1, max_size=3), width=st.integers(40, 120),
       values=st.lists(st.floats(0, 1e6), min_size=1, max_size=12))
def test_numbers_are_never_broken_however_narrow_the_terminal(rich, names, width, values):
    stream = Terminal()
    metrics = [f"metric{i}@10" for i in range(len(values))]
    with pytest.MonkeyPatch.context() as patch:
        find_spec = importlib.util.find_spec
        patch.setattr(importlib.util, "find_spec", lambda name: find_spec(name) if rich else None)
        patch.setenv("COLUMNS", str(width))
        Console(stream=stream).table("results", ["model", *metrics], [[name, *values] for name in names])
    shown = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert max(map(len, shown.splitlines())) <= width
    found = shown.split()
    for text in (*metrics, *map(cell, values)):
        assert text in found


def test_notes_are_wrapped_and_lines_kept():
    stream = io.StringIO()
    Console(stream=stream).note("first\n" + "word " * 60)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "first"
    assert len(lines) > 2
    assert max(map(len, lines)) <= WIDTH


def test_markup_is_text():
    stream = io.StringIO()
    Console(stream=stream).table("[bold]", ["[red]x"], [["[/b] [i]tem"]], caption="[link]")
    for text in ("[bold]", "[red]x", "[/b] [i]tem", "[link]"):
        assert text in stream.getvalue()


@pytest.mark.parametrize(("value", "text"), [
    (None, "-"), (float("nan"), "-"), (np.float32("nan"), "-"), (True, "yes"), (np.False_, "no"), (1234, "1,234"),
    (np.int64(-5), "-5"), (0.5, "0.5000"), (12345.6, "12,346"), ([1, "a"], "1, a"), ({"a": None}, "a -"), ("x", "x")])
def test_cells(value, text):
    assert cell(value) == text


@pytest.mark.parametrize(("arguments", "text"), [
    (("ndcg@10", 0.25, 0.0123), "0.250 ± 0.012"), (("rmse", 0.9), "0.900"), (("popularity@10", 1234.5, 3.0), "1,234"),
    (("hit@1", None), "-"), (("hit@1", float("nan"), 1.0), "-"), (("hit@1", 0.5, float("nan")), "0.500")])
def test_measured(arguments, text):
    assert measured(*arguments) == text
