"""What the service takes as an item, from a request as from a file."""

from __future__ import annotations

import re

from recsys.errors import DataError
from recsys.events import Item
from recsys.events.records import check_item
from recsys.serving.numbering import require_id
from recsys.serving.problems import Problem, shown

__all__ = ["require_item"]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_SHOWN = re.compile(r"https?://[^/]|data:image/", re.IGNORECASE)
_STRIPPED = re.compile(r"[\x00-\x1f\x7f]|^\s|\s$")  # browsers drop these, and what is left may be another address


def require_item(item: Item) -> None:
    """Raise Problem, with the field, for an item that is not taken.

    The character NUL is in no text, and an image is an address that can do no more than show a picture: of http or
    https, of a path alone, or the picture itself (`data:image/`).

    Examples
    --------
    >>> require_item(Item(7, "Alien", None, {"genre": ["Horror"]}, "posters/7.jpg", True))
    >>> require_item(Item(7, "Alien", None, {}, "javascript:alert(1)", True))
    Traceback (most recent call last):
    recsys.serving.problems.Problem: image: 'javascript:alert(1)' is no address of a picture; ...
    """
    require_id(item.id, "id")
    try:
        check_item(item)
    except DataError as error:
        raise Problem(422, str(error)) from error
    texts = [(name, getattr(item, name) or "") for name in ("title", "text", "image")]
    texts += [("attributes", text) for name, values in item.attributes.items() for text in (name, *values)]
    for field, text in texts:
        if "\0" in text:
            raise Problem(422, f"{field}: {shown(text)} holds the character NUL; leave it out.", field)
    image = item.image or ""
    if _STRIPPED.search(image) or (_SCHEME.match(image) and not _SHOWN.match(image)):
        raise Problem(422, f"image: {shown(image)} is no address of a picture; give one that begins with http://, "
                           f"https:// or data:image/, or a path alone.", "image")
