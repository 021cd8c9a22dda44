"""Who sees which variant: by a salted hash, so every worker says the same and nothing is stored."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral

from recsys.checks import between
from recsys.errors import ParameterError

__all__ = ["Variants", "tagged"]

_SLACK = 1e-9  # how far the shares may sum from 1: they are written as decimals


@dataclass(frozen=True)
class Variants:
    """Variants of an experiment and the share of people that each gets.

    Each variant runs an exponential clock for each person, `-log(u) / share`, where u is uniform and comes from
    SHA-256 of salt, variant and person; the variant whose clock rings first has the person. It rings first with
    probability `share`. This is weighted rendezvous hashing, and it moves as few people as can be: when one share
    changes and the others keep their proportions, whoever moves goes to the variant that grew, or leaves the one that
    shrank, and a variant that is added or taken away moves its own people only. (Contiguous ranges of one hash do so
    between two variants, but a fourth beside three equal ones would move half of all people, not a quarter.)

    Parameters
    ----------
    names : sequence of str
        Different from each other.
    shares : sequence of float
        One a variant, 0 to 1; they sum to 1.
    salt : str
        The name of the experiment: with another salt, people are dealt anew.

    Raises
    ------
    ParameterError
        Names repeat, shares are no shares, or do not sum to 1.

    References
    ----------
    Thaler and Ravishankar, Using name-based mappings to increase hit rates, IEEE/ACM Transactions on Networking 1998
    (rendezvous); Schindelhauer and Schomaker, Weighted distributed hash tables, SPAA 2005 (its weights).

    Examples
    --------
    >>> variants = Variants(["ease", "gru"], [0.5, 0.5], salt="spring")
    >>> [variants.assign(user) for user in (1, 2, 3, "3")]
    ['ease', 'ease', 'gru', 'ease']
    >>> variants.share("ease")
    0.5
    """

    names: Sequence[str]
    shares: Sequence[float]
    salt: str
    _clocks: list[tuple[str, float, bytes]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names, shares = tuple(self.names), tuple(self.shares)
        if not names or len(set(names)) < len(names) or not all(isinstance(name, str) and name for name in names):
            raise ParameterError(f"Variants: names must be one or more different words, not {list(names)!r}.")
        if len(shares) != len(names):
            raise ParameterError(f"Variants: give one share a variant; {len(names)} names have {len(shares)} shares.")
        for name, share in zip(names, shares, strict=True):
            between(0, 1).require("Variants", f"the share of {name}", share)
        if abs(math.fsum(shares) - 1) > _SLACK:
            said = ", ".join(f"{name} {share:g}" for name, share in zip(names, shares, strict=True))
            raise ParameterError(f"Variants: the shares must sum to 1, but {said} sum to {math.fsum(shares):.6g}.")
        if not isinstance(self.salt, str):
            raise ParameterError(f"Variants: salt must be a word, not {self.salt!r}.")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "shares", shares)
        object.__setattr__(self, "_clocks", [
            (name, share, tagged(self.salt) + tagged(name))
            for name, share in zip(names, shares, strict=True) if share > 0])

    def assign(self, unit: int | str) -> str:
        """The variant of a person, by id; the integer 7 and the text "7" are two people.

        Raises
        ------
        ParameterError
            The id is neither an integer nor a text.
        """
        person = tagged(unit)
        return min(self._clocks, key=lambda clock: _rings(clock[2] + person) / clock[1])[0]

    def share(self, name: str) -> float:
        """The share of people that a variant gets.

        Raises
        ------
        ParameterError
            No variant has this name.
        """
        if name not in self.names:
            raise ParameterError(f"Variants: there is no variant {name!r}; there are {', '.join(self.names)}.")
        return self.shares[self.names.index(name)]


def tagged(unit: int | str) -> bytes:
    """The bytes that are hashed for an id: its kind, length and text, so that no two ids or pairs of ids agree.

    Raises
    ------
    ParameterError
        The id is neither an integer nor a text.

    Examples
    --------
    >>> tagged(7), tagged("7")
    (b'i1:7', b's1:7')
    """
    if isinstance(unit, str):
        kind, text = b"s", unit.encode("utf-8", "surrogatepass")
    elif isinstance(unit, Integral) and not isinstance(unit, bool):
        kind, text = b"i", str(int(unit)).encode()
    else:
        raise ParameterError(f"experiments: an id must be an integer or a text, not {unit!r}.")
    return b"%b%d:%b" % (kind, len(text), text)


def _rings(hashed: bytes) -> float:
    """When a clock of rate 1 rings: `-log(u)`, u of the first 53 bits of the hash, between 0 and 1."""
    bits = int.from_bytes(hashlib.sha256(hashed).digest()[:8], "big") >> 11
    return -math.log((bits + 0.5) * 2.0**-53)
