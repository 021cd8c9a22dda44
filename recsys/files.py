"""Files that are written wholly or not at all, and what tells one from another."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from minidl import files

__all__ = ["check_target", "checksum", "replacing"]


def check_target(path: str | os.PathLike[str]) -> Path:
    """`minidl.files.check_target`, for what is to be kept: a device, such as `/dev/null`, is refused too."""
    target = files.check_target(path)
    if target.is_char_device():
        raise OSError(errno.ENODEV, "this is a device, not a file; name one that can be written", str(path))
    return target


def replacing(path: str | os.PathLike[str]) -> AbstractContextManager[IO[bytes]]:
    """`minidl.files.replacing`, for a path that passes `check_target`."""
    check_target(path)
    return files.replacing(path)


def checksum(path: str | os.PathLike[str]) -> str:
    """16 hex digits of a file's SHA-256, as it lies: of one that is packed, of the packed bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
