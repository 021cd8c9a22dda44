"""Files that are written wholly or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from minidl import files

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


def replacing(path: str | os.PathLike[str]) -> AbstractContextManager[IO[bytes]]:
    """`minidl.files.replacing`, for a path where `check_target` says that a file can be written."""
    check_target(path)
    return files.replacing(path)
