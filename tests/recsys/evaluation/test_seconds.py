"""The seconds of a result are those of learning: compiling is not among them."""

from __future__ import annotations

import time

from minidl import compiling
from recsys import datasets, models
from recsys.evaluation import run


class Compiled(models.Popular):
    """Needs a kernel that nobody has compiled yet."""

    def learn(self, data, context):
        compiling.clock.start()
        time.sleep(0.3)
        compiling.clock.stop()
        return super().learn(data, context)


def test_fitting_is_timed_without_compiling(monkeypatch):
    monkeypatch.setattr(compiling, "clock", compiling._Clock())
    data = datasets.simulate(40, 20, 400, seed=1)[0].binarise()
    begin = time.perf_counter()
    found = run(Compiled(), data, "ratio-811-full")
    assert 0 <= found.fit_seconds <= time.perf_counter() - begin - 0.3
