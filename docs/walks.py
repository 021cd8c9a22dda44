"""The files that three walks through recsys visit: `python -m docs.walks` writes them into docs/architecture.md
(with `--check` it only compares).

A walk visits a file when a function of that file runs. Each walk runs twice and the second time counts, so that imports
and compilations are no part of it. What only runs while a progress bar is drawn is left out, as is NumPy's side of
things: kernels that Numba has compiled run no Python.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import recsys
from benchmarks.table import put
from minidl import runtime
from recsys import datasets
from recsys.cli import main as command

PACKAGE = Path(recsys.__file__).parent
PAGE = Path(__file__).parent / "architecture.md"
_NO_FUNCTIONS = ("<module>", "<listcomp>", "<setcomp>", "<dictcomp>")  # the last three are part of theirs since 3.12


@dataclass
class Walk:
    """What ran: files in the order of their first function, functions but for kernels, calls between files."""

    files: list[str] = field(default_factory=list)
    functions: set[tuple[str, str, int]] = field(default_factory=set)
    calls: set[tuple[str, str]] = field(default_factory=set)

    def see(self, frame: FrameType, event: str, argument: Any) -> None:
        """What `sys.setprofile` calls."""
        place = _place(frame)
        if event != "call" or place is None or frame.f_code.co_name in _NO_FUNCTIONS:
            return
        if not place.startswith("kernels/"):  # where it depends on Numba whether a compiled function is seen
            self.functions.add((place, frame.f_code.co_name, frame.f_code.co_firstlineno))
        if place not in self.files:
            self.files.append(place)
        caller = frame.f_back
        while caller is not None and _place(caller) is None:
            caller = caller.f_back
        if caller is not None and _place(caller) != place:
            self.calls.add((str(_place(caller)), place))

    def back(self, package: str) -> list[tuple[str, str]]:
        """Calls into a package from outside."""
        inside = f"{package}/"
        return sorted((a, b) for a, b in self.calls if b.startswith(inside) and not a.startswith(inside))


def _place(frame: FrameType) -> str | None:
    """The file of a frame, relative to the package; None for others'."""
    path = Path(frame.f_code.co_filename)
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else None


@contextmanager
def walking() -> Iterator[Walk]:
    """What runs inside, on threads that begin inside as well."""
    walk = Walk()
    threading.setprofile(walk.see)
    sys.setprofile(walk.see)
    try:
        yield walk
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def of(act: Callable[[], object]) -> Walk:
    """The walk of an act that has already been done once."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), \
            contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        act()
        with walking() as walk:
            act()
    return walk


def walks() -> dict[str, Walk]:
    """The three walks, by what is done."""
    from recsys.models import SASRec

    runtime.set_threads(1)  # or the number of cores would show
    data, _ = datasets.simulate(n_users=60, n_items=40, n_events=900, seed=0)
    model = SASRec(epochs=1, factors=8)
    with tempfile.TemporaryDirectory() as folder:
        saved, table = f"{folder}/sasrec.recsys", f"{folder}/events.csv"
        model.clone().fit(data).save(saved)
        data.to_csv(table)
        history = data.items.ids[:3]
        compared = ["compare", "--data", table, "--models", "Popular,EASE", "--protocol", "last-one-full"]
        return {
            "`SASRec().fit(data)`": of(lambda: model.clone().fit(data)),
            "`load(path).recommend(history=...)`": of(lambda: recsys.load(saved).recommend(history=history, k=3)),
            "`recsys compare`": of(lambda: command(compared)),
        }


def table(found: dict[str, Walk]) -> str:
    """A line a walk, and under the lines the files in the order in which they are reached."""
    lines = ["| walk | files | of them in `data/` and `kernels/` | functions, but for kernels | "
             "calls back into `cli/` |",
             "|---|---:|---:|---:|---|"]
    for name, walk in found.items():
        back = ", ".join(f"`{b}` from `{a}`" for a, b in walk.back("cli")) or "none"
        below = sum(place.startswith(("data/", "kernels/")) for place in walk.files)
        lines.append(f"| {name} | {len(walk.files)} | {below} | {len(walk.functions)} | {back} |")
    for name, walk in found.items():
        lines += ["", f"{name}:", "", *(f"{i}. `recsys/{place}`" for i, place in enumerate(walk.files, 1))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    made = table(walks())
    if sys.argv[1:] == ["--check"]:
        if f"-->\n{made}<!-- /walks -->" not in PAGE.read_text(encoding="utf-8"):
            sys.exit("docs/architecture.md tells of other walks; run python -m docs.walks")
    else:
        put("walks", made, PAGE)
        print(made)
