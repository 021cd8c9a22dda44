"""`python -OO`: no docstrings, no asserts; everything works and nothing is checked by an assert."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from recsys.datasets import simulate
from recsys.models import REGISTRY

MAINS = """
import contextlib, importlib, io, json, pkgutil, sys
import minidl, recsys
from recsys import cli
from recsys.errors import RecsysError
assert False, "asserts are off"
for package in (minidl, recsys):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
from minidl.testing import ledger
from minidl import __main__ as report

def said(main, *words):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main(list(words))
    return [code, out.getvalue()]

data, model = sys.argv[1:]
found = {
    "models": said(cli.main, "models", "--json"), "protocols": said(cli.main, "protocols"),
    "train": said(cli.main, "train", "--data", data, "--model", "EASE", "--out", model),
    "recommend": said(cli.main, "recommend", model, "--history", "1,2", "--why", "--json"),
    "compare": said(cli.main, "compare", "--data", data, "--models", "Popular,EASE", "--protocol", "last-one-full"),
    "ledger": said(ledger.main, "add", "--json", "--examples", "2"), "report": said(report.main, "report"),
}
try:
    recsys.models.EASE(reg=-1).fit(recsys.datasets.load(data))
except RecsysError as error:
    found["refused"] = [0, str(error)]
print(json.dumps(found))
"""


def test_all_works_without_docstrings(tmp_path):
    simulate(60, 40, 1200, seed=1)[0].to_csv(tmp_path / "x.csv")
    run = subprocess.run([sys.executable, "-OO", "-c", MAINS, str(tmp_path / "x.csv"), str(tmp_path / "m.recsys")],
                         capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": os.getcwd()})
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert {name: code or 0 for name, (code, _) in found.items()} == dict.fromkeys(found, 0)
    assert len(json.loads(found["models"][1])["models"]) == len(REGISTRY)
    assert json.loads(found["ledger"][1])["ok"]
    assert json.loads(found["recommend"][1])["recommendations"]
    assert "Popular" in found["compare"][1]
    assert "reg must be" in found["refused"][1]
