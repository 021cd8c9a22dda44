"""The models that answer: mapped and checked from their files, and swapped in one assignment."""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from recsys.artifact import container
from recsys.data.ids import IdMap
from recsys.errors import ArtifactError
from recsys.estimator import golden, storing
from recsys.estimator.fitted import Fitted
from recsys.estimator.ranking import rank_rows
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
        The first 12 hex digits of the SHA-256 of the file's manifest, which holds those of all arrays.
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
    def load(cls, variant: Variant, *, verify: bool = True) -> Self:
        """Map a file, compare it with its checksums if wanted, and ask it the requests that it brings with answers.

        Raises
        ------
        ArtifactError
            The file is none of ours, is damaged, or answers otherwise than when it was written.
        """
        try:
            stamp: Stamp = []
            while stamp != stamp_of(variant.path):  # a file that is replaced while it is read goes by another's name
                stamp = stamp_of(variant.path)
                version, card = version_of(variant.path), container.manifest(variant.path)
                fitted = storing.load(variant.path, mmap=True, verify=verify)
        except OSError as error:
            raise ArtifactError(f"{variant.path}: {error.strerror}; save a model there first.") from error
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
    def load(cls, settings: Settings, *, verify: bool = True) -> Self:
        """What the settings say."""
        names, shares = [v.name for v in settings.variants], [v.share for v in settings.variants]
        models = {variant.name: Deployed.load(variant, verify=verify) for variant in settings.variants}
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


def version_of(path: str | os.PathLike[str]) -> str:
    """A name of a model file's contents: 12 hex digits of the SHA-256 of its manifest."""
    try:
        with zipfile.ZipFile(path) as archive:
            return hashlib.sha256(archive.read("manifest.json")).hexdigest()[:12]
    except (zipfile.BadZipFile, KeyError) as error:
        raise ArtifactError(f"{os.fspath(path)}: not a model file ({error}); save the model again.") from error
