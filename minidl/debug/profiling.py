"""`profile`: what each operation costs, forward and backward."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.debug.watching import Forward, Watcher
from minidl.engine import Node, Rule
from minidl.errors import name_of
from minidl.rowgrad import RowGrad
from minidl.tensors import Tensor

__all__ = ["Profile", "Row", "profile"]


class Row(NamedTuple):
    """What one operation cost in one direction.

    Attributes
    ----------
    op : str
    direction : {"forward", "backward"}
    calls : int
    seconds : float
        What it called itself included.
    bytes : int
        Of its results: outputs, or gradients. Views of arguments count as nothing.
    """

    op: str
    direction: str
    calls: int
    seconds: float
    bytes: int


class Profile(Watcher):
    """Counts the operations of the calling thread inside a `with` block; made by `profile`.

    Attributes
    ----------
    seconds : float
        Length of the block; it adds up if there are several.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._spent: dict[tuple[str, str], list[Any]] = defaultdict(lambda: [0, 0.0, 0])
        self._inside = False  # an operation that another one calls is part of that one
        self._started = 0.0

    def __enter__(self) -> Profile:
        super().__enter__()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self.seconds += time.perf_counter() - self._started
        super().__exit__(*exception)

    def recording(self, forward: Forward, rule: Rule) -> tuple[Forward, Rule]:
        """Time the forward function."""
        return forward if self._inside else self._timed(forward, name_of(rule), "forward"), rule

    def returning(self, rule: Rule, node: Node) -> Rule:
        """Time the rule."""
        return rule if self._inside else self._timed(rule, name_of(rule), "backward")

    def _timed(self, function: Forward, op: str, direction: str) -> Forward:
        @functools.wraps(function)
        def timed(*args: Any, **params: Any) -> Any:
            self._inside = True
            start = time.perf_counter()
            try:
                answer = function(*args, **params)
            finally:
                self._inside = False
            spent = self._spent[op, direction]
            spent[1] += time.perf_counter() - start
            spent[0] += 1
            results = answer if direction == "backward" else [answer[0] if type(answer) is tuple else answer]
            spent[2] += sum(_new_bytes(r, args) for r in results)
            return answer

        return timed

    def rows(self) -> list[Row]:
        """One row an operation and direction, the slowest first."""
        found = [Row(op, direction, *spent) for (op, direction), spent in self._spent.items()]
        return sorted(found, key=lambda row: -row.seconds)

    def __str__(self) -> str:
        return "\n".join(_table(self.rows(), self.seconds))

    __repr__ = __str__


def profile() -> Profile:
    """Measure time and memory of each operation inside a `with` block, forward and backward apart.

    Holds for the calling thread, and costs about a microsecond an operation; nothing outside of the block.

    Returns
    -------
    Profile
        `print` it for a table; `.rows()` has the numbers.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> w = minidl.tensor(np.ones((3, 2)), requires_grad=True)
    >>> with minidl.debug.profile() as spent:
    ...     np.tanh(np.ones((4, 3)) @ w).sum().backward()
    >>> sorted((row.op, row.direction, row.calls, row.bytes) for row in spent.rows())[:2]
    [('matmul', 'backward', 1, 48), ('matmul', 'forward', 1, 64)]
    """
    return Profile()


def _new_bytes(result: Any, given: Sequence[Any]) -> int:
    """Bytes of a result that is not a view of what the operation was given."""
    if result is None:
        return 0
    if isinstance(result, RowGrad):
        return int(result.rows.nbytes + result.indices.nbytes)
    array = np.asarray(_bare(result))
    for a in given:
        for part in a if isinstance(a, (list, tuple)) else (a,):
            part = _bare(part)
            if isinstance(part, np.ndarray) and np.may_share_memory(array, part):
                return 0
    return array.nbytes


def _bare(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


# --------------------------------------------------------------------------------------------- table

def _table(rows: Sequence[Row], whole: float) -> list[str]:
    """Operations from the slowest, forward and backward side by side, and what is left of the time."""
    by_op: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        by_op[row.op][row.direction] = row
    order = sorted(by_op, key=lambda op: -sum(r.seconds for r in by_op[op].values()))
    width = max([len(op) for op in order] + [len("outside of ops")])
    side = f"{'calls':>7}{'ms':>10}{'MB':>9}"
    lines = [f"{'':{width}}{'forward':>26}  {'backward':>26}{'share':>8}",
             f"{'op':{width}}{side}  {side}{'':>8}"]
    for op in order:
        seconds = sum(r.seconds for r in by_op[op].values())
        lines.append(f"{op:{width}}{_cells(by_op[op].get('forward'))}  {_cells(by_op[op].get('backward'))}"
                     f"{_share(seconds, whole)}")
    inside = sum(r.seconds for r in rows)
    lines.append(f"{'all ops':{width}}{_cells(_total(rows, 'forward'))}  {_cells(_total(rows, 'backward'))}"
                 f"{_share(inside, whole)}")
    rest = max(whole - inside, 0.0)
    lines.append(f"{'outside of ops':{width}}{'':7}{1e3 * rest:10.3f}{'':37}{_share(rest, whole)}")
    return lines


def _total(rows: Sequence[Row], direction: str) -> Row:
    those = [r for r in rows if r.direction == direction]
    return Row("", direction, sum(r.calls for r in those), sum(r.seconds for r in those), sum(r.bytes for r in those))


def _cells(row: Row | None) -> str:
    return f"{row.calls:7}{1e3 * row.seconds:10.3f}{row.bytes / 1e6:9.3f}" if row else f"{'-':>7}{'-':>10}{'-':>9}"


def _share(seconds: float, whole: float) -> str:
    return f"{100 * seconds / whole:6.1f} %" if whole else f"{'-':>8}"
