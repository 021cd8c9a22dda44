"""Files that are written wholly or not at all."""

from __future__ import annotations

from minidl.files import check_target, replacing

__all__ = ["check_target", "replacing"]
