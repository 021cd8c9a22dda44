"""What all optimizers share: parameter groups, moments, rows, and state that can be saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from minidl import behind, kernels
from minidl.rowgrad import RowGrad
from minidl.tensors import Tensor, raw
from minidl.versions import wrote

__all__ = ["Optimizer"]

HISTORY = 1024  # steps that exact rows may fall behind; then all of them catch up, so memory stays bounded
ONLY_ROW = np.zeros(1, np.int64)  # the kernels see a dense parameter as a table of one row


class Moments:
    """What an optimizer remembers of one parameter, and its views for the kernels; what it owes to rows, see `Debt`."""

    __slots__ = ("kernel", "step", "product", "names", "state", "data", "row", "state_row", "last", "history", "missed")

    def __init__(self, p: Tensor, kernel: str, names: tuple[str, ...], state: np.ndarray, step: int = 0,
                 product: float = 1.0) -> None:
        self.kernel = kernel
        self.step = step
        self.product = product  # of `Optimizer.factor` over the steps
        self.names = names
        self.state = state  # (S, *shape)
        self.last: Any = None  # int array (n,) for exact rows: how many steps each has seen
        self.history = np.empty((0, 0), p.dtype)  # (HISTORY, K), the numbers of the latest `missed` steps first
        self.missed = 0
        self.bind(p)

    def bind(self, p: Tensor) -> None:
        """Follow the parameter to the array it has now."""
        if p.dtype not in (np.float32, np.float64):
            raise TypeError(f"optimizer: a parameter has dtype {p.dtype}; only float32 and float64 can be updated")
        if p.shape != self.state.shape[1:]:
            raise ValueError(f"optimizer: a parameter has now shape {p.shape}, its moments {self.state.shape[1:]}; "
                             "make a new optimizer when parameters change their shape")
        if not p.data.flags.c_contiguous or not p.data.flags.writeable:
            p.data = np.array(p.data, order="C")
        self.state, self.history = (a.astype(p.dtype, copy=False) for a in (self.state, self.history))
        self.data = p.data
        self.row = p.data.reshape(1, p.size)
        self.state_row = self.state.reshape(len(self.state), 1, p.size)

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Parameter (n, d) and state (S, n, d)."""
        n, d = len(self.data), math.prod(self.data.shape[1:])
        return self.data.reshape(n, d), self.state.reshape(len(self.state), n, d)

    def require_rows(self, asker: str, indices: np.ndarray) -> None:
        """Refuse sorted indices of rows that the parameter does not have: kernels check no bounds."""
        n = len(self.data)
        if indices.size and (indices[0] < 0 or indices[-1] >= n):
            raise IndexError(f"{asker} go from {indices[0]} to {indices[-1]}, but the table has {n} rows")

    def __getstate__(self) -> dict[str, Any]:
        """Without the parameter's array and the views, which a copy would take for arrays of their own."""
        return {name: getattr(self, name) for name in self.__slots__ if name not in ("data", "row", "state_row")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in {**state, "data": None}.items():
            setattr(self, name, value)

    # ----------------------------------------------------------------------------------- exact rows

    def begin_exact(self) -> None:
        """Make room to remember the next step; everything catches up when there is none left."""
        if self.last is None:
            self.last = np.full(len(self.data), self.step)
        elif self.missed == HISTORY:
            self.catch_up()

    def remember(self, indices: np.ndarray, s: np.ndarray) -> None:
        """Rows at `indices` have seen this step, which has the numbers `s`; the others have missed it."""
        if not len(self.history):
            self.history = np.zeros((HISTORY, len(s)), self.data.dtype)
        self.last[indices] = self.step
        self.history[self.missed] = s
        self.missed += 1

    def catch_up(self, indices: np.ndarray | None = None) -> None:
        """Give rows the steps that they missed."""
        rows = np.arange(len(self.data)) if indices is None else np.unique(np.asarray(indices)).astype(np.int64)
        self.require_rows("catch_up: indices", rows)
        self.replay(rows)
        if indices is None:
            self.missed = 0

    def replay(self, rows: np.ndarray) -> None:
        """Give rows, each once and in range, the steps that they missed."""
        if self.missed:
            table, state = self.table()
            kernel = getattr(kernels.optim, f"{self.kernel}_catch_up")
            kernel(table, rows, state, self.last, self.history[:self.missed], self.step)


class Optimizer:
    """Base class; a subclass names its kernels and moments, and gives the numbers of a step.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        Leaves to update. A dict has `"params"` and its own values for some of the defaults.
    defaults : dict
        Hyper-parameters of groups that do not have their own.

    Notes
    -----
    Gradients that are `RowGrad`s update only their rows. What happens to the other rows is the one thing that lazy
    optimizers disagree about, so it is said here. With `exact=False` a row that has no gradient is left as it is: no
    weight decay, no motion by momentum, no decay of its moments (as in `torch.optim.SparseAdam`); the number of steps,
    which the bias correction uses, is that of the table. With `exact=True` a row remembers the last step it saw and
    makes up for the missed ones when it is read, updated, or saved, so that training is that of the dense optimizer
    up to rounding. Lookups (`ops.embedding`, `embedding_bag`, `sampled_matmul` and the layers) bring their rows up to
    date; everything else that reads the table, also `.data`, brings all, at the price of a dense step. Only an array
    that was taken from `.data` earlier stays as it was then, until the table is read again. Replaying costs some
    hundred steps at most for a row, but all of them under weight decay that is not decoupled. `Lion`, whose rows would
    never come to rest, refuses it.
    """

    kernel: ClassVar[str]  # of `minidl.kernels.optim`
    moments: ClassVar[tuple[str, ...]]  # names in `state_dict`, in the kernel's order
    carried: ClassVar[str | None] = None  # name in `state_dict` of the product of `factor` over the steps
    exact_refused: ClassVar[str | None] = None  # why there is no `exact=True`

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(f"{type(self).__name__}: params is one Tensor; pass an iterable, such as [p]")
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self._moments: dict[Tensor, Moments] = {}
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: params is empty; pass module.parameters() or a list of Tensors")
        for group in groups if isinstance(groups[0], Mapping) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add parameters, with values of their own for some of the defaults.

        Parameters
        ----------
        group : dict
            `{"params": iterable of Tensor, "lr": ..., ...}`.
        """
        name = type(self).__name__
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        unknown = set(group) - set(self.defaults) - {"params", "initial_lr"}
        if unknown:
            raise ValueError(f"{name}: unknown option(s) {sorted(unknown)} in a group; use {sorted(self.defaults)}")
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: params[{i}] is {type(p).__name__}; only Tensors can be updated")
            if not p.is_leaf:
                raise ValueError(f"{name}: params[{i}] of shape {p.shape} is the result of an operation, not a leaf")
            if id(p) in known:
                raise ValueError(f"{name}: params[{i}] of shape {p.shape} is there twice")
            known.add(id(p))
        full = {**self.defaults, **group, "params": params}
        self.check(full)
        self.param_groups.append(full)

    def check(self, group: Mapping[str, Any]) -> None:
        """Refuse hyper-parameters that make no sense: negative ones, betas that are not in [0, 1)."""
        name = type(self).__name__
        for option, value in group.items():
            if isinstance(value, (int, float)) and value < 0:
                raise ValueError(f"{name}: {option}={value} must not be negative")
        for i, beta in enumerate(group.get("betas", ())):
            if not 0 <= beta < 1:
                raise ValueError(f"{name}: betas[{i}]={beta} must be in [0, 1)")
        if group["exact"] and self.exact_refused:
            raise ValueError(f"{name}: exact=True is refused, because {self.exact_refused}; use exact=False")

    # ---------------------------------------------------------------------------- for the subclass

    def numbers(self, group: Mapping[str, Any], m: Moments) -> tuple[float, ...]:
        """The numbers `s` that the kernel wants for step `m.step`, from `lr` on, in double precision."""
        raise NotImplementedError

    def used(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The moments in use, by name."""
        return self.moments

    def initial(self, group: Mapping[str, Any]) -> float:
        """What moments start from."""
        return 0.0

    def factor(self, group: Mapping[str, Any], step: int) -> float:
        """What each step multiplies `m.product` by, if there is a name for it in `carried`."""
        return 1.0

    # ------------------------------------------------------------------------------------- stepping

    def zero_grad(self) -> None:
        """Forget the gradients: `.grad` becomes None."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss anew and returns it; called once, first.

        Returns
        -------
        object
            What `closure` returned.
        """
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: Mapping[str, Any]) -> None:
        kernel, used = getattr(kernels.optim, self.kernel), self.used(group)
        known: dict[Any, np.ndarray] = {}  # parameters that have made as many steps share their numbers
        for p in group["params"]:
            g = p.grad
            if g is None:
                continue
            m = self._moments.get(p)
            if m is None or m.names != used:
                m = self._begin(p, group, used)
            elif (m.last is None or behind.debt_of(p) is not m) and m.data is not p.data:
                m.bind(p)
            if type(g) is RowGrad:
                self._step_rows(kernel, p, m, g.coalesce(), group, known)
            else:
                if m.last is not None:
                    behind.pay(p)
                    m.last = None
                s = self._advance(m, group, known)
                kernel(m.row, ONLY_ROW, _row(g, p.dtype), m.state_row, s)
            wrote(m.data, of=p)

    def _advance(self, m: Moments, group: Mapping[str, Any], known: dict[Any, np.ndarray]) -> np.ndarray:
        """Count a step, and give its numbers."""
        m.step += 1
        if self.carried:
            m.product *= self.factor(group, m.step)
        key = m.step, m.product, m.data.itemsize
        s = known.get(key)
        if s is None:
            s = known[key] = self._numbers(group, m)
        return s

    def _begin(self, p: Tensor, group: Mapping[str, Any], used: tuple[str, ...]) -> Moments:
        """New moments; if the options have come to need others, those that were there are forgotten."""
        state = np.full((len(used), *p.shape), self.initial(group), p.dtype)
        m = self._moments[p] = Moments(p, self.kernel, used, state)
        return m

    def _numbers(self, group: Mapping[str, Any], m: Moments) -> np.ndarray:
        sign, shrink, decay = -1.0 if group.get("maximize") else 1.0, 1.0, group.get("weight_decay", 0.0)
        if group.get("decoupled_weight_decay"):
            shrink, decay = 1 - group["lr"] * decay, 0.0
        return np.array((sign, shrink, decay, *self.numbers(group, m)), m.data.dtype)

    def _step_rows(self, kernel: Callable[..., Any], p: Tensor, m: Moments, g: RowGrad, group: Mapping[str, Any],
                   known: dict[Any, np.ndarray]) -> None:
        table, state = m.table()
        indices = np.ascontiguousarray(g.indices, np.int64)
        m.require_rows(f"{type(self).__name__}: rows of a RowGrad", indices)  # coalesced, so sorted
        rows = np.ascontiguousarray(g.rows, p.dtype).reshape(len(indices), table.shape[1])
        if not group["exact"] and m.last is None:
            kernel(table, indices, rows, state, self._advance(m, group, known))
            return
        with behind.lock:
            m.begin_exact()
            m.replay(indices)
            s = self._advance(m, group, known)
            kernel(table, indices, rows, state, s)
            m.remember(indices, s)
            behind.owe(p, m)

    def catch_up(self, p: Tensor, indices: np.ndarray | None = None) -> None:
        """Give rows the steps they missed; whoever reads a table does so by itself.

        Parameters
        ----------
        p : Tensor
            One of the parameters; nothing happens if it has no rows that are behind.
        indices : int array, any shape, optional
            Rows, in range and not negative, duplicates allowed; by default all.
        """
        m = self._moments.get(p)
        if m is not None and behind.debt_of(p) is m:
            behind.pay(p, indices)

    def flush(self) -> None:
        """Bring all rows of all tables up to date, and with them arrays that were taken from `.data` earlier."""
        for p in self._moments:
            self.catch_up(p)

    # ---------------------------------------------------------------------------------------- state

    def __getstate__(self) -> dict[str, Any]:
        self.flush()
        return self.__dict__

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to go on, laid out as in `torch.optim`.

        Returns
        -------
        dict
            `{"state": {index: {"step": int, moment: array, ...}}, "param_groups": [...]}`; the groups name their
            parameters by index. Arrays are copies.
        """
        self.flush()
        numbers = {p: i for i, p in enumerate(self._all())}
        state = {numbers[p]: self._saved(m) for p, m in self._moments.items()}
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def _saved(self, m: Moments) -> dict[str, Any]:
        carried = {self.carried: m.product} if self.carried else {}
        return {"step": m.step, **carried, **{name: part.copy() for name, part in zip(m.names, m.state, strict=True)}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict()`, of this class or of its namesake in `torch.optim`.

        Parameters
        ----------
        state_dict : dict
            Its groups must have as many parameters as this optimizer's, in the same order. Arrays are copied.
        """
        name, groups = type(self).__name__, state_dict["param_groups"]
        theirs, ours = [len(g["params"]) for g in groups], [len(g["params"]) for g in self.param_groups]
        if theirs != ours:
            raise ValueError(f"{name}.load_state_dict: its groups have {theirs} parameter(s), the optimizer's {ours}")
        loaded: dict[Tensor, Moments] = {}
        order = [i for g in groups for i in g["params"]]
        for i, p in zip(order, self._all(), strict=True):
            saved = state_dict["state"].get(i)
            if saved is not None:
                loaded[p] = self._load_moments(p, i, saved)
        known = {*self.defaults, "initial_lr"}
        updated = [{**own, **{k: v for k, v in other.items() if k in known}}
                   for own, other in zip(self.param_groups, groups, strict=True)]
        for group in updated:
            self.check(group)
        for own, group in zip(self.param_groups, updated, strict=True):
            own.update(group)
        self._moments = loaded

    def _load_moments(self, p: Tensor, i: int, saved: Mapping[str, Any]) -> Moments:
        parts = {name: np.asarray(raw(saved[name], f"load_state_dict: {name}")) for name in self.moments
                 if saved.get(name) is not None}
        for name, part in parts.items():
            if part.shape != p.shape:
                raise ValueError(f"{type(self).__name__}.load_state_dict: {name} of parameter {i} has shape "
                                 f"{part.shape}, the parameter {p.shape}")
        state = np.array([*parts.values()], p.dtype).reshape(len(parts), *p.shape)
        product = float(saved.get(self.carried, 1.0)) if self.carried else 1.0
        return Moments(p, self.kernel, tuple(parts), state, int(saved.get("step", 1)), product)

    def _all(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params"]
        return "\n".join([*lines, ")"])


def _row(g: Any, dtype: np.dtype[Any]) -> np.ndarray:
    """A gradient as a contiguous row of the parameter's dtype."""
    return np.ascontiguousarray(g.data if isinstance(g, Tensor) else g, dtype).reshape(1, -1)
