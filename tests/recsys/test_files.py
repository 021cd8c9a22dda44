"""Everything that writes a file names it when the disk is full, keeps the one that was there, and leaves no other."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from recsys import cli
from recsys.datasets import simulate
from recsys.models.linear.ease import EASE
from recsys.models.sequential.estimators import SASRec
from recsys.report import Report
from recsys.training.checkpoint import Checkpoint
from tests.minidl.test_files import full

DATA = simulate(60, 40, 1200, seed=1)[0]
MODEL = EASE().fit(DATA)
NETWORK = SASRec(epochs=1, factors=4).fit(DATA)  # compiles what it needs, and writes that, while there is room


def page(path):
    pytest.importorskip("matplotlib")
    return Report("Films" * 1000, {}, [], "ndcg@10", "Popular").write(path)


WRITERS = [
    ("m.recsys", MODEL.save), ("x.csv", DATA.to_csv), ("x.csv.gz", DATA.to_csv), ("page.html", page),
    ("c.npz", lambda path: Checkpoint(path, {}).save({"a": [0.5] * 999})),
    ("c.safetensors", lambda path: Checkpoint(path, {}).save({"a": [0.5] * 999})),
    ("run.npz", lambda path: NETWORK.clone().fit(DATA, checkpoint=path)),
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("name", "write"), WRITERS, ids=[name for name, _ in WRITERS])
def test_a_full_disk_names_the_file(tmp_path, name, write):
    path = tmp_path / name
    with full(1000), pytest.raises(OSError, match=re.escape(f"File too large: '{path}'")):
        write(path)
    assert os.listdir(tmp_path) == []
    path.write_bytes(b"old" if name != "run.npz" else b"")
    if name != "run.npz":
        with full(1000), pytest.raises(OSError, match=re.escape(str(path))):
            write(path)
        assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [name]


def test_the_command_names_it_too(tmp_path, capsys):
    DATA.to_csv(tmp_path / "x.csv")
    for words in (["train", "--data", str(tmp_path / "x.csv"), "--model", "EASE", "--out"],
                  ["data", str(tmp_path / "x.csv"), "--out"]):
        with full(1000):
            assert cli.main([*words, str(tmp_path / "out.csv")]) == 2
        assert capsys.readouterr().err == f"recsys: {tmp_path / 'out.csv'}: File too large.\n"
    assert os.listdir(tmp_path) == ["x.csv"]


def test_a_model_that_is_killed_while_it_is_saved_leaves_the_old_one(tmp_path):
    path = tmp_path / "m.recsys"
    MODEL.save(path)
    before = path.read_bytes()
    code = ("import os, signal, sys, recsys\n"
            "model = recsys.load(sys.argv[1])\n"
            "os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)\n"
            "model.save(sys.argv[1])")
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    assert path.read_bytes() == before
    MODEL.save(path)
    assert os.listdir(tmp_path) == ["m.recsys"]
