"""Compile the kernels that models need before they are needed, by letting each of them learn a little.

`recsys warmup` does so for a deployment. The commands that train do so beside themselves: a second process, of low
priority, begins with what comes last, so that the two meet in the middle (`beside`). It is started when a model is new
to the cache, ends with the command, and may be killed at any time, as Numba writes a kernel to its cache in one piece.
`RECSYS_WARMUP=0` switches it off.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import minidl
from minidl import runtime
from minidl.kernels.machine import folder
from recsys.errors import RecsysError

__all__ = ["beside", "missing", "remember", "warm"]

Job = tuple[str, dict[str, Any]]  # a model's name and parameters
_ROOT = Path(__file__).parents[1]
_NICE = 10


# ------------------------------------------------------------------------------------------ what a model needs

def warm(model: Any) -> None:
    """Compile what a model runs, and keep it in Numba's cache.

    Parameters
    ----------
    model : Recommender
        A copy with the same parameters learns for one epoch from a few made events, answers, and is measured.
    """
    from recsys.evaluation import evaluate

    copy = model.clone()
    if "epochs" in copy.get_params():
        copy.set_params(epochs=1)
    split = _split(copy.can.ratings)
    train, valid = copy.with_blanks(split.train), copy.with_blanks(split.valid)
    copy.fit(train, valid)
    user, item = train.users.ids[0].item(), train.items.ids[0].item()
    for ask in (lambda: evaluate(copy, split), lambda: evaluate(copy, split, task="ratings"),
                lambda: copy.recommend(user, k=3), lambda: copy.recommend(history=[item], k=3),
                lambda: copy.similar_items(item, k=3), lambda: copy.explain(user, item)):
        with suppress(RecsysError):  # what this model does not answer needs no kernel
            ask()
    remember([model])


@cache
def _split(values: bool) -> Any:
    from recsys import datasets
    from recsys.data.splits import split_last

    data = datasets.simulate(60, 40, 900, seed=1)[0].k_core(users=2, items=2)
    return split_last(data if values else data.binarise())


# ------------------------------------------------------------------------------------- what the cache knows already

def missing(models: Sequence[Any]) -> list[Any]:
    """Those of the models whose kernels nobody has compiled ahead on this machine, as far as is recorded."""
    if not runtime.numba_enabled():
        return []
    record = _record()
    known = set(record.read_text().split()) if record is not None and record.exists() else set()
    return [model for model in models if _key(_job(model)) not in known]


def remember(models: Sequence[Any]) -> None:
    """Record that the kernels of these models are in the cache."""
    new = missing(models)
    record = _record() if new else None
    if record is not None:
        with suppress(OSError), record.open("a") as file:
            file.write("".join(f"{_key(_job(model))}\n" for model in new))


def _job(model: Any) -> Job:
    return type(model).__name__, {name: value for name, value in model.get_params().items() if name != "seed"}


def _key(job: Job) -> str:
    return hashlib.sha256(json.dumps(job, sort_keys=True, default=repr).encode()).hexdigest()[:16]


def _record() -> Path | None:
    """The file that lists what was compiled from these sources, beside the cache; None where nothing can be kept."""
    place = folder()
    if place is None:
        return None
    numba = importlib.util.find_spec("numba")
    sources = [Path(str(numba and numba.origin)).stat()] + [path.stat() for package in ("minidl", "recsys") for path in
               sorted((_ROOT / package / "kernels").glob("*.py"))]
    state = [sys.version, platform.node(), [(s.st_mtime_ns, s.st_size) for s in sources]]
    return place / f"recsys-{hashlib.sha256(repr(state).encode()).hexdigest()[:16]}.compiled"


# ---------------------------------------------------------------------------------------------- beside a command

@contextmanager
def beside(models: Sequence[Any]) -> Iterator[None]:
    """Compile what models need in a second process while the block runs, the last model first.

    Nothing is started for models whose kernels are in the cache, on one core, without Numba, where nothing can be
    kept, on systems other than POSIX, and with `RECSYS_WARMUP=0`.
    """
    process = _start([_job(model) for model in missing(models)]) if _may_start() else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.communicate()  # closes its input, and waits


def _may_start() -> bool:
    return os.environ.get("RECSYS_WARMUP") != "0" and os.name == "posix" and runtime.threads() > 1


def _start(jobs: Sequence[Job]) -> subprocess.Popen[bytes] | None:
    from recsys import models

    known = [job for job in jobs if job[0] in models.REGISTRY and _plain(job)]
    if not known or folder() is None:
        return None
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    one_thread = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    try:
        return subprocess.Popen([sys.executable, "-P", "-m", "recsys.warmup", json.dumps(known[::-1])],
                                env={**os.environ, "PYTHONPATH": path, **one_thread}, stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return None


def _plain(job: Job) -> bool:
    """Whether the parameters survive JSON."""
    try:
        json.dumps(job)
    except TypeError:
        return False
    return True


def _main(jobs: Sequence[Job]) -> None:
    """What the second process does."""
    from recsys import models

    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    os.nice(_NICE)
    lock = _lock()
    if lock is None:
        return
    for name, parameters in jobs:
        with suppress(RecsysError, minidl.MissingExtraError):  # the command itself says what is wrong
            warm(models.find(name)().set_params(**parameters))


def _end_with_the_parent() -> None:
    sys.stdin.buffer.read()  # its end of the pipe is closed when it is gone
    os._exit(0)


def _lock() -> Any:
    """Held until this process ends; None if another one is compiling for this cache."""
    import fcntl

    place = folder()
    if place is None:
        return None
    file = (place / "recsys-warmup.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
