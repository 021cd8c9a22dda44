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
    """`minidl.files.check_target`, for what is to be kept: a device, such as `/dev/null`, is refused too."""
    target = files.check_target(path)
    if target.is_char_device():
        raise OSError(errno.ENODEV, "this is a device, not a file; name one that can be written", str(path))
    return target


def replacing(path: str | os.PathLike[str]) -> AbstractContextManager[IO[bytes]]:
    """`minidl.files.replacing`, for a path that passes `check_target`."""
    check_target(path)
    return files.replacing(path)
