"""Where a training stands, in a file: written whole or not at all, plain numbers and JSON, never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minidl import io
from recsys.errors import ArtifactError, ParameterError

__all__ = ["Checkpoint"]

_ARRAY = "$array"
_KIND = "recsys training"


class Checkpoint:
    """A tree of dictionaries, lists, numbers, strings and arrays in one file, and whose training it is.

    Parameters
    ----------
    path : path
        Ends in `.npz` or `.safetensors`.
    identity : mapping of str to JSON values
        What has to be the same for the training to go on: class, parameters, data.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Checkpoint(f"{folder}/run.npz", {"model": "GRU"}).save({"epoch": 3, "weights": [np.ones(2)]})
    ...     Checkpoint(f"{folder}/run.npz", {"model": "GRU"}).load()
    {'epoch': 3, 'weights': [array([1., 1.])]}
    """

    def __init__(self, path: str | PathLike[str], identity: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.identity = json.loads(json.dumps(identity, default=lambda number: number.item()))  # NumPy's numbers, too
        if self.path.suffix not in (".npz", ".safetensors"):
            raise ParameterError(f"checkpoint {self.path}: the name has to end in .npz or .safetensors.")

    def save(self, tree: Any) -> None:
        """Replace the file by one that holds the tree; a dictionary's keys become strings."""
        arrays: dict[str, np.ndarray] = {}

        def named(array: Any) -> dict[str, str]:
            name = f"array.{len(arrays)}"
            arrays[name] = np.asarray(array)
            return {_ARRAY: name}

        state = json.dumps(tree, default=named)
        io.save(self.path, arrays, {"kind": _KIND, "identity": json.dumps(self.identity), "state": state})

    def load(self) -> Any:
        """The tree, or None without a file.

        Raises
        ------
        ArtifactError
            The file is damaged or something else.
        ParameterError
            It belongs to another training; the message says in what they differ.
        """
        if not self.path.exists():
            return None
        try:
            said, arrays = io.load_metadata(self.path), io.load(self.path)
            if said.get("kind") != _KIND:
                raise ValueError("it holds something else")
            self._refuse_another(json.loads(said["identity"]))
            return json.loads(said["state"], object_hook=lambda d: arrays[d[_ARRAY]] if _ARRAY in d else d)
        except ParameterError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"checkpoint {self.path}: not one of a training, or damaged ({error}); delete it to "
                                f"start again.") from error

    def _refuse_another(self, theirs: Mapping[str, Any]) -> None:
        names = [name for name in self.identity | theirs if self.identity.get(name) != theirs.get(name)]
        if names:
            how = ", ".join(f"{name} is {theirs.get(name)!r} there and {self.identity.get(name)!r} here"
                            for name in names)
            raise ParameterError(f"checkpoint {self.path}: belongs to another training: {how}; delete it to start "
                                 f"again, or give another name.")
