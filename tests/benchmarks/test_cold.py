"""Compilations are counted once, with their own seconds alone, in a place that is cold."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import cold
from benchmarks.cold import Place, _functions, functions_table

PROGRAM = """
import numba, numpy as np
from minidl.kernels import numba_dense
@numba.njit
def inner(x):
    return x + 1
@numba.njit
def outer(x):
    return inner(x) * 2
outer(1), outer(1), outer(1.5)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("cold"))


def test_nested_compilations_belong_to_themselves(place):
    run = place.run(["-c", PROGRAM])
    ours = [one for one in run["compiled"] if one["function"].startswith("__main__.")]
    assert [one["function"].rpartition(".")[2] for one in ours] == ["inner", "outer"] * 2  # nested ones end first
    assert [one["arguments"] for one in ours] == [["int64"]] * 2 + [["float64"]] * 2
    inner, outer = ours[:2]
    assert inner["own_s"] + outer["own_s"] <= outer["s"] * (1 + 1e-9)
    assert 0 < sum(one["own_s"] for one in run["compiled"]) <= run["cpu_s"]


def test_kernels_are_compiled_once_and_kept_in_the_empty_cache(place):
    program = ["-c", "import numpy as np; from minidl.kernels import optim, numba_masks; "
                     "numba_masks.__file__.index('clone'); from recsys.kernels import sparse; "
                     "sparse.group(np.zeros(3, np.int32), 2)"]
    first, second = place.run(program), place.run(program)
    assert any(one["function"].startswith("recsys.kernels.") for one in first["compiled"])
    assert any(place.kernels.rglob("*.nbi"))
    assert second["compiled"] == []


def test_processes_that_a_program_starts_count_too(place):
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    compiled = place.run(["-c", program, PROGRAM])["compiled"]
    assert sum(one["function"] == "__main__.outer" for one in compiled) == 2


def test_a_program_without_numba_stays_without(place):
    assert place.run(["-c", "import recsys, sys; sys.exit('numba' in sys.modules)"])["compiled"] == []


def test_a_program_that_fails_is_no_result(place):
    with pytest.raises(RuntimeError, match="no such thing"):
        place.run(["-c", "import sys; sys.exit('no such thing')"])


def test_functions_are_grouped_and_the_longest_come_first():
    compiled = [{"function": name, "arguments": types, "own_s": s} for name, types, s in
                [("a", ["f4"], 1.0), ("b", ["f4"], 5.0), ("a", ["f8"], 2.0), ("a", ["f8"], 1.0)]]
    found = _functions(compiled)
    assert found == [{"function": "b", "compilations": 1, "specialisations": 1, "compile_s": 5.0},
                     {"function": "a", "compilations": 3, "specialisations": 2, "compile_s": 4.0}]
    text = functions_table({"work": "it", "compile_s": 9.0, "functions": found}, most=1)
    assert text.splitlines()[0].startswith("it: 9.0 s")
    assert text.splitlines()[-1].endswith("1 others")


def test_imports_are_measured_stored_and_printed(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(cold, "PROGRAMS", [cold.Program("import-recsys", "it", ("-c", "import recsys"))])
    monkeypatch.setattr(cold, "RESULTS", tmp_path / "cold.json")
    tables = []
    monkeypatch.setattr(cold, "put", lambda name, table, page: tables.append(table))
    assert cold.main(["--json"]) == 0
    assert "| it | none | 0.00 s | 0 of 0 |" in tables[0]
    row = json.loads(capsys.readouterr().out)["rows"][0]
    assert row["compile_s"] == 0
    assert row["warm"]["cpu_s"] > 0
    assert row["machine"]["versions"]["python"] == sys.version.split()[0]


def test_unknown_names_are_named():
    assert cold.main(["demoo"]) == 2
