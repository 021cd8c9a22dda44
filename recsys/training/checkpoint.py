"""Where a training stands, in a file: written whole or not at all, plain numbers and JSON, never pickle."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minidl import io
from recsys.checks import Check
from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.data.interactions import Interactions
from recsys.errors import ArtifactError, ParameterError

__all__ = ["Checkpoint", "contents", "named"]

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
        Check(lambda value: isinstance(value, str | PathLike), "a path").require("Checkpoint", "path", path)
        self.path = Path(path)
        self.identity = json.loads(json.dumps(identity, default=_plain))
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


def named(value: Any) -> str:
    """A class or a function, partial or not, by its module and name, as two of one name may be different.

    Examples
    --------
    >>> named(Checkpoint), named(partial(Checkpoint, identity={}))
    ('recsys.training.checkpoint.Checkpoint', "recsys.training.checkpoint.Checkpoint with () {'identity': {}}")
    """
    if isinstance(value, partial):
        return f"{named(value.func)} with {value.args} {value.keywords}"
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def contents(data: Interactions) -> dict[str, Any]:
    """What tells a set of interactions from another one, for a checkpoint's identity: rows, numbering, features."""
    numbering = [zlib.crc32("\n".join(map(str, ids.ids.tolist())).encode("utf-8", "surrogatepass"))
                 for ids in (data.users, data.items)]  # which a fingerprint leaves out
    digest = hashlib.sha256()
    for name, values in _known_besides(data):
        digest.update(f"{name} {values.shape} ".encode())
        if values.dtype.kind in "OTU":  # whatever its width
            digest.update(repr(values.tolist()).encode("utf-8", "surrogatepass"))
        else:
            digest.update(values.dtype.str.encode())
            digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return {"data": data.fingerprint(), "numbering": numbering, "features": digest.hexdigest()[:16]}


def _known_besides(data: Interactions) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays that hold what is known of users and items besides their interactions, by name."""
    for side in ("user", "item"):
        features: Features | None = getattr(data, f"{side}_features")
        if features is not None:
            held = {name: getattr(features, name) for name in ("titles", "text", "genre_names")}
            held |= {f"attribute {name}": features.attributes[name] for name in sorted(features.attributes)}
            yield from ((f"{side} {name}", values) for name, values in held.items() if values is not None)
            yield from _matrix(f"{side} genres", features.genres)
    yield from _matrix("social", data.social)


def _matrix(name: str, csr: CSR | None) -> Iterator[tuple[str, np.ndarray]]:
    if csr is not None:
        yield from ((f"{name} {part}", values) for part, values in (
            ("indptr", csr.indptr), ("indices", csr.indices), ("weights", csr.weights)))


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's, and what JSON has no word for as it is shown."""
    return value.item() if isinstance(value, np.generic) else repr(value)
