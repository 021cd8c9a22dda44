"""What goes wrong, as RFC 9457 problem documents that name the field and the reason."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["STATUSES", "TYPE", "FieldError", "Problem", "ProblemDocument", "clipped", "shown"]

TYPE = "application/problem+json"

STATUSES = {
    400: "The request cannot be read",
    401: "A token is needed",
    403: "This is not allowed from here",
    404: "There is no such thing",
    405: "The method is not allowed here",
    408: "The request did not come in time",
    409: "The service cannot do that as it is set up",
    413: "The request is too large",
    415: "The body must be JSON",
    422: "The request does not fit",
    500: "The service failed",
    503: "The service cannot answer now",
    507: "The event log cannot be written",
}
"""A title for each status that is ever answered."""


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field of a request."""

    field: str
    reason: str


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer that is an error."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    errors: list[FieldError] = []


class Problem(Exception):
    """An answer that is an error.

    Parameters
    ----------
    status : int
        One of `STATUSES`.
    detail : str
        One sentence that says what is wrong and what to do.
    field : str, optional
        The field of the request that is at fault, such as `events[3].user`.
    headers : dict of str to str, optional
    """

    def __init__(self, status: int, detail: str, field: str | None = None,
                 headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.field, self.headers = status, detail, field, headers or {}

    @classmethod
    def busy(cls, why: str) -> Problem:
        """503 with `Retry-After`: what cannot be answered at this moment."""
        return cls(503, f"{why}; try again in a second.", headers={"retry-after": "1"})

    def document(self) -> ProblemDocument:
        """The body of the answer."""
        errors = [] if self.field is None else [FieldError(self.field, self.detail)]
        return ProblemDocument("about:blank", STATUSES[self.status], self.status, self.detail, self.field, errors)

    def body(self) -> bytes:
        """The body of the answer, encoded."""
        return msgspec.json.encode(self.document())


def shown(value: Any, most: int = 80) -> str:
    """A value of a client's, short enough for a sentence."""
    return clipped(repr(value), most)


def clipped(text: str, most: int = 80) -> str:
    """The beginning of a text that is too long for a sentence."""
    return text if len(text) <= most else f"{text[:most]}..."
