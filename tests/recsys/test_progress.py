"""Progress objects: three verbs, nested tasks, closed whatever happens."""

from __future__ import annotations

import io

import pytest

from minidl.errors import MissingExtraError
from recsys import progress
from recsys.errors import ParameterError


def work(bar):
    bar.start(2, "folds")
    for loss in (0.5, 0.25):
        bar.start(None, "epochs")
        bar.advance(3, loss=loss)
        bar.stop()
        bar.advance()
    bar.stop()


def test_plain_lines_are_nested_and_show_fields():
    stream = io.StringIO()
    work(progress.plain(stream, interval=0.0))
    lines = [line.split(" (")[0] for line in stream.getvalue().splitlines()]
    assert lines == ["  epochs 3 loss=0.5", "  epochs 3 loss=0.5", "folds 1/2", "  epochs 3 loss=0.25",
                     "  epochs 3 loss=0.25", "folds 2/2"]


def test_plain_lines_wait_for_the_interval():
    stream = io.StringIO()
    bar = progress.plain(stream, interval=1e9)
    bar.start(1_000, "steps")
    for _ in range(1_000):
        bar.advance(1, step="x")
    bar.stop()
    assert stream.getvalue().startswith("steps 1,000/1,000 step=x (")
    assert stream.getvalue().count("\n") == 1


def test_silent_says_nothing(capsys):
    work(progress.silent())
    assert capsys.readouterr() == ("", "")


def test_rich_draws_to_its_stream():
    pytest.importorskip("rich")
    stream = io.StringIO()
    work(progress.rich(stream))
    work(progress.make("rich", stream))


def test_rich_that_is_missing_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"minidl\[cli\]"):
        progress.make("rich")


def test_auto_is_plain_where_there_is_no_terminal():
    stream = io.StringIO()
    work(progress.make("auto", stream))
    assert "folds 2/2" in stream.getvalue()


def test_unknown_kind():
    with pytest.raises(ParameterError, match="kind must be"):
        progress.make("loud")


def test_a_task_is_closed_after_an_error():
    stream = io.StringIO()
    bar = progress.plain(stream)

    def fail():
        with progress.task(bar, 5, "outer") as outer:
            outer.advance(2)
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert stream.getvalue().startswith("outer 2/5")
