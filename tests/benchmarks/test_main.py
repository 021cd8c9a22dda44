"""The command begins again without a variable that holds NumPy back, whatever it is asked for."""

from __future__ import annotations

import os
import sys

import pytest

from benchmarks import __main__ as command


@pytest.mark.parametrize("arguments", [["--list"], ["accuracy", "popular-100k"], ["cold"], ["serving"], ["tables"]])
def test_openblas_may_choose_its_kernels(arguments, monkeypatch):
    class Begun(Exception):
        pass

    def execv(program, line):
        assert program == sys.executable
        assert line == [sys.executable, "-m", "benchmarks", *arguments]
        assert "OPENBLAS_CORETYPE" not in os.environ
        raise Begun

    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setattr(os, "execv", execv)
    with pytest.raises(Begun):
        command.main(arguments)


def test_without_it_the_command_runs_in_this_process(monkeypatch, capsys):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    assert command.main(["item-knn", "--list"]) == 0
    assert capsys.readouterr().out == "item-knn\n"
