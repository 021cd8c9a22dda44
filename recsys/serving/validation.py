"""What msgspec finds at fault in a request, in plain words: the field, what is wanted, what may be given."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from recsys.serving.problems import Problem, clipped

__all__ = ["problem_of"]

_SAID = re.compile(r"(?P<reason>.*?)(?: - at (?P<key>`key` in )?`\$(?P<place>[.\[][^`]*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]+)`(?: of length)?(?:, got `(?P<got>\w+)`"
                       r"| (?P<sign>[<>]=) (?P<bound>\S+))")
_STEP = re.compile(r"\.\w+|\[[^]]*\]")
_KINDS = {"int": "an integer", "float": "a number", "str": "a text", "bool": "true or false", "array": "a list",
          "object": "an object", "null": "null"}
_UNITS = {"str": " characters", "array": " entries"}


def problem_of(error: msgspec.ValidationError, kind: Any) -> Problem:
    """422 for JSON that does not fit a type of `schemas`.

    Examples
    --------
    >>> from recsys.serving.schemas import RecommendAsk
    >>> for raw in (b'{"k": "5"}', b'{"profiling": "maybe"}', b'{"users": [7]}'):
    ...     try:
    ...         msgspec.json.decode(raw, type=RecommendAsk)
    ...     except msgspec.ValidationError as error:
    ...         print(problem_of(error, RecommendAsk).detail[:60])
    k: an integer is wanted, not a text.
    profiling: 'maybe' is none of off, on.
    users: there is no such field; there are user, history, valu
    """
    said = _SAID.fullmatch(str(error))
    reason, place, key = (said["reason"], said["place"] or "", said["key"]) if said else (str(error), "", None)
    there = _at(kind, place)
    field = place.removeprefix(".")
    name = re.fullmatch(r"Object (contains unknown|missing required) field `(.*)`", reason, re.DOTALL)
    if name is not None:
        field = f"{field}.{clipped(name[2])}".removeprefix(".")
        known = ", ".join(each.encode_name for each in getattr(there, "fields", ()))
        sentence = f"there is no such field; there are {known}" if "unknown" in name[1] else "it is missing"
    elif reason.startswith("Invalid enum value "):
        sentence = (f"{clipped(reason.removeprefix('Invalid enum value '))} is none of "
                    f"{', '.join(map(str, getattr(there, 'values', ())))}")
    else:
        sentence = ("each key: " if key else "") + _wanted(reason)
    return Problem(422, f"{field or 'the body'}: {sentence}.", field or None)


def _wanted(reason: str) -> str:
    """What was expected."""
    found = _EXPECTED.fullmatch(reason)
    if found is None:
        return reason[:1].lower() + reason[1:]
    kinds = [_KINDS.get(kind, kind) for kind in found["wanted"].split(" | ")]
    wanted = " or ".join(filter(None, [", ".join(kinds[:-1]), kinds[-1]]))
    if found["got"]:
        return f"{wanted} is wanted, not {_KINDS.get(found['got'], found['got'])}"
    bound = found["bound"].removesuffix(".0")
    bound = f"{bound} or more" if found["sign"] == ">=" else f"at most {bound}"
    return f"{wanted} of {bound}{_UNITS.get(found['wanted'], '')} is wanted"


@cache
def _info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _at(kind: Any, place: str) -> inspect.Type | None:
    """The type at a place such as `.events[0].value`; of a union that with fields, entries or values."""
    there: inspect.Type | None = _apart(_info(kind))
    for step in _STEP.findall(place):
        if isinstance(there, inspect.StructType):
            fields = {each.encode_name: each.type for each in there.fields}
            there = fields.get(step[1:])
        else:
            there = getattr(there, "item_type", None) or getattr(there, "value_type", None)
        there = None if there is None else _apart(there)
    return there


def _apart(kind: inspect.Type) -> inspect.Type:
    """A type without the null, texts and numbers that may stand for it."""
    parts = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    made = [part for part in parts if isinstance(part, (inspect.StructType, inspect.ListType, inspect.DictType,
                                                        inspect.LiteralType, inspect.EnumType))]
    return made[0] if made else kind
