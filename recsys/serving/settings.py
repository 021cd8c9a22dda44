"""What a service is told at its start: by `create_app`, by the command line, by one TOML file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from recsys.checks import Check, above, between, flag, optional, require, whole
from recsys.errors import ParameterError
from recsys.events import EventTypes
from recsys.files import read_toml

__all__ = ["Limits", "Settings", "Variant", "types_of"]


@dataclass(frozen=True)
class Variant:
    """A model file that answers a share of the people.

    Parameters
    ----------
    name : str
    path : str
    share : float
        Of the people, from 0 to 1; those of all variants sum to 1.
    """

    name: str
    path: str
    share: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """`NAME=FILE:SHARE`, as the command line takes it.

        Examples
        --------
        >>> Variant.parse("ease=models/ease.recsys:0.5")
        Variant(name='ease', path='models/ease.recsys', share=0.5)
        """
        name, equals, rest = text.partition("=")
        path, colon, share = rest.rpartition(":")
        try:
            part = float(share)
        except ValueError:
            part = -1.0
        if not (name and equals and path and colon and 0 < part <= 1):
            raise ParameterError(f"--variant {text}: give NAME=FILE:SHARE with a share above 0, up to 1, such as "
                                 f"ease=ease.recsys:0.5.")
        return cls(name, path, part)


@dataclass(frozen=True)
class Limits:
    """How much is taken at a time.

    Parameters
    ----------
    body : int
        Bytes of a request.
    k : int
        Length of a list.
    events : int
        Events of a request.
    history : int
        Items of a history that a request brings.
    recent : int
        A person's last events in the log that are looked at.
    queue : int
        Requests that wait; more are refused with 503.
    timeout : float
        Seconds until a request that was not answered is refused with 503, or a body that has not come with 408.
    held : int
        Events of people who were asked for lately that a worker holds in memory.
    """

    body: int = 1 << 20
    k: int = 1000
    events: int = 1000
    history: int = 1000
    recent: int = 500
    queue: int = 512
    timeout: float = 5.0
    held: int = 200_000


_LIMITS: dict[str, Check] = {
    **{name: whole(1) for name in ("body", "recent", "queue", "held")}, "timeout": above(0),
    "k": whole(10, 1000), "events": whole(1, 1000), "history": whole(1, 10_000)}  # more is refused by `schemas`


@dataclass(frozen=True)
class Settings:
    """All of a service's settings.

    Parameters
    ----------
    variants : tuple of Variant
        The models. One alone answers everybody.
    events : str, optional
        The log's file. Without one the service answers and takes no events, and knows no more of people than
        training did.
    types : EventTypes
        What the types of events mean.
    token : str, optional
        What who writes has to bring as `Authorization: Bearer TOKEN`. Without one, only clients on this machine may
        write.
    limits : Limits
    salt : str
        Of the assignment of people to variants; another one divides them anew.
    explore : float
        The share of lists that are shown in random order, from the `explore_pool` best items, so that models that were
        never shown can be judged.
    explore_pool : int
    log_shown : bool, optional
        Keep the lists that were shown; by default if there are several variants or lists are explored.
    items : str, optional
        A CSV file of items: a column of ids, one of titles, all others attributes, whose values `|` parts.
    page : bool
        Whether there are pages at `/` and `/ops`.
    workers : int
        Processes that answer; whoever starts them says how many.
    """

    variants: tuple[Variant, ...]
    events: str | None = None
    types: EventTypes = field(default_factory=lambda: EventTypes.of({}))
    token: str | None = None
    limits: Limits = Limits()
    salt: str = "recsys"
    explore: float = 0.0
    explore_pool: int = 50
    log_shown: bool | None = None
    items: str | None = None
    page: bool = True
    workers: int = 1

    def __post_init__(self) -> None:
        require("serve", _CHECKS, vars(self))
        if self.token is not None and not (isinstance(self.token, str) and len(self.token) >= 8):
            raise ParameterError("serve: the token must have 8 characters or more.")  # and is not shown
        require("serve, [limits]", _LIMITS, vars(self.limits))
        names = [variant.name for variant in self.variants]
        if not names or len({*names}) != len(names):
            raise ParameterError(f"serve: give one or more models, each with a name of its own, not {names}.")
        if abs(sum(variant.share for variant in self.variants) - 1) > 1e-6:
            raise ParameterError(f"serve: the shares of the variants sum to "
                                 f"{sum(variant.share for variant in self.variants):g}, not to 1.")

    @property
    def keeps_shown(self) -> bool:
        """Whether the lists that are shown go to the log."""
        wanted = len(self.variants) > 1 or self.explore > 0 if self.log_shown is None else self.log_shown
        return wanted and self.events is not None

    @classmethod
    def read(cls, path: str | os.PathLike[str] | None, **given: Any) -> Self:
        """The settings of a TOML file, and those given beside it, which count more.

        Parameters
        ----------
        path : str or path, optional
            Tables `[service]` (token, salt, explore, explore_pool, log_shown, items, page), `[limits]`,
            `[events.TYPE]`; `[model]` and `[tuning]`, which `recsys tune` writes, are passed over.
        **given
            Fields; None leaves the file's.

        Raises
        ------
        ParameterError
            The file is no TOML, or has a table or key that is not known, or a value that does not fit.
        """
        table = {} if path is None else read_toml(path)
        given = {name: value for name, value in given.items() if value is not None}
        try:
            _known("the file", table, _TABLES)
            known = {each.name for each in fields(cls)} - {"variants", "types", "limits", "events", "workers"}
            service = _known("service", table.pop("service", {}), known)
            limits = Limits(**_known("limits", table.pop("limits", {}), {each.name for each in fields(Limits)}))
            types = EventTypes.of(table.pop("events", {}))
            return cls(**{**service, "limits": limits, "types": types, **given})
        except ParameterError as error:
            raise error if path is None else ParameterError(f"{os.fspath(path)}: {error}") from error

    def with_variants(self, *variants: Variant) -> Self:
        """The same with other models."""
        return replace(self, variants=variants)


_TABLES = {"service", "limits", "events", "model", "tuning"}  # the last two are of training
_CHECKS = {"explore": between(0, 1), "explore_pool": whole(1), "page": flag(), "workers": whole(1),
           "log_shown": optional(flag()),
           "salt": Check(lambda value: isinstance(value, str), "a string"),
           "items": optional(Check(lambda value: isinstance(value, str), "a path"))}


def types_of(path: str | os.PathLike[str] | None) -> EventTypes:
    """What a service's TOML file says of the types of events; the defaults without one."""
    return EventTypes.of({} if path is None else read_toml(path).get("events", {}))


def _known(what: str, table: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise ParameterError(f"[{what}] must be a table, not {table!r}.")
    unknown = sorted(set(table) - names)
    if unknown:
        raise ParameterError(f"{what} has no {unknown[0]!r}; it may have {', '.join(sorted(names))}.")
    return dict(table)
