"""Files that replace others: whole or not at all, with the name in every error, and nothing left of the dead."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from minidl import files, io

resource = pytest.importorskip("resource")


@pytest.fixture(params=["unnamed", "named"])
def way(request, monkeypatch, tmp_path):
    """As on Linux, and as where files have a name from the start."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif files._unnamed(tmp_path) is None:
        pytest.skip("this file system has no unnamed files")
    return request.param


@contextmanager
def full(size):
    """No file may grow beyond some bytes: a real error of the system."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_file_is_replaced_when_the_block_ends_well(tmp_path, way):
    path = tmp_path / "x"
    for text in (b"one", b"two"):
        with files.replacing(path) as file:
            file.write(text)
            assert not path.exists() or path.read_bytes() == b"one"
        assert path.read_bytes() == text
    assert os.listdir(tmp_path) == ["x"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_error_leaves_all_as_it_was(tmp_path, way):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as file:
        file.write(b"new" * (1 // 0))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_links_are_followed_and_the_longest_names_work(tmp_path, way):
    path = tmp_path / ("é" * 125 + ".npz")
    (tmp_path / "link").symlink_to(path)
    with files.replacing(tmp_path / "link") as file:
        file.write(b"1")
    assert path.read_bytes() == b"1"
    assert (tmp_path / "link").is_symlink()


def test_what_is_replaced_keeps_its_permissions(tmp_path, way):
    path = tmp_path / "x"
    path.write_bytes(b"secret")
    path.chmod(0o600)
    with files.replacing(path) as file:
        file.write(b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)


def _read(path, into):
    reader = threading.Thread(target=lambda: into.append(path.read_bytes()), daemon=True)
    reader.start()
    return reader


@pytest.mark.parametrize("linked", [False, True])
def test_a_fifo_is_written_to_and_stays_one(tmp_path, linked):
    fifo, link, got = tmp_path / "fifo", tmp_path / "link", []
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    reader = _read(fifo, got)
    with files.replacing(link if linked else fifo) as file:
        file.write(b"one, ")
        assert file.tell() == 5  # which archives ask for, and a FIFO cannot say
        file.write(b"two")
    reader.join(10)
    assert got == [b"one, two"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["fifo", "link"]


def test_nothing_is_sent_when_the_block_fails(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    with pytest.raises(ZeroDivisionError), files.replacing(fifo) as file:
        file.write(b"new" * (1 // 0))
    with pytest.raises(BlockingIOError):
        os.read(held, 1)
    os.close(held)


def test_a_device_is_written_to_and_stays_one(tmp_path):
    (tmp_path / "link").symlink_to(os.devnull)
    before = os.stat(os.devnull)
    with files.replacing(tmp_path / "link") as file:
        file.write(b"x")
    assert os.stat(os.devnull).st_ino == before.st_ino
    if os.path.exists("/dev/full"):
        with pytest.raises(OSError, match=r"No space left.*'/dev/full'$"), files.replacing("/dev/full") as file:
            file.write(b"x")


SENT = """
    import sys
    import numpy as np
    from minidl import files, io
    print("before", flush=True)
    with files.replacing(sys.argv[1]) as file:
        io._write_npz(file, "x", {"w": np.arange(3)}, {})
    print("after", flush=True)
