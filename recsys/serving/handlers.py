"""What each route does: from a call to a reply."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from minidl.kernels import ahead
from recsys.artifact import container
from recsys.errors import ArtifactError, DataError, LogError
from recsys.events import Condition, Event, Item
from recsys.events.records import check_event
from recsys.serving import numbering, persons, reporting
from recsys.serving.asking import require_rating
from recsys.serving.calls import Call, Reply
from recsys.serving.engine import Job
from recsys.serving.ids import new_id
from recsys.serving.items import require_item
from recsys.serving.problems import Problem, shown
from recsys.serving.routes import openapi
from recsys.serving.schemas import EventIn, EventsAnswer, ItemOut, ItemsAnswer, ModelName, ReloadAnswer, StateAnswer
from recsys.serving.service import Service

__all__ = ["Handlers"]


class Handlers(Service):
    """A method for each name in `routes.ROUTES`."""

    # ------------------------------------------------------------------------------------------ answers
    async def recommend(self, call: Call) -> Reply:
        """The answer of the models: recommend, similar, explain."""
        self.require_ready()
        ask = call.body()
        limits = self.settings.limits
        if ask.k > limits.k:
            raise Problem(422, f"k: {ask.k} is more than the {limits.k} that are answered.", "k")
        history = getattr(ask, "history", None) or ()
        if len(history) > limits.history:
            raise Problem(422, f"history: {len(history)} items are more than the {limits.history} that are taken; send "
                               f"the last ones.", "history")
        return Reply(await self.ask(Job(ask, call.request_id, time.time())))

    # ------------------------------------------------------------------------------------------- events
    async def add_events(self, call: Call) -> Reply:
        """Keep events; durable when it is answered."""
        self.require_ready()
        given = call.body().events
        self._require_log()
        if len(given) > self.settings.limits.events:
            raise Problem(422, f"events: {len(given)} are more than the {self.settings.limits.events} that are taken "
                               f"at a time.", "events")
        events = [self._event(place, one) for place, one in enumerate(given)]
        new, last_seq = await self._written(self.append(events))
        for kind, count in Counter(new).items():
            self.metrics.events.labels(kind).inc(count)
        return Reply.of(EventsAnswer(len(new), len(events) - len(new), last_seq))

    def _event(self, place: int, given: EventIn) -> Event:
        facts = self.engine.deployment.first.fitted.facts
        where = f"events[{place}]"
        numbering.require_kind(facts.users, [given.user], f"{where}.user")
        numbering.require_kind(facts.items, [given.item], f"{where}.item")
        event = Event(given.id or new_id(), given.user, given.item, given.type, given.value,
                      time.time() if given.time is None else given.time, given.request_id)
        try:
            check_event(event)
            self.settings.types.check(event)
        except DataError as error:
            raise Problem(422, f"{where}: {error}", where) from error
        self._require_mean(where, given.type)
        if given.value is not None and self.settings.types[given.type].weight is None:
            for model in self.engine.deployment.models.values():
                require_rating(model.fitted, given.value, f"{where}.value")
        return event

    def _require_mean(self, where: str, name: str) -> None:
        """Raise Problem for a type that compares with the mean of the training's values, where there were none."""
        liked = self.settings.types[name].positive
        if isinstance(liked, Condition) and liked.bound is None and any(
                model.fitted.facts.rating_range is None for model in self.engine.deployment.models.values()):
            raise Problem(422, f"{where}.type: {name!r} is a success if its value is {liked} of the training's values, "
                               f"and this model was trained without values; name a number in [events.{name}] of the "
                               f"configuration, such as positive = '>= 4'.", f"{where}.type")

    def _require_log(self) -> None:
        if self.settings.events is None:
            raise Problem(409, "this service keeps no events; start it with --events FILE.db.")

    async def _written(self, future: Any) -> Any:
        """What was written, or 507 if it could not be."""
        try:
            return await future
        except LogError as error:
            raise Problem(507, str(error)) from error

    # -------------------------------------------------------------------------------------------- items
    async def find_items(self, call: Call) -> Reply:
        """Items by their titles."""
        self.require_ready()
        limit = call.query.get("limit", "10")
        if not limit.isdecimal() or not 1 <= int(limit) <= 100:
            raise Problem(422, f"limit: give a number from 1 to 100, not {shown(limit)}.", "limit")
        text = call.query.get("search", "")
        if len(text) > 256:
            raise Problem(422, "search: give at most 256 characters.", "search")
        view = await self.in_engine(self.engine.view)
        found, total = await self.report(lambda log: view.search(text, int(limit)))
        return Reply.of(ItemsAnswer(found, total))

    async def get_item(self, call: Call) -> Reply:
        """What is known of an item."""
        self.require_ready()
        item = call.id_of(self.engine.deployment.first.fitted.items)
        found: ItemOut | None = await self.in_engine(lambda: self.engine.view().item(item))
        if found is None:
            raise Problem(404, f"there is no item {shown(item)}.")
        return Reply.of(found)

    async def put_item(self, call: Call) -> Reply:
        """Say what an item is."""
        self.require_ready()
        given = call.body()
        self._require_log()
        item = Item(call.id_of(self.engine.deployment.first.fitted.items), given.title, given.text, given.attributes,
                    given.image, given.available)
        require_item(item)
        await self._written(self.write(lambda log: log.put_item(item)))
        return await self.get_item(call)

    async def attributes(self, call: Call) -> Reply:
        """How many items have each value of each attribute."""
        self.require_ready()
        return Reply.of(await self.in_engine(lambda: self.engine.view().counted()))

    # ------------------------------------------------------------------------------------------- people
    async def get_user(self, call: Call) -> Reply:
        """All that is kept of a person."""
        self.require_ready()
        user = call.id_of(self.engine.deployment.first.fitted.users)
        await self.in_engine(self.engine.follow)
        return Reply.of(await self.report(lambda log: persons.kept_of(self.engine, log, user)))

    async def forget_user(self, call: Call) -> Reply:
        """Erase a person."""
        self.require_ready()
        self._require_log()
        user = call.id_of(self.engine.deployment.first.fitted.users)
        return Reply.of(await self._written(persons.forget(self, user)))

    # --------------------------------------------------------------------------------------- the service
    async def get_model(self, call: Call) -> Reply:
        """The models that answer."""
        self.require_ready()
        return Reply.of(reporting.models(self.engine.deployment, self.settings))

    async def get_statement(self, call: Call) -> Reply:
        """The main parameters of the models that answer, in plain words."""
        self.require_ready()
        deployment = self.engine.deployment
        return Reply.of(await self.report(lambda log: reporting.statements(deployment)))

    async def load_again(self, call: Call) -> Reply:
        """Load the model files again."""
        self.require_ready()
        given = call.body()
        known = self.engine.deployment.models
        if given.variant is not None and given.variant not in known:
            raise Problem(422, f"variant: there is no {shown(given.variant)}; there are {', '.join(known)}.", "variant")
        began = time.perf_counter()
        try:
            deployment = await self.reload(given.variant, verify=given.verify)
        except (ArtifactError, OSError) as error:
            raise Problem(409, str(error)) from error
        return Reply.of(ReloadAnswer([ModelName(each.fitted.name, each.version) for each in deployment.models.values()],
                                     time.perf_counter() - began))

    async def stats(self, call: Call) -> Reply:
        """What the operator's page draws."""
        self.require_ready()
        return Reply.of(await self.report(lambda log: reporting.stats(self, log)))

    async def health(self, call: Call) -> Reply:
        """The process answers."""
        return Reply.of(StateAnswer("ok"))

    async def ready(self, call: Call) -> Reply:
        """Whether it is ready, and what was checked."""
        if not self.not_ready:
            try:
                await self.write(lambda log: log.put("ready", str(time.time())))
            except LogError as error:
                return Reply.of(StateAnswer("not ready", {"log": str(error)}), 503)
        checks = {"models": self.not_ready or "mapped, and asked real requests",
                  "kernels": self.not_ready or ahead.state(),
                  "log": self.not_ready or ("can be written" if self.settings.events else "no events are kept")}
        return Reply.of(StateAnswer("not ready" if self.not_ready else "ok", checks), 503 if self.not_ready else 200)

    async def scrape(self, call: Call) -> Reply:
        """Counters of all workers."""
        return Reply(self.metrics.scrape(), media="text/plain; version=0.0.4; charset=utf-8")

    async def document(self, call: Call) -> Reply:
        """The OpenAPI document."""
        return Reply.of(openapi(container.versions()["minidl"], self.settings.limits))
