"""The one table of routes: what the service answers, and what its OpenAPI document says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from recsys.serving import schemas
from recsys.serving.problems import STATUSES, TYPE, ProblemDocument

__all__ = ["ROUTES", "Parameter", "Route", "openapi"]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a route's path or query."""

    name: str
    place: str
    schema: dict[str, Any]
    says: str


@dataclass(frozen=True)
class Route:
    """A route.

    Parameters
    ----------
    method, path : str
    name : str
        Of the app's method that answers it.
    says : str
        One sentence.
    body, answer : type or None
        What it takes and gives, as JSON; without `answer` it gives what `media` says.
    fails : tuple of int
        Statuses of problems that it may answer with.
    parameters : tuple of Parameter
    writes : bool
        It changes something, or tells of a person: only who brings the token may, or, without a token, who asks from
        this machine.
    media : str
        Of the answer.
    """

    method: str
    path: str
    name: str
    says: str
    body: Any = None
    answer: Any = None
    fails: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    writes: bool = False
    media: str = "application/json"

    @property
    def statuses(self) -> tuple[int, ...]:
        """All statuses of problems."""
        asked = (400, 408, 413, 415) if self.body is not None else ()
        guarded = (401, 403) if self.writes else ()
        return tuple(sorted({*self.fails, *asked, *guarded, 422, 500}))


_ITEM = Parameter("id", "path", {"type": "string", "minLength": 1, "maxLength": 255}, "An item's id.")
_USER = Parameter("id", "path", {"type": "string", "minLength": 1, "maxLength": 255}, "A user's id.")
_SEARCH = Parameter("search", "query", {"type": "string", "maxLength": 256}, "Words of a title.")
_LIMIT = Parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}, "How many.")

ROUTES = (
    Route("POST", "/v1/recommend", "recommend", "The best items for a user, or for a history.", schemas.RecommendAsk,
          schemas.Answer, (409, 503)),
    Route("POST", "/v1/similar", "recommend", "The items most like one.", schemas.SimilarAsk, schemas.Answer,
          (409, 503)),
    Route("POST", "/v1/explain", "recommend", "Why an item has its score.", schemas.ExplainAsk, schemas.ExplainAnswer,
          (404, 409, 503)),
    Route("POST", "/v1/events", "add_events", "Keep what people did; durable when it is answered.", schemas.EventsIn,
          schemas.EventsAnswer, (409, 503, 507), writes=True),
    Route("GET", "/v1/items", "find_items", "Items by their titles.", None, schemas.ItemsAnswer, (503,),
          (_SEARCH, _LIMIT)),
    Route("GET", "/v1/items/{id}", "get_item", "What is known of an item.", None, schemas.ItemOut,
          (404, 503), (_ITEM,)),
    Route("PUT", "/v1/items/{id}", "put_item", "Say what an item is, and whether it may be shown.", schemas.ItemIn,
          schemas.ItemOut, (409, 503, 507), (_ITEM,), writes=True),
    Route("GET", "/v1/attributes", "attributes", "How many items have each value of each attribute.", None,
          schemas.AttributesAnswer, (503,)),
    Route("GET", "/v1/users/{id}", "get_user", "All that is kept of a person.", None, schemas.Person, (503,),
          (_USER,), writes=True),
    Route("DELETE", "/v1/users/{id}", "forget_user", "Erase a person from the log, the model and all that is held.",
          None, schemas.Receipt, (409, 503, 507), (_USER,), writes=True),
    Route("GET", "/v1/model", "get_model", "The models that answer.", None, schemas.ModelAnswer, (503,)),
    Route("GET", "/v1/statement", "get_statement", "What determines the recommendations, in plain words.", None,
          schemas.StatementAnswer, (503,)),
    Route("POST", "/v1/reload", "load_again", "Load the model files again; a bad one leaves the old model.",
          schemas.ReloadIn, schemas.ReloadAnswer, (409, 503), writes=True),
    Route("GET", "/v1/stats", "stats", "What the operator's page draws.", None, dict[str, Any], (503,)),
    Route("GET", "/healthz", "health", "Whether the process answers.", None, schemas.StateAnswer),
    Route("GET", "/readyz", "ready", "Whether it is ready: mapped, compiled, asked, and the log can be written.", None,
          schemas.StateAnswer, (503,)),
    Route("GET", "/metrics", "scrape", "Counters for Prometheus, of all workers.", media="text/plain"),
    Route("GET", "/openapi.json", "document", "This document.", None, dict[str, Any]),
)


def openapi(version: str, limits: Any) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the routes.

    Parameters
    ----------
    version : str
        Of the package.
    limits : Limits
        `k`, `events` and `history` stand in it as they are set.
    """
    types = [kind for route in ROUTES for kind in (route.body, route.answer) if kind is not None]
    schemas_of, components = msgspec.json.schema_components([*types, ProblemDocument],
                                                            ref_template="#/components/schemas/{name}")
    by_type = dict(zip(map(repr, types), schemas_of, strict=False))
    _limit(components, limits)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {"openapi": "3.1.0", "info": {"title": "recsys serve", "version": version}, "paths": paths,
            "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}}


def _limit(components: dict[str, Any], limits: Any) -> None:
    """The limits that are set, instead of the largest that there may be."""
    for name in ("RecommendAsk", "SimilarAsk", "ExplainAsk"):
        components[name]["properties"]["k"]["maximum"] = limits.k
    components["EventsIn"]["properties"]["events"]["maxItems"] = limits.events
    for name in ("RecommendAsk", "ExplainAsk"):
        for part in components[name]["properties"]["history"]["anyOf"]:
            if part.get("type") == "array":
                part["maxItems"] = limits.history


def _operation(route: Route, by_type: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {} if route.answer is None else {"schema": by_type[repr(route.answer)]}
    problem = {TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    answers: dict[str, Any] = {"200": {"description": route.says, "content": {route.media: content}}}
    answers |= {str(status): {"description": STATUSES[status], "content": problem} for status in route.statuses}
    if route.path == "/readyz":
        answers["503"]["content"] = {route.media: content}
    name = route.method.lower() + route.path.replace("/", "_").replace("{", "").replace("}", "")
    found: dict[str, Any] = {"operationId": name, "summary": route.says, "responses": answers}
    if route.parameters:
        found["parameters"] = [{"name": each.name, "in": each.place, "required": each.place == "path",
                                "schema": each.schema, "description": each.says} for each in route.parameters]
    if route.body is not None:
        found["requestBody"] = {"required": True,
                                "content": {"application/json": {"schema": by_type[repr(route.body)]}}}
    if route.writes:
        found["security"] = [{"token": []}, {}]
    return found
