"""An explanation as somebody would say it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recsys.explanation.results import Counterfactual, Explanation, Part

__all__ = ["percent", "sentences_of"]

_MOST = 4  # things that one sentence names


def percent(share: float) -> str:
    """A share in words.

    >>> percent(0.123), percent(0.999), percent(0.002)
    ('12%', 'all', 'less than 1%')
    """
    if share >= 0.995:
        return "all"
    return f"{100 * share:.0f}%" if share >= 0.01 else "less than 1%"


def sentences_of(made: Explanation, nobody: bool = False) -> Iterator[str]:
    """Sentences for the parts whose share is at least the threshold, and what would have to be otherwise.

    `nobody` says that the model knows nothing of the person.
    """
    if made.source == "popular":
        yield from _popular(made, nobody)
        return
    of = "what single items change" if made.method == "leave-one-out" else "the score"
    strong = [part for part in made.parts if part.share >= made.threshold]
    history = [part for part in strong if part.kind == "history"]
    yield from _history([part for part in history if part.value > 0], made, of)
    against = [part for part in history if part.value < 0]
    if against:
        yield f"Against it {_verb(against, 'speaks', 'speak')} {_named(against)}."
    yield from _content(made)
    yield from _others([part for part in strong if part.kind not in ("history", "content")], of)
    if made.counterfactual is not None:
        yield from _otherwise(made.counterfactual)


def _popular(made: Explanation, nobody: bool) -> Iterator[str]:
    if not made.parts:
        yield f"Nothing is known of {made.title}: nobody had it, and the model reads nothing of it."
    elif nobody:
        yield f"The model knows nothing of you yet; {made.title} is here because {made.score:,.0f} events are of it."
    else:
        yield (f"Nothing that the model knows of you speaks for {made.title}; it can be listed because "
               f"{made.score:,.0f} events are of it.")


def _history(strong: Sequence[Part], made: Explanation, of: str) -> Iterator[str]:
    if not strong:
        yield from _many([part for part in made.history if part.value > 0], made, of)
        return
    first, *others = strong
    named = [f"{first.label} ({percent(first.share)} of {of})",
             *(f"{part.label} ({percent(part.share)})" for part in others[:_MOST - 1])]
    if len(strong) > _MOST:
        named.append(f"{len(strong) - _MOST} more")
    yield f"Because of {_and(named)}."


def _many(weak: Sequence[Part], made: Explanation, of: str) -> Iterator[str]:
    """Of a history no part of which is large: those that say most, if they are enough together."""
    together = sum(part.share for part in weak)
    if together < made.threshold or not weak:
        return
    first, share = weak[:_MOST], sum(part.share for part in weak[:_MOST])
    limit = f"No single item makes {percent(made.threshold)} of {of}"
    if share >= made.threshold:
        yield f"{limit}; {_and([part.label for part in first])} make {percent(share)} together."
    else:
        yield f"{limit}; {len(weak)} of them speak for it, and make {percent(together)} together."


def _content(made: Explanation) -> Iterator[str]:
    strong = [part for part in made.content if part.share >= made.threshold]
    same = [part for part in strong if part.item is not None]
    for part in same[:_MOST]:
        yield f"It has the {part.label}."
    said = [part for part in strong if part.item is None]
    for positive, words in ((True, "For it speaks"), (False, "Against it speaks")):
        chosen = [part for part in said if (part.value > 0) == positive][:_MOST]
        if chosen:
            named = _and([f"{_spoken(part.label)} ({percent(part.share)})" for part in chosen])
            yield f"{words if len(chosen) == 1 else words[:-1]} {named}."


def _spoken(label: str) -> str:
    """`genres=Comedy` as a person would say it."""
    field, equals, word = label.partition("=")
    if not equals:
        return label
    if field in ("titles", "text"):
        return f"the word “{word}” in its {field.removesuffix('s') if field == 'titles' else field}"
    return f"the {'genre' if field == 'genres' else field} {word}"


def _others(strong: Sequence[Part], of: str) -> Iterator[str]:
    for part in strong[:_MOST]:
        way = "" if part.value > 0 else ", which speaks against it"
        yield f"{percent(part.share)[0].upper()}{percent(part.share)[1:]} of {of} is {part.label}{way}."


def _otherwise(found: Counterfactual) -> Iterator[str]:
    if found.found:
        yield (f"Without {_and(found.labels)} you would not see it: it would fall from place {found.before} to "
               f"{found.after}.")
    elif len(found.items) == 1:
        yield f"It would stay on the list of {found.k} without {found.labels[0]}: at place {found.after}."
    elif found.tried:
        yield (f"It would stay on the list of {found.k} without any {found.tried} items of the history that were "
               f"tried: without {_and(found.labels)} it would be at place {found.after}.")


def _named(parts: Sequence[Part]) -> str:
    """`A (34%) and B (20%)`."""
    return _and([f"{part.label} ({percent(part.share)})" for part in parts])


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _verb(things: Sequence[Part], one: str, many: str) -> str:
    return one if len(things) == 1 else many
