"""Files that replace others: whole or not at all, with the name in every error, and nothing left of the dead."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
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
