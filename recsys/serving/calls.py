"""A request as a handler sees it, and the reply."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from recsys.data.ids import IdMap
from recsys.serving.numbering import require_id
from recsys.serving.problems import Problem, clipped, shown
from recsys.serving.routes import Route
from recsys.serving.validation import problem_of

__all__ = ["Call", "Reply", "parameters"]

_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}
_ENCODER = msgspec.json.Encoder()


@dataclass(slots=True)
class Call:
    """A request of a route."""

    route: Route
    request_id: str
    raw: bytes
    path: Mapping[str, str]
    query: Mapping[str, str]

    def body(self) -> Any:
        """The body as the route's type.

        Raises
        ------
        Problem
            400 if it is no JSON, 422 with the field if it does not fit.
        """
        return decoded(self.raw, self.route.body)

    def id_of(self, ids: IdMap) -> int | str:
        """The id in the path, of the kind that the model has."""
        text = self.path["id"]
        require_id(text, "id")
        if not ids.integers or not len(ids):
            return text
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or not -2**63 <= number < 2**63 or str(number) != text:
            raise Problem(422, f"id: ids are integers here, such as {ids.ids[0].item()}, and {shown(text)} is not.",
                          "id")
        return number


@dataclass(slots=True)
class Reply:
    """What is answered."""

    body: bytes
    status: int = 200
    media: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any, status: int = 200) -> Reply:
        """A value as JSON."""
        return cls(_ENCODER.encode(value), status)


def parameters(route: Route, scope: Mapping[str, Any]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The parameters of an ASGI request's path and query.

    Raises
    ------
    Problem
        422 for what is no UTF-8, which servers decode to U+FFFD, for a parameter that the route has not, and for one
        that is given twice.
    """
    path: Mapping[str, str] = scope.get("path_params", {})
    if path and not _is_text(urllib.parse.unquote_to_bytes(scope.get("raw_path") or b"")):
        raise Problem(422, "id: the path is no UTF-8; encode the id as UTF-8, then each byte as %XX.", "id")
    if not scope["query_string"]:
        return path, {}
    known, query = [each.name for each in route.parameters if each.place == "query"], dict[str, str]()
    for name, value in urllib.parse.parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True,
                                              encoding="latin-1"):
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "this address takes none"
            raise Problem(422, f"{clipped(name)}: there is no such parameter; {there}.", clipped(name))
        if name in query:
            raise Problem(422, f"{name}: give it once.", name)
        raw = value.encode("latin-1")
        if not _is_text(raw):
            raise Problem(422, f"{name}: this is no UTF-8; encode it as UTF-8, then each byte as %XX.", name)
        query[name] = raw.decode()
    return path, query


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def decoded(raw: bytes, kind: Any) -> Any:
    """JSON as a type of `schemas`; Problem if it is none, or does not fit."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise problem_of(error, kind) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"the body is no JSON: {error}.") from error
