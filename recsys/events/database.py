"""The SQLite file of an event log: opened safely, written durably, with errors that say what to do."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from recsys.errors import ArtifactError, LogError
from recsys.events.turnstile import Turnstile

__all__ = ["Database"]

_APPLICATION = int.from_bytes(b"recl", "big")  # in the header of the file, so that others' files are told apart
_FORMAT = 1
_HEADER = 100  # bytes that any SQLite file begins with, unless it is empty
_PAUSE = 0.00005  # seconds between two looks at a lock that others hold
_REST = 0.05  # seconds that writers wait for an attempt to empty the write-ahead log, and then have to themselves

_SETTINGS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # a commit is on the disk when it returns
    "secure_delete = ON",
    "wal_autocheckpoint = 16384",  # pages: random inserts into a large log are twice as fast as with the default
    "cache_size = -65536",  # KiB
)

# Ids have no declared type, so that SQLite converts none of them: 7 and "7" stay different. Events are kept in the
# order (user, seq), so that the last ones of a person lie side by side.
_SCHEMA = """
CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, change INTEGER NOT NULL,
                   generation INTEGER NOT NULL, epoch INTEGER NOT NULL, shown INTEGER NOT NULL,
                   scrubbed INTEGER NOT NULL, salt BLOB NOT NULL);
CREATE TABLE events (id TEXT NOT NULL UNIQUE, user NOT NULL, item NOT NULL, type TEXT NOT NULL, value REAL,
                     time REAL NOT NULL, request_id TEXT, seq INTEGER NOT NULL, PRIMARY KEY (user, seq)) WITHOUT ROWID;
CREATE UNIQUE INDEX events_seq ON events (seq);
CREATE TABLE items (id NOT NULL PRIMARY KEY, title TEXT, text TEXT, attributes TEXT NOT NULL, image TEXT,
                    available INTEGER NOT NULL, change INTEGER NOT NULL UNIQUE) WITHOUT ROWID;
CREATE TABLE shown (request_id TEXT NOT NULL UNIQUE, time REAL NOT NULL, user, variant TEXT NOT NULL,
                    model TEXT NOT NULL, items TEXT NOT NULL, propensities TEXT NOT NULL, seq INTEGER PRIMARY KEY);
