"""The models that answer: mapped and checked from their files, and swapped in one assignment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from recsys.artifact import container
from recsys.artifact.container import version_of
from recsys.data.ids import IdMap
from recsys.errors import ArtifactError
from recsys.estimator import golden, storing
from recsys.estimator.fitted import Fitted
from recsys.estimator.ranking import rank_rows
from recsys.estimator.stating import Statement, statement
from recsys.events import EventLog, Stamp, stamp_of
from recsys.experiments.assignment import Variants
from recsys.serving.settings import Settings, Variant

__all__ = ["Deployed", "Deployment", "version_of"]


@dataclass(frozen=True, eq=False)
class Deployed:
    """A model file, mapped into memory and found to answer as it did when it was written.

    Parameters
    ----------
    variant : Variant
    fitted : Fitted
    version : str
        Of the file's contents, as `recsys.artifact.container.version_of` gives it.
    learned_to : int
        The number of the log's last event that the model has learned from; 0 for none.
    loaded : float
        When, in seconds since 1970.
    stamp : list of int
        Of the file, as `recsys.events.stamp_of` gives it.
    """

    variant: Variant
    fitted: Fitted
    version: str
    learned_to: int
    loaded: float
    stamp: Stamp

    @classmethod
    def load(cls, variant: Variant, source: str | None = None, *, verify: bool = True) -> Self:
        """Map a file, compare it with its checksums if wanted, and ask it the requests that it brings with answers.

        `source` is where it is read, if that is not the variant's path.

        Raises
        ------
        ArtifactError
            The file is none of ours, is damaged, or answers otherwise than when it was written.
        """
        source = source or variant.path
        try:
            stamp: Stamp = []
            while stamp != stamp_of(source):  # a file that is replaced while it is read goes by another's name
                stamp = stamp_of(source)
                version, card = version_of(source), container.manifest(source)
                fitted = storing.load(source, mmap=True, verify=verify)
        except OSError as error:
            raise ArtifactError(f"{variant.path}: {error.strerror}; save a model there first.") from error
        except ArtifactError as error:
            raise ArtifactError(str(error).replace(source, variant.path)) from error
        golden.replay(fitted, card)
        _first_answer(fitted)
        learned_to = int(card.get("log", {}).get("learned_to", 0))
        return cls(variant, fitted, version, learned_to, time.time(), stamp)

    @cached_property
    def titles(self) -> np.ndarray | None:
        """Of all items, (n_items,); None if training had none."""
        features = self.fitted.facts.item_features
        return None if features is None else features.titles

    @cached_property
    def statement(self) -> Statement:
        """Its main parameters in plain words; measured once, when it is first asked for."""
        return statement(self.fitted)

    @cached_property
    def counts(self) -> np.ndarray:
        """The training events of every item: float32 (n_items,)."""
        return self.fitted.facts.item_counts.astype(np.float32)


def _first_answer(fitted: Fitted) -> None:
    """Ask for somebody of the training and for nobody, so that no answer waits for what is worked out once."""
    if len(fitted.users) and len(fitted.items) and fitted.scorer.knows_users:
        rank_rows(fitted, np.array([0, -1], np.int32), None, 10)


class Deployment:
    """All variants' models, and who gets which; never changed.

    Parameters
    ----------
    models : mapping of str to Deployed
        By name of the variant.
    assignment : Variants
    """

    def __init__(self, models: Mapping[str, Deployed], assignment: Variants) -> None:
        self.models, self.assignment = dict(models), assignment
        self.first = next(iter(self.models.values()))

    @classmethod
    def load(cls, settings: Settings, find: Callable[[str], str] = str, *, verify: bool = True) -> Self:
        """What the settings say; `find` gives where the file of a path is read."""
        names, shares = [v.name for v in settings.variants], [v.share for v in settings.variants]
        models = {variant.name: Deployed.load(variant, find(variant.path), verify=verify)
                  for variant in settings.variants}
        for model in models.values():
            _require_same_kinds(models[names[0]], model)
        return cls(models, Variants(names, shares, settings.salt))

    def require_kinds_of(self, log: EventLog) -> None:
        """Raise ArtifactError if ids are integers in the log and strings in the models, or the other way round."""
        for what, one in zip(("users", "items"), log.newest(), strict=True):
            ids: IdMap = getattr(self.first.fitted, what)
            if one is not None and len(ids) and ids.integers != isinstance(one, int):
                kinds = ("integers", "strings") if ids.integers else ("strings", "integers")
                raise ArtifactError(f"{self.first.variant.path}: its {what} are {kinds[0]}, and those of the log "
                                    f"{log.path} are {kinds[1]}, such as {one!r}; train it on ids of that kind, or "
                                    f"serve it with a log of its own.")

    def of(self, unit: int | str) -> Deployed:
        """The model for a person."""
        return self.first if len(self.models) == 1 else self.models[self.assignment.assign(unit)]

    def reloaded(self, variant: str | None = None, *, verify: bool = True) -> Self:
        """The same with a variant's file, or all files, loaded again; ArtifactError leaves what is there."""
        again = {name: Deployed.load(old.variant, verify=verify) if variant in (None, name) else old
                 for name, old in self.models.items()}
        for name, model in again.items():
            _require_same_kinds(self.models[name], model)
        return type(self)(again, self.assignment)


def _require_same_kinds(old: Deployed, new: Deployed) -> None:
    """Raise ArtifactError for a model whose ids are integers where the log has texts, or the other way round."""
    for what in ("users", "items"):
        before, after = getattr(old.fitted, what), getattr(new.fitted, what)
        if len(before) and len(after) and before.integers != after.integers:
            kinds = ("integers", "strings") if after.integers else ("strings", "integers")
            raise ArtifactError(f"{new.variant.path}: its {what} are {kinds[0]}, and those of the model that answers "
                                f"are {kinds[1]}, as are those of the log; train it on ids of that kind.")
