"""Files that are written wholly or not at all, what tells one from another, and TOML."""

from __future__ import annotations

import errno
import hashlib
import os
import tomllib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from minidl import files
from recsys.errors import ParameterError

__all__ = ["check_target", "checksum", "read_toml", "replacing"]


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


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises
    ------
    ParameterError
        It is none.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{os.fspath(path)}: this is not a TOML file ({error}).") from error
