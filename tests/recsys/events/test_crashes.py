"""Real processes, kills, torn files, full and read-only disks: what was acknowledged is there, and nothing half."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recsys.errors import ArtifactError, LogError
from recsys.events import Event, EventLog

TIMEOUT = 30
Start = Callable[..., subprocess.Popen[str]]


def event(id: str, user: int | str = "u") -> Event:
    return Event(id, user, "i", "click", None, 0.0, None)


def test_writers_share_the_file_and_a_follower_misses_nothing(start: Start, tmp_path: Path) -> None:
    """Three processes open a file that is not there yet at once, and write own events and common ones."""
    path = tmp_path / "log.db"
    code = """
        log = EventLog(path, timeout=20)
        for i in range(100):
            log.append([event(f"{sys.argv[2]}-{i}", int(sys.argv[2])), event(f"common-{i}")])
    """
    writers = [start(code, path, number) for number in range(3)]
    with EventLog(path, timeout=20) as log:
        followed: list[Event] = []
        deadline = time.monotonic() + TIMEOUT
        while any(writer.poll() is None for writer in writers):
            followed += log.since(followed[-1].seq if followed else 0, limit=7)
            assert time.monotonic() < deadline
        followed += log.since(followed[-1].seq)
        assert [writer.wait(TIMEOUT) for writer in writers] == [0, 0, 0]
        assert followed == log.since(0)
        assert sorted(e.id for e in followed) == sorted([f"{n}-{i}" for n in (0, 1, 2, "common") for i in range(100)])
        for number in range(3):
            assert [e.id for e in log.of_user(number)] == [f"{number}-{i}" for i in range(100)]


def test_busy_writers_starve_nobody(start: Start, tmp_path: Path) -> None:
    """Two processes write without a break; SQLite alone has let a third wait for seconds."""
    code = """
        log = EventLog(path, timeout=20)
        for i in itertools.count():
            log.append([event(f"{sys.argv[2]}-{i}", sys.argv[2])])
            if i == 0:
                print("busy", flush=True)
    """
    path = tmp_path / "log.db"
    for writer in [start(code, path, number) for number in range(2)]:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "busy\n"
    with EventLog(path, timeout=2) as log:
        for i in range(100):
            assert log.append([event(f"third-{i}", "third")]) == 1
        assert min(len(log.of_user("0")), len(log.of_user("1"))) > 25


def test_a_killed_writer_loses_nothing_that_it_acknowledged(start: Start, tmp_path: Path) -> None:
    """Kill -9 at random moments: acknowledged batches are there at once and for good, and no batch is half there."""
    code = """
        log = EventLog(path)
        for i in range(10**6):
            log.append([event(f"{sys.argv[2]}-{i}-{j}", i) for j in range(3)])
            print(i, flush=True)
    """
    chance, path = random.Random(0), tmp_path / "log.db"
    acknowledged: set[str] = set()
    with EventLog(path) as log:
        for life in range(8):
            writer = start(code, path, life)
            assert writer.stdout is not None
            for _ in range(chance.randrange(1, 60)):
                done = int(writer.stdout.readline())
                acknowledged.add(f"{life}-{done}")
                assert [e.id for e in log.of_user(done, 3)] == [f"{life}-{done}-{j}" for j in range(3)]
            time.sleep(chance.random() * 0.002)  # so that some die in the middle of a transaction
            writer.send_signal(signal.SIGKILL)
            acknowledged |= {f"{life}-{line.strip()}" for line in writer.stdout if line.endswith("\n")}
            writer.wait(TIMEOUT)
        ids = [e.id for e in log.since(0)]
        batches = {id.rpartition("-")[0] for id in ids}
        assert len(ids) == len(set(ids)) == 3 * len(batches)
        assert acknowledged <= batches
        assert len(batches) <= len(acknowledged) + 8  # a batch may be written and its writer die before it says so


def test_nothing_acknowledged_by_several_is_lost_when_all_die_at_once(start: Start, tmp_path: Path) -> None:
    """The next one to open the file recovers it; nobody who has it open is left."""
    code = """
        log = EventLog(path, timeout=20)
        for i in range(10**6):
            log.append([event(f"{sys.argv[2]}-{i}")])
            print(i, flush=True)
    """
    path = tmp_path / "log.db"
    writers = [start(code, path, number) for number in range(2)]
    for writer in writers:
        assert writer.stdout is not None
        for _ in range(20):
            writer.stdout.readline()
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    acknowledged = {f"{number}-{i}" for number in range(2) for i in range(20)}
    for number, writer in enumerate(writers):
        assert writer.stdout is not None
        acknowledged |= {f"{number}-{line.strip()}" for line in writer.stdout if line.endswith("\n")}
        writer.wait(TIMEOUT)
    assert (tmp_path / "log.db-wal").stat().st_size > 0
    with EventLog(path, create=False) as log:
        assert acknowledged <= {e.id for e in log.since(0)}
        assert log.append([event("after")]) == 1


def test_a_torn_tail_costs_the_end_alone(start: Start, tmp_path: Path) -> None:
    """Cut or flip bytes of the write-ahead log anywhere: it opens, with what was checkpointed and part of the rest."""
    code = """
        log = EventLog(path)
        for i in range(20):
            log.append([event(str(i))])
        log.scrub()  # which moves everything into the file itself
        for i in range(20, 60):
            log.append([event(str(i))])
        os.kill(os.getpid(), 9)
    """
    path = tmp_path / "log.db"
    assert start(code, path).wait(TIMEOUT) == -signal.SIGKILL
    whole = Path(f"{path}-wal").read_bytes()
    chance, lengths = random.Random(1), set()
    for case in range(24):
        torn = tmp_path / f"{case}.db"
        shutil.copy(path, torn)
        place = len(whole) - 1 if case == 0 else chance.randrange(len(whole))
        tail = b"" if case % 2 == 0 else bytes([whole[place] ^ 255]) + whole[place + 1:]
        Path(f"{torn}-wal").write_bytes(whole[:place] + tail)
        with EventLog(torn, create=False) as log:
            kept = [e.id for e in log.since(0)]
            assert kept == [str(i) for i in range(len(kept))]
            assert len(kept) >= (59 if case == 0 else 20)
            assert log.append([event("after")]) == 1
            lengths.add(len(kept))
    assert len(lengths) > 5


# --------------------------------------------------------------------------------- disks without room

def test_a_limit_on_the_file_is_a_clear_error_and_nothing_acknowledged_is_lost(start: Start, tmp_path: Path) -> None:
    code = """
        import resource
        log = EventLog(path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        done = 0
        try:
            for i in range(10**6):
                log.append([event(f"{i}-{j}") for j in range(20)])
                done += 1
        except LogError as error:
            assert path in str(error) and "limit on file sizes" in str(error), error
        assert log.count() == 20 * done  # what can be read still is
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        log.append([event("after")])
        print(done)
    """
    child = start(code, tmp_path / "log.db")
    out, _ = child.communicate(timeout=TIMEOUT)
    assert child.returncode == 0
    with EventLog(tmp_path / "log.db") as log:
        assert int(out) > 5
        assert log.count() == 20 * int(out) + 1


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs rights that this process does not have")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_a_clear_error_and_nothing_acknowledged_is_lost(disk: Path) -> None:
    path, filler = disk / "log.db", disk / "filler"
    with EventLog(path) as log:
        log.append([event("first")])
        filler.write_bytes(bytes(1_000_000))
        done = 0

        def fill() -> None:
            nonlocal done
            for i in range(10**6):
                log.append([event(f"{i}-{j}") for j in range(20)])
                done += 1

        with pytest.raises(LogError, match=f"{path}: the disk is full; make room"):
            fill()
        assert log.count() == 20 * done + 1
        with pytest.raises(LogError, match="the disk is full"):
            log.append([event(f"more-{j}") for j in range(200)])
        with pytest.raises(LogError, match="the disk is full"):
            log.put("key", "x" * 100_000)
        filler.unlink()
        log.append([event("after")])
    with EventLog(path) as log:
        assert [e.id for e in log.since(0)] == ["first", *(f"{i}-{j}" for i in range(done) for j in range(20)), "after"]


def test_no_room_for_a_new_log_or_a_backup(disk: Path) -> None:
    with EventLog(disk / "log.db") as log:
        log.append([event(f"{i}") for i in range(2000)])
        free = os.statvfs(disk)
        (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize))
        with pytest.raises(LogError, match=r"new\.db: .* make room"):
            EventLog(disk / "new.db")
        with pytest.raises((LogError, OSError)):
            log.backup(disk / "copy.db")
        assert not (disk / "copy.db").exists()
        assert log.count() == 2000


def test_a_read_only_folder(disk: Path) -> None:
    with EventLog(disk / "log.db") as log:
        log.append([event("e")])
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for name in ("log.db", "new.db"):
        with pytest.raises(LogError, match=f"{name}: it .*writ"):
            EventLog(disk / name)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    with EventLog(disk / "log.db") as log:
        assert log.count() == 1


def test_a_folder_without_permission(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("permissions do not stop root")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(LogError, match="must exist and be writable"):
            EventLog(tmp_path / "log.db")
    finally:
        tmp_path.chmod(0o700)


# -------------------------------------------------------------------------------------- other files

def test_what_is_not_there_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"none\.db: there is no such event log"):
        EventLog(tmp_path / "none.db", create=False)
    with pytest.raises(LogError, match=r"log\.db: it cannot be opened; its folder"):
        EventLog(tmp_path / "none" / "log.db")
    with pytest.raises(LogError, match="it cannot be opened"):
        EventLog(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_becomes_a_log_only_if_one_may_be_made(tmp_path: Path) -> None:
    path = tmp_path / "log ?#%20.db"  # a name that means something in an address
    path.touch()
    with pytest.raises(LogError, match="this file is empty"):
        EventLog(path, create=False)
    with EventLog(path) as log:
        assert log.append([event("e")]) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, f"{path.name}-turn"]
    with EventLog(path, create=False) as log:
        assert log.count() == 1


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "browser.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE events (id)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ArtifactError, match=r"browser\.db: this is a SQLite file of another application"):
        EventLog(path)
    assert path.read_bytes() == before


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    EventLog(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(ArtifactError, match="this event log has format 2, and this version of recsys knows format 1"):
        EventLog(path)


@pytest.mark.parametrize("garbage", [b"x", b"SQLite format 3", bytes(5000), random.Random(0).randbytes(9000)])
def test_garbage_is_refused_and_left_alone(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(garbage)
    with pytest.raises((LogError, ArtifactError), match=r"log\.db: .*; name another"):
        EventLog(path)
    assert path.read_bytes() == garbage


def test_damage_is_said_and_where(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        log.append([event(f"{i}") for i in range(3000)])
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(LogError, match=r"log\.db: it is damaged; put a backup in its place"):
        EventLog(path).since(0)


def test_a_writer_that_holds_the_file_is_waited_for_and_then_named(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path, timeout=0.1) as log:
        log.append([event("e")])
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogError, match="another process held it for too long; try again"):
            log.append([event("f")])
        assert log.count() == 1  # readers do not wait
        other.execute("ROLLBACK")
        other.close()
        assert log.append([event("f")]) == 1
