"""A model's files forget people, with a receipt that can be checked, and give out what they hold of one."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys import loading
from recsys.artifact.container import versions as made_by
from recsys.artifact.versions import Version, Versions
from recsys.data import Interactions
from recsys.errors import DataError, ParameterError, UnknownIdError, UnsupportedError
from recsys.estimator import Recommender, persons, storing
from recsys.estimator.forgetting import Forgotten, finish, known_to
from recsys.estimator.levels import REMOVED, SAYS, UNTOUCHED, lifted, pending, weakest
from recsys.events import EventLog, announce, stamp_of
from recsys.progress import Progress

__all__ = ["Checked", "Rewritten", "check", "export", "forget"]

_KIND = "recsys receipt of forgetting"
_EXPORT = "recsys export of a person, form 1"


@dataclass(frozen=True)
class Rewritten:
    """What became of one version of a model.

    Attributes
    ----------
    before, after : str
        SHA-256 of its file.
    model : str
        Its class.
    level : str
        One of `recsys.estimator.levels.LEVELS`, or "not in it" where it knew none of these people and is as it was.
    how : str
    tolerance : float or None
    people, events : int
        Who was taken out, and how many events they had in it (-1: none were kept).
    left : int
        How many users it still knows.
    """

    before: str
    after: str
    model: str
    level: str
    how: str
    tolerance: float | None
    people: int
    events: int
    left: int


@dataclass(frozen=True)
class Checked:
    """Whether a receipt holds for a model, and why, in a sentence."""

    holds: bool
    why: str


def forget(path: str | os.PathLike[str], users: Sequence[Any] = (), *, data: Interactions | None = None,
           log: EventLog | None = None, removed_only: bool = False, finishing: bool = False,
           classes: Mapping[str, type[Recommender]] | None = None, progress: Progress | None = None
           ) -> dict[str, Any]:
    """Forget people in a model's file, in all versions of it that are kept, and in a log.

    Each file is replaced in one step. Nothing is changed if a version cannot reach the level that is asked for. What is
    killed may be done again, and goes on with the files that are left.

    Parameters
    ----------
    path : str or path
    users : sequence of ids
    data : Interactions, optional
        What the model was trained on, where it does not keep that itself; the data is not changed.
    log : EventLog, optional
        From which these people are erased, too, and by which a running service learns of the new file.
    removed_only : bool
        Accept the weakest level: what others learned of these people stays.
    finishing : bool
        Learn again, too, where earlier erasures (such as those of a service) have only removed people.
    classes : mapping of names to classes, optional
        As for `recsys.load`.
    progress : object with start, advance and stop, optional

    Returns
    -------
    dict
        The receipt, of JSON values and without ids: a number of its own, the weakest level that was reached, the
        `files` (see `Rewritten`), what went from the log, the time, and a digest of all that.

    Raises
    ------
    UnknownIdError
        No version and no log knows any of the users; the message does not name them.
    UnsupportedError
        A version does not hold what it learned from, and no data was given.
    """
    versions = Versions(path)
    work = _Work(list(dict.fromkeys(users)), data, removed_only, finishing, classes or {}, progress)
    concerned = work.found(versions, log)
    erased = None
    if log is not None:
        parts = [log.forget(user) for user in work.users]
        erased = {"events": sum(each.events for each in parts), "shown": sum(each.shown for each in parts)}
    with versions.marked(secrets.token_hex(16)) as number:
        before = {version.number: version.sha256 for version in _all(versions)}
        versions.rewrite(lambda source, target: work.rewrite(source, target, number))
        files = [work.told(version, before[version.number]) for version in _all(versions)]
    if log is not None and concerned:
        announce(log, [(os.fspath(versions.path), stamp_of(versions.path))])
    level = weakest(each.level for each in files)
    return _signed({"kind": _KIND, "receipt": number, "time": _now(), "made_by": made_by(), "asked": len(work.users),
                    "level": level, "says": SAYS[level], "files": [asdict(each) for each in files], "log": erased})


def _all(versions: Versions) -> list[Version]:
    """All versions that are kept, and the current one, which may not be."""
    kept, current = versions.list(), versions.current()
    return kept if current in kept else [*kept, current]


class _Work:
    """What is done to each version's file."""

    def __init__(self, users: list[Any], data: Interactions | None, removed_only: bool, finishing: bool,
                 classes: Mapping[str, type[Recommender]], progress: Progress | None) -> None:
        self.users, self._data, self._removed_only, self._finishing = users, data, removed_only, finishing
        self._classes, self._progress = classes, progress
        self._done: dict[str, tuple[str, Forgotten, int]] = {}  # by the digest of the new file

    def found(self, versions: Versions, log: EventLog | None) -> list[Version]:
        """The versions with something to do; raises if there is nothing to do at all, or a version cannot do it."""
        if not self.users and not self._finishing:
            raise ParameterError("forget: users is empty; name at least one user.")
        found = [version for version in _all(versions) if self.concerns(version.path)]
        if not found and not any(_in_log(log, user) for user in self.users):
            raise UnknownIdError(f"{versions.path}: " + (
                "neither the model nor a version of it knows any of these users, so nothing was changed; an earlier "
                "run that was stopped may have finished the work." if self.users else
                "nobody was only removed, so there is nothing to finish."))
        for version in found:
            try:
                self._require(version.path)
            except (DataError, UnsupportedError) as error:
                other = "" if version == versions.current() else " Or remove this version, which does not answer now."
                raise type(error)(f"{version.path}: {error}{other}") from error
        return found

    def concerns(self, path: Path) -> bool:
        """Whether a file knows any of the users, or is to be finished."""
        return bool(known_to(storing.load(path, mmap=True, verify=False), self.users)) or self._to_finish(path)

    def _to_finish(self, path: Path) -> bool:
        return self._finishing and pending(_entries(path))

    def _require(self, path: Path) -> None:
        """Raise for a file that cannot reach the level."""
        model = loading.load(path, mmap=True, verify=False, classes=self._classes)
        finish(model, known_to(model.require("forget"), self.users), self._data, removed_only=self._removed_only,
               reduced=self._reduced(path), dry=True)

    def _reduced(self, path: Path) -> bool:
        return pending(_entries(path))

    def rewrite(self, source: Path, target: Path, receipt: str) -> None:
        """Write the file anew without the users, if it knows any; its card lists the receipt."""
        if not self.concerns(source):
            return
        model, card = loading.load(source, classes=self._classes), loading.manifest(source)
        before = model.require("forget")
        rest, told = finish(model, known_to(before, self.users), self._data, removed_only=self._removed_only,
                            reduced=self._reduced(source), progress=self._progress)
        entries = _entries(source)
        if told.level != REMOVED:
            entries = lifted(entries, told.level)
        own = {"forgotten": [*entries, {"receipt": receipt, "level": told.level}]}
        storing.save(rest, target, seen=before.seen is not None, card=storing.additional(card) | own)
        self._done[_digest(target)] = type(model).__name__, told, len(rest.users)

    def told(self, version: Version, before: str) -> Rewritten:
        """What became of a version."""
        if version.sha256 in self._done:
            name, told, left = self._done[version.sha256]
            return Rewritten(before, version.sha256, name, told.level, told.how, told.tolerance, told.people,
                             told.events, left)
        card = loading.manifest(version.path)
        return Rewritten(version.sha256, version.sha256, card["class"], UNTOUCHED, "", None, 0, 0,
                         int(card["data"]["users"]))


