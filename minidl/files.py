"""Files that are written wholly or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed by anybody else
    fcntl = None  # type: ignore[assignment]

__all__ = ["replacing"]

_NO_UNNAMED = (errno.EISDIR, errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL)  # what says that there are no such files


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` when the block ends well, and leaves no trace when it does not.

    Until then it has no name where the system can do so (Linux), and is gone with the process, even one that is
    killed. Elsewhere, and for the moment between the naming and the replacing, it is locked by its writer and named
    `.NAME.*.tmp`; what a killed process has left behind is locked by nobody, and the next writer clears it away.

    Raises
    ------
    OSError
        With the name of `path`: the disk is full, the file too large, the folder not to be written in.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "notes.txt"
    >>> with replacing(path) as file:
    ...     count = file.write(b"all")
    >>> path.read_bytes(), len(list(path.parent.iterdir()))
    (b'all', 1)
    """
    target = Path(os.path.realpath(path))
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
            if named is None:
                named = _name(descriptor, target)
            if fcntl is not None:  # under the lock, so that nobody clears it away before
                os.replace(named, target)
        if fcntl is None:  # Windows renames no open file
            os.replace(named, target)
    except OSError as error:
        about = None if error.filename is None else Path(os.fsdecode(error.filename))
        if error.errno is None or not (about in (None, target.parent) or about.name.startswith(_prefix(target))):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
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
