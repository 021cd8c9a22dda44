"""The names by which models are told what to read of users and items: one list for all, and one refusal."""

from __future__ import annotations

from collections.abc import Sequence

from recsys.checks import Check
from recsys.errors import DataError

__all__ = ["FRIENDS", "NAMES", "chosen_fields"]

FRIENDS = "friends"
"""The social graph, to the models that read it as a field."""

NAMES = Check(lambda value: isinstance(value, (tuple, list)) and len(value) > 0
              and all(isinstance(name, str) for name in value), "a sequence of names such as ('titles', 'genres')")


def chosen_fields(who: str, names: Sequence[str] | None, there: Sequence[str]) -> list[str]:
    """The fields that a model reads: those of `names`, by default all.

    Parameters
    ----------
    who : str
        Begins the message, such as "ContentProfile.fit".
    names : sequence of str, optional
        The hyper-parameter `fields`.
    there : sequence of str
        What the data has that the model can read.

    Raises
    ------
    DataError
        A name is not there.

    Examples
    --------
    >>> chosen_fields("ContentProfile.fit", None, ["titles", "year"])
    ['titles', 'year']
    >>> chosen_fields("ContentProfile.fit", ("genres",), ["titles", "year"])
    Traceback (most recent call last):
    recsys.errors.DataError: ContentProfile.fit: fields names 'genres', and the data has no such field that this model
    reads; name some of titles, year.
    """
    for name in names or ():
        if name not in there:
            advice = f"name some of {', '.join(there)}" if there else "give data that has, or leave fields out"
            raise DataError(f"{who}: fields names {name!r}, and the data has no such field that this model reads; "
                            f"{advice}.")
    return list(there if names is None else names)