def _entries(path: Path) -> list[dict[str, str]]:
    """What a file's card says of earlier erasures."""
    return list(loading.manifest(path).get("forgotten", []))


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _in_log(log: EventLog | None, user: Any) -> bool:
    """Whether a log keeps anything of a user."""
    return log is not None and bool(log.of_user(user, 1) or log.export(user)["shown"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# ------------------------------------------------------------------------------------------------ receipts

def _signed(receipt: dict[str, Any]) -> dict[str, Any]:
    return {**receipt, "digest": _sum(receipt)}


def _sum(receipt: Mapping[str, Any]) -> str:
    """SHA-256 of all but the digest, as sorted JSON without blanks."""
    told = {name: value for name, value in receipt.items() if name != "digest"}
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check(receipt: Mapping[str, Any], path: str | os.PathLike[str], users: Sequence[Any] = ()) -> Checked:
    """Whether a receipt is whole, and the model is the one that it speaks of, or a later one.

    A file is known by its SHA-256, or, if it has changed since by another erasure or by learning again, by the number
    of the receipt in its card.

    Parameters
    ----------
    receipt : mapping
        As `forget` gave it.
    path : str or path
    users : sequence of ids, optional
        Who is not to be known to any version.

    Raises
    ------
    DataError
        It is no receipt.
    """
    if not isinstance(receipt, Mapping) or receipt.get("kind") != _KIND or not isinstance(receipt.get("files"), list):
        raise DataError("check: this is no receipt of recsys forget; give the file that --receipt wrote.")
    if receipt.get("digest") != _sum(receipt):
        return Checked(False, "the receipt was changed after it was written: its digest differs.")
    versions = Versions(path)
    digests = {each["after"] for each in receipt["files"]}
    for version in _all(versions):
        place = "the model" if version == versions.current() else f"version {version.name}"
        if known_to(storing.load(version.path, mmap=True, verify=False), users):
            return Checked(False, f"{place} knows a user who was to be forgotten.")
        numbers = {each.get("receipt") for each in _entries(version.path)}
        if version.sha256 != _digest(version.path):
            return Checked(False, f"{place} has been changed: its checksum differs from the one in its name.")
        if version.sha256 not in digests and receipt["receipt"] not in numbers:
            return Checked(False, f"{place} is not one that the receipt speaks of, nor made from one.")
    return Checked(True, f"level: {receipt['level']}. {receipt['says']}")


# ------------------------------------------------------------------------------------------------- export

def export(path: str | os.PathLike[str], user: Any, log: EventLog | None = None) -> dict[str, Any]:
    """All that a model's file and a log hold of a person, as JSON values (GDPR, articles 15 and 20).

    Parameters
    ----------
    path : str or path
    user : id
    log : EventLog, optional

    Returns
    -------
    dict
        `model`: what it is, whether it knows the person, the `events` that it keeps (item, title, value, in order),
        `learned`, numbers that it has learned of the person alone, and `versions`, the names of those kept that know
        the person. `log`: events and lists shown, as in `EventLog.export`.

    Raises
    ------
    UnknownIdError
        Neither knows the person.
    """
    versions = Versions(path)
    fitted = storing.load(versions.path)
    kept, said = persons.kept(fitted, user), None if log is None else log.export(user)
    others = [version.name for version in _all(versions)
              if known_to(storing.load(version.path, mmap=True, verify=False), [user])]
    if not others and not (said and (said["events"] or said["shown"])):
        who = "the model does not know" if log is None else "neither the model nor the log knows"
        raise UnknownIdError(f"{os.fspath(path)}: {who} this user.")
    model = {"class": fitted.name, "known": bool(kept), "events": [], "learned": {}, **kept, "versions": others}
    return {"form": _EXPORT, "user": user, "time": _now(), "model": model,
            "log": None if said is None else {"events": said["events"], "shown": said["shown"]}}