CREATE INDEX shown_user ON shown (user);
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE forgotten (hash BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID
"""

_ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full; make room and send again what was not acknowledged",
    sqlite3.SQLITE_BUSY: "another process held it for too long; try again, or open it with a longer timeout",
    sqlite3.SQLITE_READONLY: "it may not be written; check the permissions of the file and of its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; its folder, with -wal and -shm in it, must exist and be writable",
    sqlite3.SQLITE_PERM: "it may not be opened; check the permissions of the file and of its folder",
    sqlite3.SQLITE_CORRUPT: "it is damaged; put a backup in its place, together with no -wal and no -shm",
    sqlite3.SQLITE_NOTADB: "it is not an event log; name another file, or put a backup in its place",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written; check its health, its space and the limit on file sizes",
}


class Database:
    """One connection to the file of a log, for one thread at a time.

    Parameters
    ----------
    path : path
    create : bool
        Whether to make the file if there is none.
    timeout : float
        Seconds to wait while another connection writes.

    Raises
    ------
    LogError
        The file cannot be opened.
    ArtifactError
        It is a SQLite file of somebody else, or of a later version of this library.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool, timeout: float) -> None:
        self.path = Path(path)
        self.timeout = timeout
        if not create and not self.path.is_file():
            raise LogError(f"{self.path}: there is no such event log; name one that exists.")
        if self.path.is_file() and 0 < self.path.stat().st_size < _HEADER:  # SQLite would take it for an empty one
            raise LogError(f"{self.path}: {_ADVICE[sqlite3.SQLITE_NOTADB]}.")
        address = f"{self.path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        self._turnstile = Turnstile(self.path, timeout)
        try:
            self._connection = sqlite3.connect(address, uri=True, timeout=0, isolation_level=None,
                                               check_same_thread=False)
        except sqlite3.Error as error:
            raise self._error(error) from error
        try:
            self._open(create)
        except BaseException:
            self.close()
            raise

    def _open(self, create: bool) -> None:
        self.rows("BEGIN")  # all looks are at one moment, as another process may begin the same file
        fresh = not self._is_log()
        self.rows("COMMIT")
        if fresh and not create:
            raise LogError(f"{self.path}: this file is empty, not an event log; name another one.")
        for setting in _SETTINGS:
            self.rows(f"PRAGMA {setting}")
        if fresh:
            with self.writing():
                if not self._is_log():  # nobody else was faster
                    self._create()

    def _is_log(self) -> bool:
        """Whether this is a log of ours, and False for a new, empty file; ArtifactError for anything else."""
        (application,), (version,), (tables,) = (
            self.rows(query)[0] for query in ("PRAGMA application_id", "PRAGMA user_version",
                                              "SELECT count(*) FROM sqlite_master"))
        if application == 0 and version == 0 and tables == 0:
            return False
        if application != _APPLICATION:
            raise ArtifactError(f"{self.path}: this is a SQLite file of another application, not an event log; "
                                f"name another file.")
        if version != _FORMAT:
            raise ArtifactError(f"{self.path}: this event log has format {version}, and this version of recsys knows "
                                f"format {_FORMAT}; install the version that wrote it.")
        return True

    def _create(self) -> None:
        for statement in _SCHEMA.split(";"):
            self.rows(statement)
        self.rows("INSERT INTO meta VALUES (1, 0, 0, 0, 0, 0, 0, ?)", (secrets.token_bytes(32),))
        self.rows(f"PRAGMA application_id = {_APPLICATION}")
        self.rows(f"PRAGMA user_version = {_FORMAT}")

    def close(self) -> None:
        """Close the connection; it may be closed before."""
        self._connection.close()
        self._turnstile.close()

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """All rows of a statement at once, as a reader that is left open keeps the write-ahead log from shrinking."""
        deadline = None
        while True:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                deadline = deadline or time.monotonic() + self.timeout
                if _kind(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise self._error(error) from error
                time.sleep(_PAUSE)

    def insert(self, query: str, rows: Iterable[tuple[Any, ...]]) -> int:
        """Run a statement once for each tuple, in a transaction; how many rows it changed."""
        try:
            return self._connection.executemany(query, rows).rowcount
        except sqlite3.Error as error:
            raise self._error(error) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction that is durable when the block ends, and has not been when the block raises."""
        with self._turnstile.turn():
            self.rows("BEGIN IMMEDIATE")  # a read that turned into a write would be refused
        try:
            yield
            self.rows("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk has rolled back already
                self.rows("ROLLBACK")
            raise

    def scrub(self) -> None:
        """Leave no byte of what was deleted in the file or beside it.

        Deleted cells are overwritten (secure_delete), but pages that were split or joined before may hold stale copies
        of cells that moved, so the file is written anew from what lives. That passes through the write-ahead log, which
        is cut to nothing afterwards, as soon as no reader needs it.
        """
        with self._turnstile.turn():
            self.rows("VACUUM")
        deadline = time.monotonic() + self.timeout
        while not self._emptied():
            if time.monotonic() > deadline:
                raise LogError(f"{self.path}: what was deleted may still be read in the file -wal, which a reader has "
                               f"held for {self.timeout:g} s; call scrub() again.")
            time.sleep(_REST)

    def _emptied(self) -> bool:
        """Whether the write-ahead log could be cut to nothing before writers had waited for too long."""
        with self._turnstile.turn():
            deadline = time.monotonic() + _REST
            while self.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
                if time.monotonic() > deadline:
                    return False
                time.sleep(_PAUSE)
        return True

    def _error(self, error: sqlite3.Error) -> LogError:
        advice = _ADVICE.get(_kind(error), "it cannot be used")
        return LogError(f"{self.path}: {advice} ({error}).")


def _kind(error: sqlite3.Error) -> int:
    """The kind of an error, without its details; -1 where SQLite had no part in it."""
    code = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else -1
