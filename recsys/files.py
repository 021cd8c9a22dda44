"""Files that are written wholly or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["check_target", "replacing"]


def check_target(path: str | os.PathLike[str]) -> Path:
    """The file that a path leads to, through links, if a file can be written there.

    Raises
    ------
    OSError
        The folder does not exist or may not be written in, or there is something that is not a file.
    """
    target = Path(os.path.realpath(path))
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

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "notes.txt"
    >>> with replacing(path) as file:
    ...     count = file.write(b"all")
    >>> path.read_bytes()
    b'all'
    """
    target = check_target(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
