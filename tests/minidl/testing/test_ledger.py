"""`python -m minidl.testing`: what it prints, writes and answers."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from minidl import ops
from minidl.testing import ledger, page, strategies
from minidl.testing.cases import unary
from minidl.testing.spec import Op

WRONG = Op("wrong", lambda x: x * x * 1.01, np.square, unary())


def test_json_is_pure_and_complete(capsys):
    assert ledger.main(["multiply", "sum", "--json", "--examples", "4", "--mutants"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]
    assert found["missing"] == []
    entry = next(e for e in found["ops"] if e["op"] == "multiply")
    assert entry["ok"]
    assert entry["order"] >= 2
    assert entry["cases"] == 4
    assert entry["worst"]["complex step"] < 1e-11
    assert set(entry["dtypes"]) == {"float32", "float64"}
    assert entry["mutants"]["killed"] == entry["mutants"]["applied"] > 5
    assert entry["mutants"]["by"]["scale by 1.01"] == "derivatives"


def test_text(capsys):
    assert ledger.main(["relu", "--examples", "3"]) == 0
    out = capsys.readouterr().out
    assert "relu" in out
    assert "all proved" in out


def test_the_same_seed_gives_the_same_ledger():
    op = ledger.choose(["exp"])[0]
    assert ledger.enter(op, 5, seed=7).evidence.worst == ledger.enter(op, 5, seed=7).evidence.worst


def test_a_failure_is_noted_and_counts(capsys, monkeypatch):
    monkeypatch.setattr(ledger, "choose", lambda names: [WRONG])
    assert ledger.main(["wrong", "--examples", "8"]) == 1
    out = capsys.readouterr().out
    assert "NO" in out
    assert "value differs" in out
    assert "1 failed (wrong)" in out


def test_a_missing_row_counts(capsys, monkeypatch):
    monkeypatch.setattr(ledger, "choose", lambda names: [])
    monkeypatch.setattr(ledger.table, "missing", lambda: ["forgotten"])
    assert ledger.main(["--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"ops": [], "missing": ["forgotten"], "ok": False}


def test_unknown_names(capsys):
    assert ledger.main(["no_such_op"]) == 2
    assert "no op 'no_such_op'" in capsys.readouterr().err


def test_variants_go_with_their_op():
    assert [op.name for op in ledger.choose(["cumsum[axis]"])] == ["cumsum[axis]"]
    assert len(ledger.choose(["cumsum"])) >= 2


def test_the_page_is_self_contained(tmp_path):
    path = tmp_path / "ledger.html"
    assert ledger.main(["exp", "matmul", "--examples", "3", "--html", str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    assert text.count("<svg") == 2
    assert "exp" in text
    assert "http" not in text
    assert "src=" not in text


@pytest.mark.parametrize("name", ["binary_cross_entropy", "prod[zeros]", "squeeze"])
def test_the_page_draws_ops_of_a_narrow_domain_and_of_single_numbers(tmp_path, name):
    path = tmp_path / "ledger.html"
    assert ledger.main([name, "--examples", "3", "--html", str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    assert text.count("<svg") == text.count("<figure") == text.count("<a href='#")
    assert "nan" not in text


def test_the_page_shows_failures():
    entry = ledger.enter(WRONG, 8)
    assert "class=bad" in page.render([entry], [WRONG])


def test_gradcheck_needs_no_hypothesis_and_the_rest_says_what_to_install():
    code = ("import sys; sys.modules['hypothesis'] = None\n"
            "import numpy as np\n"
            "from minidl.testing import gradcheck\n"
            "gradcheck(np.sin, [np.array([0.5])], order=2)\n"
            "from minidl import MissingExtraError\n"
            "for name in ('strategies', 'cases', 'table'):\n"
            "    try:\n"
            "        module = __import__('minidl.testing.' + name, fromlist=['x'])\n"
            "        getattr(module, 'table', None) and module.table()\n"
            "    except MissingExtraError as error:\n"
            "        assert 'minidl[test]' in str(error)\n"
            "    else:\n"
            "        raise SystemExit(name)\n")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["strategies", "table", "proofs", "mutants", "ledger", "cases", "graphs", "oracles"])
def test_the_modules_are_attributes(name):
    import minidl.testing

    assert getattr(minidl.testing, name).__name__ == f"minidl.testing.{name}"
    with pytest.raises(AttributeError, match="nothing_here"):
        minidl.testing.nothing_here  # noqa: B018


def test_public_names_exist():
    for name in strategies.__all__:
        assert hasattr(strategies, name)
    assert callable(ops.exp)
