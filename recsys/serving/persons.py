"""What is kept of a person, and its erasure."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from typing import TYPE_CHECKING

import msgspec

from recsys.artifact.versions import Versions
from recsys.errors import RecsysError
from recsys.estimator import persons, storing
from recsys.estimator.levels import REMOVED, SAYS, UNTOUCHED
from recsys.serving import numbering
from recsys.serving.problems import Problem
from recsys.serving.schemas import Erased, ErasedParts, Named, Person, PersonEvent, Receipt

if TYPE_CHECKING:
    from recsys.events import EventLog
    from recsys.serving.engine import Engine
    from recsys.serving.service import Service

__all__ = ["forget", "kept_of"]

Key = int | str


def kept_of(engine: Engine, log: EventLog, user: Key) -> Person:
    """All that is kept of a person: by the log, and by the first variant's model that knows them."""
    knowing = [model for model in engine.deployment.models.values()
               if numbering.encode_any(model.fitted.users, user) >= 0 and not engine.is_forgotten(user, model)]
    model = knowing[0] if knowing else engine.deployment.first
    view, fitted = engine.catalogue.view(model), model.fitted
    kept = log.export(user)
    number = numbering.encode_any(fitted.users, user) if knowing else -1
    indices = persons.items(fitted, number)
    events = [PersonEvent(event["id"], event["item"], view.title_of(event["item"]), event["type"],
                          event["value"], event["time"], event["request_id"]) for event in kept["events"]]
    return Person(user, number >= 0, events,
                  [Named(fitted.items.ids[index].item(), view.title(index)) for index in indices], kept["shown"],
                  number >= 0 and fitted.scorer.user_vectors() is not None)


async def forget(service: Service, user: Key) -> Receipt:
    """Erase a person: from the log, down to the bytes; from the model files; from what all workers hold.

    The log's erasure is durable first, and from then on no worker answers from what a model knows of the person. Then
    the files are written anew without them, and all workers take the new ones.
    """
    erased = await service.write(lambda log: log.forget(user))
    before, number = service.engine.deployment, secrets.token_hex(16)
    try:
        changed = [await asyncio.to_thread(_rewrite, model.variant.path, user, number)
                   for model in before.models.values()]
    except (RecsysError, OSError) as error:
        raise Problem(409, f"the log keeps nothing of this person any more, and no answer uses what a model knows of "
                           f"them, but a model's file could not be written anew: {error} Put a good file there, reload "
                           f"and send this again.") from error
    after = await service.reload(verify=False) if any(changed) else before
    models = [Erased(name, before.models[name].version, model.version) for name, model in after.models.items()]
    parts = ErasedParts(erased.events, erased.shown, models)
    service.metrics.erasures.inc()
    level, now = REMOVED if any(changed) else UNTOUCHED, time.time()
    digest = hashlib.sha256(msgspec.json.encode([number, level, SAYS[level], msgspec.to_builtins(parts), now]))
    return Receipt(number, level, SAYS[level], parts, now, digest.hexdigest())


def _rewrite(path: str, user: Key, number: str) -> bool:
    """Take a person out of a model file and of all versions of it that are kept; whether the person was in any."""
    versions = Versions(path)
    with versions.marked(number) as mark:
        return bool(versions.rewrite(lambda source, target: storing.forget(source, [user], target, mark)))
