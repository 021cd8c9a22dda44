"""Erasure down to the bytes of every file, with other processes at work and after crashes; copies."""

from __future__ import annotations

import hashlib
import hmac
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.errors import LogError, ParameterError
from recsys.events import Erased, Event, EventLog, Item, Shown

TIMEOUT = 30
Start = Callable[..., subprocess.Popen[str]]


def person(number: int) -> str:
    return f"person-{number}-{hashlib.sha256(str(number).encode()).hexdigest()[:24]}"


def fill(log: EventLog, people: int, rows: int, seed: int = 0) -> None:
    """Events in a random order of people, so that pages are split again and again, whose ids name the person too."""
    chance = random.Random(seed)
    for batch in range(rows // 50):
        who = [person(int(people * chance.random() ** 3)) for _ in range(50)]
        log.append([Event(f"{chance.getrandbits(64):x}-{user}-{batch}-{i}", user, chance.randrange(99), "click",
                          1.5, 1e9, f"request of {user}") for i, user in enumerate(who)])
        log.append_shown([Shown(f"request of {user} {batch}-{i}", 1e9, user, "a", "ease 1", [1, "x"], [1.0, 0.5])
                          for i, user in enumerate(who[:5])])


def found(folder: Path, *needles: str) -> list[str]:
    """Which of the texts stand in any file of the folder.

    By a process of its own: to open and close the file here would drop the locks of the logs that are open here.
    """
    code = "import pathlib, sys\n" \
           "data = b''.join(p.read_bytes() for p in pathlib.Path(sys.argv[1]).rglob('*') if p.is_file())\n" \
           "print('\\n'.join(needle for needle in sys.argv[2:] if needle.encode() in data))"
    done = subprocess.run([sys.executable, "-c", code, str(folder), *needles], capture_output=True, text=True,
                          check=True, timeout=TIMEOUT)
    return done.stdout.split()


def test_no_byte_is_left_and_nobody_else_is_touched(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.db") as log:
        fill(log, people=400, rows=15_000)
        log.put_item(Item(1, "title", None, {}, None, True))
        gone, kept = [person(i) for i in range(0, 400, 10)], [person(i) for i in range(1, 400, 10)]
        before = {user: log.export(user) for user in kept}
        assert len(found(tmp_path, *gone, *kept)) == 80
        for user in gone:
            had = log.export(user)
            assert log.forget(user) == Erased(len(had["events"]), len(had["shown"]))
            assert found(tmp_path, user) == []
        assert found(tmp_path, *gone) == []
        assert {user: log.export(user) for user in kept} == before
        assert log.item(1) is not None
    assert found(tmp_path, *gone) == []


@pytest.mark.parametrize("user", [7, "7", "日本-" + "x" * 200, 2**62 + 12345])
def test_ids_of_any_kind(tmp_path: Path, user: int | str) -> None:
    """Also integers, which SQLite keeps as big-endian bytes: a long one is searched for as such."""
    with EventLog(tmp_path / "log.db") as log:
        others = [7, "7", 8, "日本"]
        log.append([Event(f"{kind}-{i}", id, 1, "click", None, 0.0, None)
                    for i in range(20) for kind, id in enumerate([user, *others])])
        assert log.forget(user).events == (40 if user in others else 20)
        assert [e.user for e in log.of_user(user)] == []
        for other in others:
            assert len(log.of_user(other)) == 20 * (repr(other) != repr(user))
        assert log.is_forgotten(user)
        assert sum(map(log.is_forgotten, [7, "7", 8, "日本"])) == (user in others)
    data = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    if len(str(user)) > 5:
        assert str(user).encode() not in data
        assert isinstance(user, str) or user.to_bytes(8, "big") not in data


def test_other_processes_may_read_and_write_meanwhile(start: Start, tmp_path: Path) -> None:
    code = """
        log = EventLog(path, timeout=20)
        for i in itertools.count():
            log.append([event(f"other-{i}", "other")])
            assert len(log.of_user("other")) == i + 1
            log.since(0)
            if i == 3:
                print("busy", flush=True)
            if log.get("stop"):
                print(i + 1)
                break
    """
    with EventLog(tmp_path / "log.db", timeout=20) as log:
        fill(log, people=20, rows=1000)
        other = start(code, log.path)
        assert other.stdout is not None
        assert other.stdout.readline() == "busy\n"
        for number in range(10):
            log.forget(person(number))
            assert found(tmp_path, person(number)) == []
        log.put("stop", "1")
        written, _ = other.communicate(timeout=TIMEOUT)
        assert other.returncode == 0
        assert len(log.of_user("other")) == int(written)
        assert log.state().epoch == 10


def test_a_reader_that_holds_on_is_said_and_scrubbed_later(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.db", timeout=0.3) as log:
        fill(log, people=20, rows=500)
        reader = sqlite3.connect(log.path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchall()
        with pytest.raises(LogError, match=r"log\.db: what was deleted may still be read in the file -wal.* scrub\(\)"):
            log.forget(person(0))
        assert log.of_user(person(0)) == []
        assert log.is_forgotten(person(0))
        assert log.needs_scrub()
        assert found(tmp_path, person(0)) != []  # what the reader may still ask for
        reader.execute("COMMIT")
        reader.close()
        log.scrub()
        assert not log.needs_scrub()
        assert found(tmp_path, person(0)) == []


def test_a_crash_between_deleting_and_scrubbing_is_remembered(start: Start, tmp_path: Path) -> None:
    code = """
        from recsys.events.database import Database
        Database.scrub = lambda self: os.kill(os.getpid(), 9)
        EventLog(path).forget(sys.argv[2])
    """
    with EventLog(tmp_path / "log.db") as log:
        fill(log, people=20, rows=500)
        dying = start(code, log.path, person(3))
        dying.communicate(timeout=TIMEOUT)
        assert dying.returncode == -signal.SIGKILL
    with EventLog(tmp_path / "log.db") as log:
        assert log.needs_scrub()
        assert log.of_user(person(3)) == []
        assert log.is_forgotten(person(3))
        log.scrub()
        assert not log.needs_scrub()
        assert found(tmp_path, person(3)) == []


def test_a_kill_at_any_moment_leaves_a_person_whole_or_gone(start: Start, tmp_path: Path) -> None:
    code = """
        log = EventLog(path)
        print("ready", flush=True)
        log.forget(sys.argv[2])
    """
    chance = random.Random(0)
    with EventLog(tmp_path / "log.db") as log:
        fill(log, people=20, rows=3000)
        everybody = {person(i): len(log.of_user(person(i))) for i in range(20)}
        for number in range(6):
            dying = start(code, log.path, person(number))
            assert dying.stdout is not None
            dying.stdout.readline()
            try:
                dying.wait(chance.random() * 0.03)
            except subprocess.TimeoutExpired:
                dying.kill()
            dying.communicate(timeout=TIMEOUT)
            left = len(log.of_user(person(number)))
            assert left == (0 if log.is_forgotten(person(number)) else everybody[person(number)])
            assert log.needs_scrub() or left or found(tmp_path, person(number)) == []
        assert {user: len(log.of_user(user)) for user in list(everybody)[6:]} == dict(list(everybody.items())[6:])
        log.scrub()
        assert found(tmp_path, *(user for user in everybody if log.is_forgotten(user))) == []


def test_somebody_who_comes_back_has_new_events_and_stays_forgotten_for_old_data(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.db") as log:
        old = Event("old", "ann", 1, "click", None, 0.0, None)
        log.append([old])
        log.forget("ann")
        log.append([old._replace(id="new", item=2)])
        assert [e.item for e in log.of_user("ann")] == [2]
        assert log.is_forgotten("ann")
        assert log.forget("ann").events == 1
        assert len(log.forgotten()) == 1
        assert log.forget("never seen") == Erased(0, 0)


def test_the_hash_is_keyed_and_tells_kinds_apart(tmp_path: Path) -> None:
    with EventLog(tmp_path / "a.db") as log, EventLog(tmp_path / "b.db") as other:
        (salt,), = sqlite3.connect(log.path).execute("SELECT salt FROM meta")
        assert log.hash_of("7") == hmac.new(salt, b"str:7", hashlib.sha256).digest()
        assert len({log.hash_of(7), log.hash_of("7"), other.hash_of(7), other.hash_of("7")}) == 4
        log.forget(7)
        assert log.forgotten() == {log.hash_of(7)}
        assert not log.is_forgotten("7")
    with EventLog(tmp_path / "a.db") as log:
        assert log.is_forgotten(7)


def test_a_backup_is_the_whole_log_at_one_moment(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log.db") as log:
        fill(log, people=20, rows=500)
        log.forget(person(0))
        log.bump("model", '"ease 2"')
        log.backup(tmp_path / "copy.db")
        log.append([Event("later", "ann", 1, "click", None, 0.0, None)])
        with EventLog(tmp_path / "copy.db", create=False) as copy:
            assert copy.since(0) == log.since(0)[:-1]
            assert list(copy.shown()) == list(log.shown())
            assert copy.state() == (log.state().seq - 1, *log.state()[1:])
            assert copy.is_forgotten(person(0))
            assert copy.get("model") == '"ease 2"'
            assert copy.append([Event("other", "ann", 1, "click", None, 0.0, None)]) == 1
        log.backup(tmp_path / "copy.db")
        with EventLog(tmp_path / "copy.db", create=False) as copy:
            assert copy.since(0) == log.since(0)
        with pytest.raises(ParameterError, match="another file than the log"):
            log.backup(log.path)
        with pytest.raises(OSError, match="there is no folder"):
            log.backup(tmp_path / "none" / "copy.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "copy.db-turn", "log.db", "log.db-turn"]