"""


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="a system without /dev/stdout")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "link"])
@pytest.mark.parametrize("mode", ["pipe", "wb", "ab", "socket"])
def test_open_files_are_written_to_by_their_names(tmp_path, name, mode):
    if name == "link":
        name = str(tmp_path / "link")
        os.symlink("/dev/stdout", name)
    command = [sys.executable, "-c", textwrap.dedent(SENT), name]
    log, start = tmp_path / "log", b""
    if mode == "pipe":
        found = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    elif mode == "socket":
        ours, theirs = socket.socketpair()
        with ours, theirs:
            subprocess.run(command, stdout=theirs, check=True)
            theirs.close()
            found = b"".join(iter(lambda: ours.recv(4096), b""))
    else:
        log.write_bytes(b"what was there\n")
        start = log.read_bytes() if mode == "ab" else b""
        with log.open(mode) as stream:
            subprocess.run(command, stdout=stream, check=True)
        found = log.read_bytes()
    assert found.startswith(start + b"before\nPK")
    assert found.endswith(b"after\n")


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path):
    reading, writing = os.pipe()
    os.close(writing)
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "shut", 0o400)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
    names = [tmp_path / "folder", tmp_path / "none" / "x", tmp_path / "loop", tmp_path / "socket",
             f"/dev/fd/{reading}", f"/dev/fd/{writing}"] + [tmp_path / "shut"] * (os.geteuid() != 0)
    for name in names:
        with pytest.raises(OSError, match=f"{name}'$"), files.replacing(name):
            pytest.fail("the block ran")
        with pytest.raises(OSError, match=f"{name}'$"):
            files.check_target(name)
    os.close(reading)


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors"])
def test_arrays_are_saved_to_a_fifo(tmp_path, name):
    got = []
    os.mkfifo(tmp_path / name)
    reader = _read(tmp_path / name, got)
    io.save(tmp_path / name, {"w": [1.0, 2.0]})
    reader.join(10)
    (tmp_path / f"copy{name}").write_bytes(got[0])
    assert io.load(tmp_path / f"copy{name}")["w"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("size", [10, 100_000])  # at the end, from the buffer, and in the middle
def test_a_full_disk_names_the_file(tmp_path, way, size):
    path = tmp_path / "x"
    with full(5), pytest.raises(OSError, match=r"x'$") as caught, files.replacing(path) as file:
        file.write(bytes(size))
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == []


def test_errors_about_other_files_keep_their_names(tmp_path, way):
    with pytest.raises(FileNotFoundError, match=r"other'$"), files.replacing(tmp_path / "x"):
        (tmp_path / "other").read_bytes()
    with pytest.raises(OSError, match=r"^words$"), files.replacing(tmp_path / "x"):
        raise OSError("words")


def test_a_folder_that_is_not_there_or_in_the_way(tmp_path, way):
    with pytest.raises(FileNotFoundError, match=r"none/x'$"), files.replacing(tmp_path / "none" / "x"):
        pass
    (tmp_path / "d" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match=r"d'$"), files.replacing(tmp_path / "d") as file:
        file.write(b"x")
    assert os.listdir(tmp_path) == ["d"]


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors"])
def test_saved_arrays_name_their_file(tmp_path, name):
    with full(100), pytest.raises(OSError, match=f"{name}'$"):
        io.save(tmp_path / name, {"w": [0.0] * 1000})
    assert os.listdir(tmp_path) == []


KILLED = """
    import os, signal, sys
    from minidl import files
    if sys.argv[2] == "named":
        vars(os).pop("O_TMPFILE", None)
    if sys.argv[3] == "replacing":
        os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
    with files.replacing(sys.argv[1]) as file:
        file.write(bytes(100_000))
        file.flush()
        if sys.argv[3] == "writing":
            os.kill(os.getpid(), signal.SIGKILL)
        if sys.argv[3] == "waiting":
            print("writing", flush=True)
            sys.stdin.read()
"""


def _process(path: Path, way: str, when: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), str(path), way, when],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.parametrize("when", ["writing", "replacing"])
def test_nothing_is_left_of_a_killed_writer(tmp_path, way, when):
    path = tmp_path / "x"
    process = _process(path, way, when)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    left = os.listdir(tmp_path)
    assert left == [] if (way, when) == ("unnamed", "writing") else len(left) == 1
    (tmp_path / ".x.mine.tmp").touch()  # none of ours
    (tmp_path / ".xy.01234567.tmp").touch()  # another target's
    with files.replacing(path) as file:
        file.write(b"x")
    assert sorted(os.listdir(tmp_path)) == [".x.mine.tmp", ".xy.01234567.tmp", "x"]


def test_a_writer_that_lives_is_left_alone(tmp_path, way):
    path = tmp_path / "x"
    with _process(path, way, "waiting") as other:
        other.stdout.readline()
        with files.replacing(path) as file:
            file.write(b"x")
        other.stdin.close()
        assert other.wait() == 0
    assert path.stat().st_size == 100_000  # the last one to end
    assert os.listdir(tmp_path) == ["x"]


def test_a_name_that_is_cleared_before_its_lock_is_made_again(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    lock, cleared = files._lock, []

    def late(descriptor):
        if not cleared:
            cleared.extend(tmp_path.iterdir())
            cleared[0].unlink()
        return lock(descriptor)

    monkeypatch.setattr(files, "_lock", late)
    with files.replacing(tmp_path / "x") as file:
        file.write(b"x")
    assert cleared
    assert (tmp_path / "x").read_bytes() == b"x"
