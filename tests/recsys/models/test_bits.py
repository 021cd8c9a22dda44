"""The same seed gives the same bits: run after run, process after process, and for any number of threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable

import numpy as np
import pytest

from minidl import runtime
from recsys import Interactions, loading
from recsys.datasets import simulate
from recsys.models import REGISTRY, model_class

SOME = ("EASE", "ALS", "BPR", "GMF", "MatrixFactorization")  # one of each way of learning


def bits(name: str, data: Interactions) -> dict[str, str]:
    """Digests of all that a model has learned, as its file has them."""
    model = model_class(name)()
    if model.trains:
        model.set_params(epochs=1)
        data = data.take(np.arange(3000 if name == "ConvNCF" else 20_000))  # ConvNCF makes an image of each pair
    elif name == "Private":
        model.set_params(seed=0)
    elif "epochs" in model.get_params():
        model.set_params(epochs=2)
    with tempfile.TemporaryDirectory() as folder:
        model.fit(data).save(f"{folder}/model")
        return {name: member["sha256"] for name, member in loading.manifest(f"{folder}/model")["members"].items()}


@pytest.fixture(scope="module")
def data(describe: Callable[[Interactions], Interactions]) -> Interactions:
    """Large enough for parallel kernels, and for products and an inverse that are cut into parts."""
    return describe(simulate(3000, 600, 60_000, seed=1)[0])


@pytest.mark.parametrize("name", REGISTRY)
def test_bits_do_not_depend_on_threads(name: str, data: Interactions) -> None:
    before, found = runtime.threads(), []
    try:
        for n in (1, before):
            runtime.set_threads(n)
            with runtime.blas_threads(n):
                found.append(bits(name, data))
    finally:
        runtime.set_threads(before)
    assert found[0] == found[1]
    assert found[0]


@pytest.mark.skipif(not runtime.numba_enabled(), reason="one process with NumPy's references takes a minute")
def test_bits_do_not_depend_on_the_process() -> None:
    code = f"""
import json, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import test_bits
from minidl import runtime
with runtime.deterministic():
    data = test_bits.simulate(3000, 600, 60_000, seed=1)[0]
    print(json.dumps([test_bits.bits(name, data) for name in test_bits.SOME]))
"""
    found = []
    for threads in ("1", "2", "2"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}
        environment.pop("PYTHONHASHSEED", None)  # so that each process has another one
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    assert found[0] == found[1] == found[2]
