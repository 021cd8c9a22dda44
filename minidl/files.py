"""Files that are written wholly or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed by anybody else
    fcntl = None  # type: ignore[assignment]

__all__ = ["check_target", "replacing"]

_NO_UNNAMED = (errno.EISDIR, errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL)  # what says that there are no such files
_MOST_LINKS = 40  # as many as Linux follows


def check_target(path: str | os.PathLike[str]) -> Path:
    """The file that a path leads to, through links, if `replacing` can write there.

    Raises
    ------
    OSError
        The folder does not exist or may not be written in, or what is there is neither a file nor a stream.
    """
    target = Path(os.path.realpath(path))
    if _is_stream(path):
        number = _descriptor(path)
        if not (os.access(target, os.W_OK) if number is None else _is_writable(number)):
            raise PermissionError(errno.EACCES, "it is not open for writing; name another one", str(path))
        return target
    if not target.parent.is_dir():
        folder = Path(path).parent
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {str(folder)!r}; make it first", str(path))
    if target.exists() and not target.is_file():
        raise IsADirectoryError(errno.EISDIR, "this is not a file; name one that can be written", str(path))
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(errno.EACCES, "its folder may not be written in; name another one", str(path))
    return target


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` when the block ends well, and leaves no trace when it does not.

    Until then it has no name where the system can do so (Linux), and is gone with the process, even one that is
    killed. Elsewhere, and for the moment between the naming and the replacing, it is locked by its writer and named
    `.NAME.*.tmp`; what a killed process has left behind is locked by nobody, and the next writer clears it away.

    A link stays one, and what it leads to is replaced, by a file of the same permissions. A stream, such as a FIFO, a
    character device, `/dev/stdout` or `/dev/fd/3`, is not replaced: what was written is sent to it when the block ends
    well.

    Raises
    ------
    OSError
        With the name of `path`: the disk is full, the file too large, and whatever `check_target` refuses.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "notes.txt"
    >>> with replacing(path) as file:
    ...     count = file.write(b"all")
    >>> path.read_bytes(), len(list(path.parent.iterdir()))
    (b'all', 1)
    """
    target = check_target(path)
    try:
        with _sent(target, _descriptor(path)) if _is_stream(path) else _put(target) as file:
            yield file
    except OSError as error:
        about = None if error.filename is None else Path(os.fsdecode(error.filename))
        if error.errno is None or not (about in (None, target.parent) or about.name.startswith(_prefix(target))):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


# ------------------------------------------------------------------------------------------ streams

def _descriptor(path: str | os.PathLike[str]) -> int | None:
    """The open file that a name such as `/dev/stdout` or `/dev/fd/3` stands for, also through links."""
    name = os.path.abspath(path)
    for _ in range(_MOST_LINKS):
        folder, last = os.path.split(name)
        if os.path.realpath(folder) in ("/dev/fd", f"/proc/{os.getpid()}/fd") and last.isdecimal():
            return int(last)
        if not os.path.islink(name):
            break
        name = os.path.join(folder, os.readlink(name))
    return None


def _is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to what takes bytes one after the other, and cannot be replaced."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _is_writable(number: int) -> bool:
    """Whether a descriptor is open, for writing."""
    try:
        return fcntl is None or fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:
        return False


@contextlib.contextmanager
def _sent(target: Path, number: int | None) -> Iterator[IO[bytes]]:
    """A file with positions to go back to, which is sent to a stream, that has none, when the block ends well."""
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        with open(os.open(target, os.O_WRONLY) if number is None else os.dup(number), "wb") as stream:
            shutil.copyfileobj(file, stream)


# -------------------------------------------------------------------------------------------- files

@contextlib.contextmanager
def _put(target: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `target`."""
    _clear(target)
    named: Path | None = None
    try:
        descriptor = _unnamed(target.parent)
        if descriptor is None:
            named, descriptor = _named(target)
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
            if target.exists():
                os.chmod(named or descriptor, target.stat().st_mode & 0o777)
            if named is None:
                named = _name(descriptor, target)
            if fcntl is not None:  # under the lock, so that nobody clears it away before
                os.replace(named, target)
        if fcntl is None:  # Windows renames no open file
            os.replace(named, target)
    finally:
        if named is not None:
            named.unlink(missing_ok=True)


def _unnamed(folder: Path) -> int | None:
    """A file in the folder without a name, locked; None where there is no such thing."""
    if not hasattr(os, "O_TMPFILE") or fcntl is None or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in _NO_UNNAMED and folder.is_dir():
            return None
        raise
    _lock(descriptor)
    return descriptor


def _name(descriptor: int, target: Path) -> Path:
    """Give an unnamed file a name beside the target."""
    named = _beside(target)
    folder = os.open("/proc/self/fd", os.O_RDONLY)
    try:
        os.link(str(descriptor), named, src_dir_fd=folder, follow_symlinks=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(named)) from None
    finally:
        os.close(folder)
    return named


def _named(target: Path) -> tuple[Path, int]:
    """A new file beside the target, locked; one that was cleared away before its lock is made again."""
    while True:
        named = _beside(target)
        descriptor = os.open(named, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)
        _lock(descriptor)
        if named.exists():
            return named, descriptor
        os.close(descriptor)


def _prefix(target: Path) -> str:
    return f".{target.name[:60]}."  # with what follows at most 255 bytes, the longest name there can be


def _beside(target: Path) -> Path:
    return target.with_name(f"{_prefix(target)}{secrets.token_hex(4)}.tmp")


def _lock(descriptor: int) -> bool:
    """Lock an open file until it is closed, if nobody else has; True, too, where there are no locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems have none; better to leave a file than to take a living one away
        return False
    return True


def _clear(target: Path) -> None:
    """Remove what writers of the same target have left behind that are no more."""
    prefix = _prefix(target)
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            if name.startswith(prefix) and name.endswith(".tmp") and len(name) == len(prefix) + len("01234567.tmp"):
                with contextlib.suppress(OSError):
                    _remove(target.parent / name)


def _remove(left: Path) -> None:
    if fcntl is None:
        left.unlink()
        return
    descriptor = os.open(left, os.O_RDONLY)
    try:
        if _lock(descriptor):
            left.unlink()
    finally:
        os.close(descriptor)
