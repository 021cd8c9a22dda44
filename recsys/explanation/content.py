"""What of a score comes from what is said of the item: only of models that read it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recsys.data.features import Features
from recsys.estimator.fitted import Fitted
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.scorers.profiles import Profiles
from recsys.explanation.fields import names_of
from recsys.explanation.person import Person
from recsys.explanation.results import Part

__all__ = ["content_of", "reads_content"]

_VOCABULARY, _SCALED = "recsys.models.features.vocabulary", "recsys.models.features.priors"
_STRONGEST = 3  # items of the history of which it is said what they share with the item


def reads_content(fitted: Fitted) -> bool:
    """Whether a model's scores of items follow from what is said of them."""
    settings, arrays = fitted.learned.memory
    return bool(isinstance(fitted.scorer, Profiles) or fitted.scorer.described[1]
                or len(arrays.get("words.item.attributes", ())) or _tower(settings))


def content_of(person: Person, item: int, parts: Sequence[Part], features: Features | None = None) -> list[Part]:
    """What is said of an item and is a cause of its score, the largest first; nothing for models that do not read it.

    Parameters
    ----------
    person : Person
    item : int
    parts : sequence of Part
        Those of the score, with their shares.
    features : Features, optional
        Of the items, for what a model's file does not hold.
    """
    fitted = person.fitted
    if not reads_content(fitted):
        return []
    own = [part for part in parts if part.kind == "content"]
    if own:
        return own
    total = sum(abs(part.value) for part in parts) or 1.0
    if isinstance(fitted.scorer, Profiles):
        found = _words(person, fitted.scorer, item)
    else:
        found = _foretold(person, item, features) or _tower_says(person, item)
    told = [Part("content", name, value, abs(value) / total) for name, value in found if value]
    if told and features is not None:
        told += _shared(fitted, item, parts, features)
    return sorted(told, key=lambda part: -part.share)


def _words(person: Person, scorer: Profiles, item: int) -> list[tuple[str, float]]:
    """The words that history and item have in common: these terms sum to the score."""
    words, values = scorer.contributions_of_words(person.indices, person.values, item)
    names = _field_names(person.fitted.learned.memory[1])
    return [(names[word], float(value)) for word, value in zip(words.tolist(), values.tolist(), strict=True)]


def _field_names(arrays: Mapping[str, np.ndarray]) -> list[str]:
    return [f"{field}={word}" for i, field in enumerate(arrays["names"].tolist())
            for word in arrays[f"{i}.words"].tolist()]


def _vector(person: Person) -> np.ndarray:
    """What is multiplied by the vectors of items: float64 (f,)."""
    scorer = person.fitted.scorer
    queries = (scorer.queries(np.array([person.user])) if person.user >= 0 else
               scorer.fold_queries(person.rows(np.ones((1, person.n), bool))))
    return np.asarray(queries.vectors[0], np.float64)


def _foretold(person: Person, item: int, features: Features | None) -> list[tuple[str, float]]:
    """What features foretell of an item's vector, by columns where the features are at hand; the rest are events."""
    fitted, arrays = person.fitted, person.fitted.learned.memory[1]
    if "map.item" not in arrays or not isinstance(fitted.scorer, Factors):
        return []
    known = fitted.facts.item_counts[item] > 0
    if known and "foretold.item" not in arrays:
        return []  # features tell of new items alone
    vector = _vector(person)
    if features is None:
        made = arrays["foretold.item"][item] if known else fitted.scorer.item_factors[item]
        return [("its features", float(made.astype(np.float64) @ vector))]
    words = importlib.import_module(_VOCABULARY).Vocabulary.restore("words.item", arrays)
    fields = importlib.import_module(_SCALED).scaled(words, words.read(features.take(np.array([item])), 1)[0])
    names, found, start = names_of(arrays, "words.item"), [], 0
    for field in fields:
        columns, values = field.row(0)
        worth = arrays["map.item"][start + columns].astype(np.float64) @ vector
        worth = worth * (1.0 if values is None else values.astype(np.float64))
        found += [(names[start + column], float(value)) for column, value in zip(columns.tolist(), worth.tolist(),
                                                                                strict=True)]
        start += field.shape[1]
    return found


def _tower(settings: Mapping[str, Any]) -> str:
    """What a network reads of items to make their vectors: the name of its tower; empty for other models."""
    network = settings.get("network")
    return str(network.get("tower", "")) if isinstance(network, Mapping) and network.get("name") == "content" else ""


_TOWERS = {"text": "its text", "image": "its picture", "vectors": "its vector", "words": "its words",
           "fusion": "its words and pictures"}


def _tower_says(person: Person, item: int) -> list[tuple[str, float]]:
    """What an item's content adds, against an item without any: `p . (t_i - t_blank)`."""
    settings, arrays = person.fitted.learned.memory
    tower, scorer = _tower(settings), person.fitted.scorer
    if not tower or not isinstance(scorer, Factors) or "network.blank" not in arrays:
        return []
    blank = arrays["network.blank"][0].astype(np.float64)
    more = scorer.item_factors[item, :len(blank)].astype(np.float64) - blank
    worth = float(_vector(person)[:len(blank)] @ more)
    return [(f"{_TOWERS.get(tower, 'its content')} (against an item without)", worth)]


def _shared(fitted: Fitted, item: int, parts: Sequence[Part], features: Features) -> list[Part]:
    """What the strongest items of the history have in common with the item, among what the model reads."""
    fields, found = fitted.parameters.get("fields"), []
    for part in [part for part in parts if part.kind == "history" and part.value > 0][:_STRONGEST]:
        other = int(fitted.items.encode(np.array([part.item]))[0])
        for name, words in _common(features, item, other).items():
            if fields is None or name in fields:
                found.append(Part("content", f"same {name} as {part.label}: {', '.join(words)}", part.value, part.share,
                                  part.item))
    return found


def _common(features: Features, one: int, other: int) -> dict[str, list[str]]:
    """What two items have in common: genres, and attributes of one text or flag."""
    found: dict[str, list[str]] = {}
    if features.genres is not None and features.genre_names is not None:
        both = np.intersect1d(features.genres.row(one)[0], features.genres.row(other)[0])
        found["genres"] = features.genre_names[both].tolist()
    for name, values in features.attributes.items():
        if values.ndim == 1 and values.dtype.kind in "UTb" and values[one] == values[other] and str(values[one]):
            found[name] = [str(values[one])]
    return {name: words for name, words in found.items() if words}
