"""The service keeps to its own OpenAPI document: no failure, no status and no answer that is not in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyStrategyDefinition

from tests.recsys.serving.service import DEEP, Client, Running, serving  # isort: skip

from recsys.serving.problems import STATUSES
from recsys.serving.routes import ROUTES, openapi
from recsys.serving.settings import Limits

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed; it comes with the extra test")
checks = schemathesis.checks

CASES = 5000 if DEEP else 170  # in all, over all routes
checks.load_all_checks()
CHECKS = [checks.not_a_server_error, *(checks.CHECKS.get_one(name) for name in (
    "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance"))]
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": not DEEP, "database": None}


@pytest.fixture(scope="module")
def service(models: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """EASE, its own copy, as erasures rewrite it."""
    folder = tmp_path_factory.mktemp("openapi")
    path = folder / "model.recsys"
    path.write_bytes(models["EASE"].path.read_bytes())
    with serving(path, "--events", folder / "log.db", folder=folder) as running:
        yield running


@pytest.fixture(scope="module")
def api(service: Running) -> Any:
    """The document, as a client reads it."""
    return schemathesis.openapi.from_url(f"{service.url}/openapi.json")


def test_the_document_is_valid_and_names_every_route(service: Running, api: Any) -> None:
    api.validate()
    _, document = Client(service).ask("GET", "/openapi.json")
    assert document["openapi"].startswith("3.1")
    assert {(method.upper(), path) for path, methods in document["paths"].items() for method in methods} == {
        (route.method, route.path) for route in ROUTES}
    for methods in document["paths"].values():
        for operation in methods.values():
            assert {int(status) for status in operation["responses"]} <= {200, *STATUSES}
    client = Client(service)
    for route in ROUTES:
        status, _ = client.ask(route.method, route.path.replace("{id}", "item 001"), None if route.body is None else {})
        assert status not in (404, 405), route


def test_the_document_tells_the_limits_that_are_set() -> None:
    schemas = openapi("1", Limits(k=7, events=8, history=9))["components"]["schemas"]
    assert schemas["RecommendAsk"]["properties"]["k"]["maximum"] == 7
    assert schemas["EventsIn"]["properties"]["events"]["maxItems"] == 8
    assert schemas["RecommendAsk"]["properties"]["history"]["anyOf"][0]["maxItems"] == 9


def with_known(case: Any, user: str | None, item: str | None) -> None:
    """Put people and items that there are in the place of ids that were made up, which are hardly ever known."""
    body = case.body if isinstance(case.body, dict) else {}
    events = body.get("events")
    for part in [body, *(events if isinstance(events, list) else [])]:
        if isinstance(part, dict):
            part.update({name: known for name, known in (("user", user), ("item", item))
                         if known is not None and isinstance(part.get(name), str)})
    if user is not None and "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = user if "users" in case.path else "item 001"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_answers_as_documented(api: Any, route: Any) -> None:
    """Requests that fit the document, and ones that do not."""
    operation = api[route.path][route.method]
    plain = route.body is None and not route.parameters  # nothing of it could fail to fit
    for mode in [schemathesis.GenerationMode.POSITIVE] if plain else schemathesis.GenerationMode:
        strategy = operation.as_strategy(generation_mode=mode)

        @settings(max_examples=max(2, CASES // (2 * len(ROUTES))), **QUIET)
        @given(strategy, st.sampled_from([None, "user 001", "user 002"]), st.sampled_from([None, "item 001"]))
        def check(case: Any, user: str | None, item: str | None) -> None:
            with_known(case, user, item)
            case.call_and_validate(checks=CHECKS)

        check()


def test_sequences_of_requests_answer_as_documented(api: Any) -> None:
    asked = []

    class Machine(api.as_state_machine()):
        def after_call(self, response: Any, case: Any) -> None:
            asked.append((case.method, case.path, response.status_code))

        def validate_response(self, response: Any, case: Any, **given: Any) -> None:
            case.validate_response(response, checks=CHECKS)

    for _ in range(5):
        # What a request can be made of depends on what earlier ones have left in the service. Where Hypothesis finds
        # that it cannot draw the same again, that is no finding of ours, and another round begins.
        with contextlib.suppress(FlakyStrategyDefinition):
            Machine.run(settings=settings(max_examples=CASES // 50, stateful_step_count=10, **QUIET))
        if len(asked) > CASES // 10:
            break
    assert len(asked) > CASES // 10
    assert {method for method, *_ in asked} >= {"GET", "PUT", "DELETE"}
