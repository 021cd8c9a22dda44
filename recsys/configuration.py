"""A model and its hyper-parameters in a TOML file: what `recsys tune` writes, and `train` and `evaluate` take.

    [model]
    name = "EASE"

    [model.parameters]
    reg = 310.0

A parameter whose value is None has no line. Other tables are for others: `[tuning]` says how it was found, those of a
service stand beside them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

from recsys.errors import ParameterError
from recsys.estimator.registry import find
from recsys.files import read_toml, replacing

__all__ = ["read_model", "written"]


def read_model(path: str | os.PathLike[str]) -> Any:
    """The model of a file, not fitted, its parameters checked.

    Raises
    ------
    ParameterError
        The file has no table `[model]`, or the table something that does not fit.
    """
    where, table = os.fspath(path), read_toml(path).get("model")
    if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
        raise ParameterError(f"{where}: there is no model in it; give a table [model] with name = \"EASE\", such as "
                             f"recsys tune writes.")
    unknown = [name for name in table if name not in ("name", "parameters")]
    parameters = table.get("parameters", {})
    if unknown or not isinstance(parameters, Mapping):
        raise ParameterError(f"{where}: [model] has {unknown[0] if unknown else 'parameters'!r}, which is not "
                             f"understood; it has a name and a table [model.parameters].")
    try:
        made = find(table["name"])().set_params(**{name: _tuples(value) for name, value in parameters.items()})
        made.check_parameters()
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from error
    return made


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def written(path: str | os.PathLike[str], contents: Mapping[str, Mapping[str, Any]], comment: str = "") -> None:
    """Write tables to a TOML file, wholly or not at all.

    Parameters
    ----------
    path : str or path
    contents : mapping of str to mapping
        Tables by their names, such as "model" and "model.parameters", of strings, numbers, booleans and lists of them;
        None is left out.
    comment : str
        Stands at the top.

    Raises
    ------
    ParameterError
        A value that TOML does not have.
    """
    lines = [*(f"# {line}" for line in comment.splitlines())]
    for table, values in contents.items():
        lines += ["", f"[{table}]"] if lines else [f"[{table}]"]
        lines += [f"{_key(name)} = {_literal(name, value)}" for name, value in values.items() if value is not None]
    with replacing(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _quoted(name)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _literal(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_literal(name, each) for each in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)} = {_literal(name, each)}' for key, each in value.items())}}}"
    raise ParameterError(f"{name}: TOML has no {type(value).__name__}; use numbers, strings and lists of them.")
