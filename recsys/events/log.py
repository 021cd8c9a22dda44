"""The event log: a file in which what was acknowledged stays, read by every process of the host."""

from __future__ import annotations

import hmac
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from recsys.checks import above, optional, whole
from recsys.errors import ParameterError
from recsys.events.database import Database
from recsys.events.records import (
    Erased,
    Event,
    Id,
    Item,
    Shown,
    State,
    check_all,
    check_event,
    check_id,
    check_item,
    check_name,
    check_shown,
    check_text,
)
from recsys.files import check_target

__all__ = ["EventLog"]

_EVENT = "id, user, item, type, value, time, request_id, seq"
_ITEM = "id, title, text, attributes, image, available"
_SHOWN = "request_id, time, user, variant, model, items, propensities, seq"
_PAGE = 1000  # shown lists that are read at a time
_LIMIT = optional(whole(0))


class EventLog:
    """Events, items, shown lists and the state of a service, in one file that processes of one host share.

    What a method has written is durable when it returns, on power loss too (SQLite with a write-ahead log and
    `synchronous=FULL`), and every connection that asks afterwards sees it. Writers wait for one another; readers
    wait for nobody.

    Parameters
    ----------
    path : path
        The file; beside it stand `-wal` and `-shm`, which belong to it, and `-turn`, which is empty.
    create : bool
        Whether to make it if there is none.
    timeout : float
        Seconds to wait while another process writes, before LogError.

    Raises
    ------
    LogError
        The file cannot be opened, read or written: a folder that is missing or read-only, a full disk, damage. All
        methods raise it, and what they were to write is then not in the log, or is there whole.
    ArtifactError
        The file belongs to another application, or a later version has written it.

    Notes
    -----
    An object is for one thread at a time. Do not read the file by other means in a process that has it open: closing it
    there drops the locks of the whole process (POSIX), and with them the safety of the log.

    Examples
    --------
    >>> import tempfile
    >>> log = EventLog(f"{tempfile.mkdtemp()}/log.db")
    >>> events = [Event("e1", "ann", 7, "click", None, 1.7e9, None), Event("e2", "ann", 9, "rating", 4.0, 1.7e9, None)]
    >>> log.append(events), log.append(events)  # a retry does no harm
    (2, 0)
    >>> [event.item for event in log.of_user("ann", limit=50)]
    [7, 9]
    >>> log.forget("ann"), log.of_user("ann", limit=50), log.is_forgotten("ann")
    (Erased(events=2, shown=0), [], True)
    >>> log.close()
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True, timeout: float = 5.0) -> None:
        above(0).require("EventLog", "timeout", timeout)
        self._database = Database(path, create=create, timeout=timeout)
        self._salt: bytes = self._database.rows("SELECT salt FROM meta")[0][0]

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EventLog({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._database.close()

    def state(self) -> State:
        """How far the log is, in one cheap query: whoever follows it asks this first."""
        return State._make(self._database.rows("SELECT seq, change, generation, epoch FROM meta")[0])

    # ------------------------------------------------------------------------------------------ events

    def append(self, events: Sequence[Event]) -> int:
        """Add events, all or none of them, in one durable transaction.

        Parameters
        ----------
        events : sequence of Event
            Their `seq` is not read: the log numbers them as they arrive, whatever their `time` says.

        Returns
        -------
        int
            How many were new: an event whose `id` is in the log already changes nothing.

        Raises
        ------
        DataError
            An event that cannot be kept; the message says which, and why. None is added.
        """
        check_all(events, "event", check_event)
        return len(self.append_groups([events])[0])

    def append_groups(self, groups: Sequence[Sequence[Event]]) -> list[list[str]]:
        """`append` of several senders' events, passed by `check_all`, in one transaction: the types of the new ones."""
        new = []
        with self._database.writing():
            seq = before = self.last_seq()
            for events in groups:
                count = self._database.insert(
                    f"INSERT INTO events ({_EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                    [(*event[:7], place) for place, event in enumerate(events, seq + 1)]) if events else 0
                new.append([event.type for event in events] if count == len(events) else
                           [event.type for event in self._events("WHERE seq > ?", seq)])
                seq += len(events)
            if seq != before:
                self._database.rows("UPDATE meta SET seq = ?", (seq,))
        return new

    def last_seq(self) -> int:
        """The highest `seq` given so far, 0 in a new log. No number is given twice, not even after an erasure."""
        return int(self._database.rows("SELECT seq FROM meta")[0][0])

    def since(self, seq: int, limit: int | None = None) -> list[Event]:
        """The first `limit` events after `seq` (None: all), in the order of arrival."""
        return self._events("WHERE seq > ? ORDER BY seq LIMIT ?", seq, _most(limit))

    def of_user(self, user: Id, limit: int | None = None, after: int = 0) -> list[Event]:
        """The last `limit` events of a user (None: all), of those after `after`; the oldest first."""
        check_id("user", user)
        return self._events("WHERE user = ? AND seq > ? ORDER BY seq DESC LIMIT ?", user, after, _most(limit))[::-1]

    def history(self, user: Id, limit: int | None = None, after: int = 0) -> list[tuple[Id, str, float | None, int]]:
        """Item, type, value and seq of `of_user`, in half the time: what an answer needs of a person."""
        check_id("user", user)
        return self._database.rows("SELECT item, type, value, seq FROM events WHERE user = ? AND seq > ? "
                                   "ORDER BY seq DESC LIMIT ?", (user, after, _most(limit)))[::-1]

    def newest(self) -> tuple[Id | None, Id | None]:
        """The user and the item of the last event, or, if there is none, no user and the item that was put last."""
        rows = (self._database.rows("SELECT user, item FROM events ORDER BY seq DESC LIMIT 1")
                or self._database.rows("SELECT NULL, id FROM items ORDER BY change DESC LIMIT 1"))
        return rows[0] if rows else (None, None)

    def count(self) -> int:
        """How many events there are, by counting them."""
        return int(self._database.rows("SELECT count(*) FROM events")[0][0])

    def _events(self, which: str, *values: Any) -> list[Event]:
        return list(map(Event._make, self._database.rows(f"SELECT {_EVENT} FROM events {which}", values)))

    # ------------------------------------------------------------------------------------------- items

    def put_item(self, item: Item) -> int:
        """Add an item or replace what is known of it; the number of this change. DataError if it cannot be kept."""
        return self.put_items([item])

    def put_items(self, items: Sequence[Item]) -> int:
        """`put_item` of several, all or none of them, in one transaction; the number of the last change."""
        check_all(items, "item", check_item)
        with self._database.writing():
            change = self.last_change()
            self._database.insert(
                f"INSERT OR REPLACE INTO items ({_ITEM}, change) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(item.id, item.title, item.text, json.dumps(item.attributes), item.image, item.available, place)
                 for place, item in enumerate(items, change + 1)])
            self._database.rows("UPDATE meta SET change = ?", (change + len(items),))
        return change + len(items)

    def item(self, id: Id) -> Item | None:
        """What is known of an item; None if nothing was put."""
        check_id("id", id)
        return next((item for _, item in self._items("WHERE id = ?", id)), None)

    def items_since(self, change: int) -> list[tuple[int, Item]]:
        """Items that were put after a change, each as it is now, by the number of its last change."""
        return self._items("WHERE change > ? ORDER BY change", change)

    def last_change(self) -> int:
        """The number of the last change of an item, 0 if there was none."""
        return int(self._database.rows("SELECT change FROM meta")[0][0])

    def _items(self, which: str, value: Any) -> list[tuple[int, Item]]:
        return [(change, Item(id, title, text, json.loads(attributes), image, bool(available)))
                for id, title, text, attributes, image, available, change
                in self._database.rows(f"SELECT {_ITEM}, change FROM items {which}", (value,))]

    # ------------------------------------------------------------------------------------- shown lists

    def append_shown(self, rows: Sequence[Shown], since: int | None = None) -> int:
        """Add shown lists, all or none of them; how many were new, by `request_id`. DataError as for `append`.

        Lists that were made when `last_seq` was `since` are left out if their people were forgotten after it.
        """
        check_all(rows, "list", check_shown)
        with self._database.writing():
            gone = set() if since is None else self.forgotten(since)
            rows = [row for row in rows if not gone or row.user is None or self.hash_of(row.user) not in gone]
            (seq,) = self._database.rows("SELECT shown FROM meta")[0]
            new = self._database.insert(
                f"INSERT INTO shown ({_SHOWN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id) DO NOTHING",
                [(*row[:5], json.dumps(row.items), json.dumps(row.propensities), place)
                 for place, row in enumerate(rows, seq + 1)])
            if new:
                self._database.rows("UPDATE meta SET shown = ?", (seq + len(rows),))
        return new

    def shown(self, after: int = 0, limit: int | None = None) -> Iterator[Shown]:
        """Shown lists whose `seq` is above `after`, in the order of arrival, at most `limit` (None: all)."""
        left = _most(limit)
        while left:
            size = _PAGE if left < 0 else min(left, _PAGE)
            page = self._shown("WHERE seq > ? ORDER BY seq LIMIT ?", after, size)
            yield from page
            if len(page) < size:
                return
            after, left = page[-1].seq, left - size if left > 0 else left

    def last_shown(self) -> int:
        """The highest `seq` of a shown list, 0 if there was none."""
        return int(self._database.rows("SELECT shown FROM meta")[0][0])

    def of_request(self, request_id: str) -> Shown | None:
        """The list that was shown in answer to a request; None if there is none."""
        check_name("request_id", request_id)
        return next(iter(self._shown("WHERE request_id = ?", request_id)), None)

    def _shown(self, which: str, *values: Any) -> list[Shown]:
        rows = self._database.rows(f"SELECT {_SHOWN} FROM shown {which}", values)
        return [Shown._make((*about, json.loads(items), json.loads(propensities), seq))
                for *about, items, propensities, seq in rows]

    # ------------------------------------------------------------------------------ state of a service

    def get(self, key: str) -> str | None:
        """The text under a key; None if there is none."""
        check_name("key", key)
        return next((value for (value,) in self._database.rows("SELECT value FROM state WHERE key = ?", (key,))), None)

    def put(self, key: str, value: str) -> None:
        """Keep a text, such as JSON, under a key. It must not name people: an erasure does not look there."""
        with self._database.writing():
            self._put(key, value)

    def generation(self) -> int:
        """How often a key was bumped."""
        return self.state().generation

    def bump(self, key: str, value: str) -> int:
        """`put`, and raise the generation with it, so that others learn of it; the new generation."""
        with self._database.writing():
            self._put(key, value)
            self._database.rows("UPDATE meta SET generation = generation + 1")
            return self.generation()

    def _put(self, key: str, value: str) -> None:
        check_name("key", key)
        check_text("value", value)
        self._database.rows("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))

    # ----------------------------------------------------------------------------------------- erasure

    def export(self, user: Id) -> dict[str, Any]:
        """All that is kept of a person: {"user", "events", "shown"}, the records as dicts, oldest first."""
        check_id("user", user)
        return {"user": user, "events": [event._asdict() for event in self.of_user(user)],
                "shown": [row._asdict() for row in self._shown("WHERE user = ? ORDER BY seq", user)]}

    def forget(self, user: Id) -> Erased:
        """Delete all that is kept of a person, down to the bytes, and remember by a hash to leave them out of training.

        The deletion is durable at once, raises `epoch`, and takes a `seq` of its own. Then `scrub` writes the file
        anew, and writers wait for it. Somebody who comes back has new events, which count.

        Returns
        -------
        Erased
            How much was deleted.

        Raises
        ------
        LogError
            Also when the person is forgotten, but bytes may be left in the files because a reader holds them: call
            `scrub` until it succeeds. `needs_scrub` says so after a crash, too.
        """
        hash = self.hash_of(user)
        with self._database.writing():
            events, shown = (
                len(self._database.rows(f"DELETE FROM {table} WHERE user = ? RETURNING seq", (user,)))
                for table in ("events", "shown"))
            self._database.rows("UPDATE meta SET seq = seq + 1, epoch = epoch + 1")
            self._database.rows("INSERT OR REPLACE INTO forgotten SELECT ?, seq FROM meta", (hash,))
        self.scrub()
        return Erased(events, shown)

    def scrub(self) -> None:
        """Leave no byte of what was deleted in the file, or beside it; LogError if a reader does not let go in time.

        It writes the whole file anew, about a second for a million events. The file system may keep blocks that it has
        freed, and backups are other files: see `backup`.
        """
        epoch = self.state().epoch
        self._database.scrub()
        with self._database.writing():
            self._database.rows("UPDATE meta SET scrubbed = max(scrubbed, ?)", (epoch,))

    def needs_scrub(self) -> bool:
        """Whether somebody was forgotten whose bytes may be left, because `scrub` was interrupted."""
        return bool(self._database.rows("SELECT epoch > scrubbed FROM meta")[0][0])

    def hash_of(self, user: Id) -> bytes:
        """HMAC-SHA256 of an id under a random key of this log, 32 bytes.

        Whoever has the file has the key as well, and can tell whether an id that they guess was forgotten, no more.
        """
        check_id("user", user)
        return hmac.digest(self._salt, f"{type(user).__name__}:{user}".encode(), "sha256")

    def is_forgotten(self, user: Id) -> bool:
        """Whether a person asked to be forgotten, whatever they did later."""
        return bool(self._database.rows("SELECT 1 FROM forgotten WHERE hash = ?", (self.hash_of(user),)))

    def forgotten(self, after: int = 0) -> set[bytes]:
        """`hash_of` those who were forgotten after a `seq`, such as the last that a model has learned from."""
        return {hash for (hash,) in self._database.rows("SELECT hash FROM forgotten WHERE seq > ?", (after,))}

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Write a consistent copy while the log is in use, whole or not at all.

        Nobody is forgotten in a copy: whoever keeps one has to forget people there too, or delete it in time.

        Raises
        ------
        OSError
            The file cannot be written.
        ParameterError
            It is the log itself.
        """
        target = check_target(path)
        if target.exists() and os.path.samefile(target, self.path):
            raise ParameterError(f"backup: path must be another file than the log {self.path}.")
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as folder:
            copy = Path(folder) / "log.db"
            self._database.rows("VACUUM INTO ?", (str(copy),))
            with open(copy, "rb") as file:
                os.fsync(file.fileno())
            os.replace(copy, target)


def _most(limit: int | None) -> int:
    """A limit as SQLite takes it, where a negative one is none."""
    if not _LIMIT.accepts(limit):
        raise ParameterError(f"limit must be {_LIMIT.says}, not {limit!r}.")
    return -1 if limit is None else limit
