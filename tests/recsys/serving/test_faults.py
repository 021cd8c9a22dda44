"""What goes wrong at the start, in requests, with disk and clients: a clear error, and what can be answered is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.recsys.serving.service import (  # isort: skip
    Client, InProcess, Running, event, serving, settings_of)

from recsys.cli import main
from recsys.events import EventLog
from recsys.serving.settings import Limits
from recsys.serving.supervising import Supervisor

TOKEN = "a token of some length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


# --------------------------------------------------------------------------------------------- the start
@pytest.fixture(autouse=True)
def nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: a start that should fail must not go on for ever."""
    monkeypatch.setattr(Supervisor, "run", lambda _: pytest.fail("it would serve"))


def complaint(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """What `recsys serve` says when it cannot start: one line, and exit code 2."""
    assert main(["serve", *map(str, arguments), "--port", "0"]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    return said


def test_a_port_in_use(models: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(models["Popular"].path), "--port", str(port)]) == 2
    said = capsys.readouterr().err.strip()
    assert f"127.0.0.1:{port}" in said
    assert "--port" in said
    assert len(said.splitlines()) == 1


def test_models_that_are_none(models: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert str(tmp_path / "missing") in complaint(capsys, tmp_path / "missing")
    (tmp_path / "garbage").write_bytes(b"nothing of use")
    assert str(tmp_path / "garbage") in complaint(capsys, tmp_path / "garbage")
    (tmp_path / "half").write_bytes(models["EASE"].path.read_bytes()[:5000])
    assert str(tmp_path / "half") in complaint(capsys, tmp_path / "half")
    assert "--variant" in complaint(capsys)
    assert "--variant" in complaint(capsys, "--variant", "a=b")
    path = models["Popular"].path
    assert "sum to" in complaint(capsys, "--variant", f"a={path}:0.5", "--variant", f"b={path}:0.4")


@pytest.mark.parametrize(("text", "said"), [
    ("[service\n", "TOML"),
    ("[other]\nx = 1\n", "the file has no 'other'; it may have events, limits, model, service, tuning."),
    ("[service]\nport = 1\n", "port"),
    ("[service]\ntoken = 7\n", "token"), ("[service]\ntoken = 'short'\n", "token"), ("[limits]\nk = 0\n", "k"),
    ("[limits]\nk = 'ten'\n", "k"), ("[limits]\nk = 100000\n", "k"), ("[limits]\nhistory = 100000\n", "history"),
    ("[limits]\nevents = 100000\n", "events"), ("[limits]\ntimeout = -1\n", "timeout"),
    ("[limits]\nhurry = 1\n", "hurry"), ("limits = 3\n", "limits"), ("[events.click]\nweight = -1\n", "events.click"),
    ("[events.click]\nwait = 1\n", "wait"),
    ("[service]\nexplore = 2\n", "explore")])
def test_configurations_that_cannot_be_meant(models: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                             text: str, said: str) -> None:
    (tmp_path / "serve.toml").write_text(text)
    found = complaint(capsys, models["Popular"].path, "--config", tmp_path / "serve.toml")
    assert said in found
    assert "serve.toml" in found


def test_who_can_be_reached_needs_a_token(models: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "token" in complaint(capsys, models["Popular"].path, "--host", "0.0.0.0")
    assert "no.such.host.invalid" in complaint(capsys, models["Popular"].path, "--host", "no.such.host.invalid")
    (tmp_path / "empty").write_text("\n")
    assert "token" in complaint(capsys, models["Popular"].path, "--token-file", tmp_path / "empty", "--host", "0.0.0.0")
    assert str(tmp_path / "none") in complaint(capsys, models["Popular"].path, "--token-file", tmp_path / "none")


@pytest.mark.parametrize("log", ["missing folder/log.db", ".", "garbage.db", "/proc/log.db"])
def test_logs_that_cannot_be_opened(models: Any, tmp_path: Path, log: str) -> None:
    (tmp_path / "garbage.db").write_bytes(b"no database " * 1000)
    with pytest.raises(AssertionError, match="the service ended") as error, \
            serving(models["Popular"].path, "--events", tmp_path / log, folder=tmp_path):
        pass
    said = str(error.value).partition(": ")[2].strip()
    assert log.removeprefix(".") in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1


# ------------------------------------------------------------------------------------------ bad requests
@pytest.fixture(scope="module")
def service(models: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One worker, a token, a body of 2,000 bytes, and a second for everything."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "serve.toml").write_text("[limits]\nbody = 2000\ntimeout = 1.0\nk = 50\nhistory = 20\nevents = 5\n")
    (folder / "token").write_text(TOKEN)
    with serving(models["EASE"].path, "--events", folder / "log.db", "--config", folder / "serve.toml", "--token-file",
                 folder / "token", folder=folder) as running:
        yield running


def problem(client: Client, status: int, method: str, path: str, body: Any = None,
            headers: Any = None) -> dict[str, Any]:
    """The problem document of a request that fails."""
    found, said = client.ask(method, path, body, headers or {})
    assert found == status, said
    assert client.headers["content-type"] == "application/problem+json"
    assert said["status"] == status
    assert {"type", "title", "detail"} <= said.keys()
    return said


def test_who_writes_brings_the_token(service: Running) -> None:
    client = Client(service)
    for method, path, body in (("POST", "/v1/events", {"events": []}), ("PUT", "/v1/items/x", {}),
                               ("GET", "/v1/users/x", None), ("DELETE", "/v1/users/x", None),
                               ("POST", "/v1/reload", {})):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": "Bearer "}):
            problem(client, 401, method, path, body, headers)
            assert client.headers["www-authenticate"] == "Bearer"
    assert client.ask("POST", "/v1/events", {"events": [event("a", "item 001")]}, BEARER)[0] == 200
    assert client.ask("GET", "/v1/users/a", None, BEARER)[0] == 200
    assert client.ask("POST", "/v1/recommend", {})[0] == 200


@pytest.mark.parametrize(("path", "body", "field"), [
    ("recommend", {"user": 7}, "user"), ("recommend", {"user": ["a"]}, "user"), ("recommend", {"k": 0}, "k"),
    ("recommend", {"k": 51}, "k"), ("recommend", {"k": 1.5}, "k"), ("recommend", {"users": "a"}, "users"),
    ("recommend", {"user": "a", "history": []}, "history"), ("recommend", {"user": "a", "values": [1]}, "values"),
    ("recommend", {"history": ["item 001"], "values": []}, "values"), ("recommend", {"values": [1]}, "values"),
    ("recommend", {"history": ["item 001"] * 21}, "history"), ("recommend", {"history": ["item 001", 7]}, "history[1]"),
    ("recommend", {"user": ""}, "user"), ("recommend", {"user": "é" * 200}, "user"),
    ("recommend", {"diversity": 2}, "diversity"),
    ("recommend", {"profiling": "maybe"}, "profiling"), ("recommend", {"where": {"": []}}, "where"),
    ("recommend", [], None),
    ("recommend", {"user": "a\0"}, "user"), ("recommend", {"history": ["item 001\0"]}, "history[0]"),
    ("similar", {}, "item"), ("similar", {"item": 7}, "item"), ("explain", {"user": "a"}, "item"),
    ("events", {"events": [event("a", "b")] * 6}, "events"), ("events", {"events": [event(7, "b")]}, "events[0].user"),
    ("events", {"events": [event("a", "b"), event("a", 7)]}, "events[1].item"),
    ("events", {"events": [event("a", "b", "dance")]}, "events[0]"),
    ("events", {"events": [event("a", "b", "rating")]}, "events[0]"),
    ("events", {"events": [event("a", "b", time=-1)]}, "events[0].time"),
    ("events", {"events": [event("é" * 200, "b")]}, "events[0].user"),
    ("events", {"events": [event("a", "b", colour="red")]}, "events[0].colour"),
    ("reload", {"variant": "x"}, "variant")])
def test_what_does_not_fit_is_named(service: Running, path: str, body: Any, field: str | None) -> None:
    said = problem(Client(service), 422, "POST", f"/v1/{path}", body, BEARER)
    assert said.get("field") == field
    if field is not None:
        assert said["errors"] == [{"field": field, "reason": said["detail"]}]
        assert field.partition("[")[0] in said["detail"]


@pytest.mark.parametrize(("path", "body", "said"), [
    ("recommend", {"profiling": "maybe"}, "profiling: 'maybe' is none of off, on."),
    ("recommend", {"users": 1}, "users: there is no such field; there are user, history, values, k, filter_seen, "
                                "items, exclude, where, explain, diversity, profiling."),
    ("recommend", {"a" * 500: 1}, "a" * 80 + "...: there is no such field; there are user"),
    ("recommend", {"a - at `$": 1}, "a - at `$: there is no such field; there are user"),
    ("recommend", {"k": "5"}, "k: an integer is wanted, not a text."),
    ("recommend", {"k": 1.5}, "k: an integer is wanted, not a number."),
    ("recommend", {"k": 0}, "k: an integer of 1 or more is wanted."),
    ("recommend", {"diversity": 2}, "diversity: a number of at most 1 is wanted."),
    ("recommend", {"filter_seen": "no"}, "filter_seen: true or false is wanted, not a text."),
    ("recommend", {"history": "a"}, "history: a list or null is wanted, not a text."),
    ("recommend", {"history": ["a", []]}, "history[1]: an integer or a text is wanted, not a list."),
    ("recommend", {"user": ""}, "user: a text of 1 or more characters is wanted."),
    ("recommend", {"where": {"": []}}, "where: each key: a text of 1 or more characters is wanted."),
    ("recommend", {"where": {"a": ["b", 3]}}, "where[...][1]: a text is wanted, not an integer."),
    ("recommend", [], "the body: an object is wanted, not a list."),
    ("recommend", b"null", "the body: an object is wanted, not null."),
    ("similar", {}, "item: it is missing."),
    ("events", {"events": [event("a", "b"), event("a", "b", colour="red")]},
     "events[1].colour: there is no such field; there are user, item, type, id, value, time, request_id."),
    ("events", {"events": [{"user": "a"}]}, "events[0].item: it is missing."),
    ("events", {"events": [event("a", "b", value="x")]}, "events[0].value: a number or null is wanted, not a text.")])
def test_what_does_not_fit_is_told_in_plain_words(service: Running, path: str, body: Any, said: str) -> None:
    found = problem(Client(service), 422, "POST", f"/v1/{path}", body, BEARER)
    assert found["detail"].startswith(said)
    assert found["detail"].startswith(found.get("field", "the body"))
    assert len(found["detail"]) < 300


@pytest.mark.parametrize("raw", [b"", b"{", b"nothing", b'{"user": "\xff"}', b'{"user": "\\ud800"}',
                                 b'{"k": NaN}', b'{} {}'])
def test_what_is_no_json_is_refused(service: Running, raw: bytes) -> None:
    problem(Client(service), 400, "POST", "/v1/recommend", raw)


@pytest.mark.parametrize("raw", [b"[" * 1500, b'{"a":' * 300, b'{"k": 1e999}', b'{"k": 10000000000000000000000}',
                                 b'{"where": {"a": [' + b"[" * 1500])
def test_what_cannot_be_meant_is_refused_however_deep(service: Running, raw: bytes) -> None:
    problem(Client(service), 422, "POST", "/v1/recommend", raw)


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "",
                                   "application/jsonx"])
def test_forms_of_other_sites_are_refused(service: Running, media: str) -> None:
    """A page of another site can send these without being asked; JSON it cannot."""
    problem(Client(service), 415, "POST", "/v1/recommend", b"{}", {"Content-Type": media})
    good = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert Client(service).ask("POST", "/v1/recommend", b"{}", good)[0] == 200


def test_bodies_that_are_too_large(service: Running) -> None:
    problem(Client(service), 413, "POST", "/v1/recommend", {"user": "a" * 2000})
    client = Client(service)
    with contextlib.closing(raw_connection(service)) as connection:  # in chunks, without a length
        connection.sendall(b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                           b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(30):
                connection.sendall(b"64\r\n" + b"a" * 100 + b"\r\n")
                time.sleep(.001)
        assert b" 413 " in connection.recv(4096)
    assert client.ask("POST", "/v1/recommend", {})[0] == 200


def test_paths_that_lead_nowhere(service: Running) -> None:
    client = Client(service)
    for path in ("/v2/recommend", "/v1", "/page/../../etc/passwd", "/page/%2e%2e/%2e%2e/etc/passwd", "/etc/passwd",
                 "/page//etc/passwd", "/v1/recommend/x"):
        status, said = client.ask("GET", path)
        assert status == 404
        assert b"root:" not in (said if isinstance(said, bytes) else json.dumps(said).encode())
    problem(client, 405, "GET", "/v1/recommend")
    assert "POST" in client.headers["allow"]
    problem(client, 405, "POST", "/v1/items/x", {})
    assert {"GET", "PUT"} <= {*client.headers["allow"].split(", ")}
    problem(client, 404, "GET", "/v1/items/..%2f..%2fetc%2fpasswd")


@pytest.mark.parametrize(("path", "field"), [
    ("/v1/items/%FF", "id"), ("/v1/items/a%C3", "id"), ("/v1/items?search=%FF", "search"),
    ("/v1/items?find=x", "find"), ("/v1/items?search=a&limit=3&search=b", "search"), ("/v1/items/item%20001?k=3", "k"),
    ("/v1/items?%FF=1", "\xff"), ("/v1/model?x", "x"), ("/healthz?x=1", "x")])
def test_parameters_that_are_none(service: Running, path: str, field: str) -> None:
    said = problem(Client(service), 422, "GET", path)
    assert said["field"] == field
    if path.startswith("/v1/items?find"):
        assert said["detail"] == "find: there is no such parameter; there are search, limit."


def test_letters_of_a_path_are_those_that_were_sent(service: Running) -> None:
    client = Client(service)
    for id in ("é", "\ufffd", "日本"):
        assert client.ask("PUT", f"/v1/items/{quote(id)}", {"title": f"Title {id}"}, BEARER)[1]["id"] == id
        found = client.ask("GET", f"/v1/items?search={quote(id)}&limit=5")[1]["items"]
        assert [each["id"] for each in found] == [id]


def test_ids_that_cannot_be_kept(models: Any, tmp_path: Path) -> None:
    with InProcess(settings_of(models["EASE"].path, tmp_path)) as ours, \
            InProcess(settings_of(models["EASE", "rated"].path, tmp_path, events=str(tmp_path / "two.db"))) as whole:
        for method, path in (("GET", "users"), ("DELETE", "users"), ("GET", "items"), ("PUT", "items")):
            body = {} if method == "PUT" else None
            for id in ("a" * 257, "a" * 256, "é" * 200, "", "a\0"):
                status, said = ours.ask(method, f"/v1/{path}/{id}", body)
                assert (status, said["field"]) == (422, "id"), (method, path, id[:5], len(id), said)
            for id in ("x", "1\0", "1.0", " 1", "1_0", "01", "9" * 20, "-0", "１"):
                status, said = whole.ask(method, f"/v1/{path}/{id}", body)
                assert (status, said["field"]) == (422, "id"), (method, path, id, said)
        for id in ("a/b", "a\nb", "\n", "/", "..", "a b", "é", "\x7f"):
            assert ours.ask("PUT", f"/v1/items/{id}", {"title": "x"})[1]["id"] == id
            status, said = ours.ask("DELETE", f"/v1/users/{id}")
            assert (status, "user" in said) == (200, False)  # a receipt names nobody


def test_only_this_machine_writes_without_a_token(models: Any, tmp_path: Path) -> None:
    body = {"events": []}
    with InProcess(settings_of(models["Popular"].path, tmp_path)) as ours:
        for host in ("localhost", "localhost:8000", "127.0.0.1:80", "[::1]:8000", "[::1]", "127.3.2.1"):
            assert ours.ask("POST", "/v1/events", body, {"host": host})[0] == 200, host
        for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "",
                     "10.0.0.1", "127.0.0.1:80@evil.example"):
            assert ours.ask("POST", "/v1/events", body, {"host": host})[0] == 403, host
        for header in ("x-forwarded-for", "forwarded"):
            assert ours.ask("POST", "/v1/events", body, {header: "127.0.0.1"})[0] == 403
        ours.client = "192.0.2.7"
        for method, path in (("POST", "/v1/events"), ("PUT", "/v1/items/x"), ("GET", "/v1/users/x"),
                             ("DELETE", "/v1/users/x"), ("POST", "/v1/reload")):
            assert ours.ask(method, path, body)[0] == 403
        assert ours.ask("POST", "/v1/recommend", {})[0] == 200


# ---------------------------------------------------------------------------------------- slow and many
def raw_connection(service: Running) -> socket.socket:
    """A connection for bytes as they are."""
    host, port = service.host.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


@pytest.mark.parametrize("sent", [b'{"user": ', b""])
def test_a_slow_client_is_refused_and_delays_nobody(service: Running, sent: bytes) -> None:
    with contextlib.closing(raw_connection(service)) as slow, contextlib.closing(raw_connection(service)) as header:
        header.sendall(b"POST /v1/recommend HT")
        slow.sendall(b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 100\r\n\r\n" + sent)
        began, client, answered = time.monotonic(), Client(service), 0
        slow.settimeout(.01)
        said = b""
        while time.monotonic() < began + 15 and not said:
            assert client.ask("POST", "/v1/recommend", {"user": "user 001"})[0] == 200
            answered += 1
            with contextlib.suppress(TimeoutError):
                said = slow.recv(4096)
        assert b" 408 " in said
        assert answered > 10


def test_clients_that_go_away_leave_nothing_behind(service: Running) -> None:
    for sent in (b"", b"POST", b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                 b"Content-Length: 12\r\n\r\n{\"user\"", b"\x16\x03\x01 no HTTP at all\r\n\r\n"):
        for _ in range(20):
            with contextlib.closing(raw_connection(service)) as connection:
                connection.sendall(sent)
    client = Client(service)
    assert client.ask("POST", "/v1/recommend", {})[0] == 200
    service.until(lambda: client.ask("GET", "/v1/stats")[1]["queue"] == 0)
    assert "Traceback" not in service.errors()


def test_more_than_may_wait_are_told_to_come_again(models: Any, tmp_path: Path) -> None:
    released = threading.Event()
    with InProcess(settings_of(models["EASE"].path, tmp_path, limits=Limits(queue=4, timeout=30.0))) as ours:
        held = blocked(ours, lambda: released.wait(60))
        waiting = [asyncio.run_coroutine_threadsafe(
            ours._ask("POST", "/v1/recommend", {"user": f"u{number}"}, {}), ours.loop) for number in range(9)]
        refused = [each.result(20) for each in waiting if not _waits(each)]
        assert len(refused) == 6
        for status, headers, body in refused:
            assert status == 503
            assert headers[b"retry-after"] == b"1"
            assert json.loads(body)["status"] == 503
        assert ours.ask("GET", "/healthz")[0] == 200
        released.set()
        assert held.result(20)
        assert sorted(each.result(20)[0] for each in waiting) == [200] * 3 + [503] * 6
        assert ours.ask("POST", "/v1/recommend", {})[0] == 200
        assert ours.app.handlers.waiting == 0


def blocked(service: InProcess, work: Any) -> Any:
    """Have the thread that answers do something, and wait until it has begun."""
    begun = threading.Event()

    def do() -> Any:
        begun.set()
        return work()

    future = asyncio.run_coroutine_threadsafe(service.app.handlers.in_engine(do), service.loop)
    assert begun.wait(20)
    return future


def _waits(future: Any) -> bool:
    with contextlib.suppress(TimeoutError):
        future.result(.5)
        return False
    return True


def test_who_waits_too_long_is_told_so(models: Any, tmp_path: Path) -> None:
    with InProcess(settings_of(models["EASE"].path, tmp_path, limits=Limits(timeout=.5))) as ours:
        released = threading.Event()
        held = blocked(ours, lambda: released.wait(20))
        status, said = ours.ask("POST", "/v1/recommend", {})
        assert status == 503
        assert "try again" in said["detail"]
        released.set()
        held.exception(20)
        assert ours.ask("POST", "/v1/recommend", {})[0] == 200


# ---------------------------------------------------------------------------------------------- the disk
def small_files() -> None:
    """No file of the process may be larger than 2 MB: writes fail as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))


def test_a_full_disk(models: Any, tmp_path: Path) -> None:
    """Events are refused, people are answered, and what was acknowledged is there when there is room again."""
    log, kept = tmp_path / "log.db", []
    with serving(models["EASE"].path, "--events", log, folder=tmp_path, preexec=small_files) as full:
        client = Client(full)
        for batch in range(60):
            events = [event("somebody", "item 001", id=f"{batch}-{number}-{'x' * 100}") for number in range(500)]
            status, said = client.ask("POST", "/v1/events", {"events": events})
            if status != 200:
                break
            kept += [each["id"] for each in events]
        assert status == 507, said
        assert str(log) in said["detail"]
        assert kept
        for user in ("somebody", "user 001", "nobody"):
            assert client.ask("POST", "/v1/recommend", {"user": user})[0] == 200
        assert client.ask("GET", "/healthz")[0] == 200
        assert [each["id"] for each in client.ask("GET", "/v1/users/somebody")[1]["events"]] == kept
    with EventLog(log) as again:
        assert [each.id for each in again.of_user("somebody")] == kept
    with serving(models["EASE"].path, "--events", log, folder=tmp_path) as roomy:
        assert Client(roomy).ask("POST", "/v1/events", {"events": [event("somebody", "item 002")]})[1]["accepted"] == 1


def test_a_torn_tail_of_the_log(models: Any, tmp_path: Path) -> None:
    """What a crash left half written behind the last acknowledged event is as if it had never been."""
    log = tmp_path / "log.db"
    with serving(models["EASE"].path, "--events", log, folder=tmp_path) as service:
        client = Client(service)
        for number in range(20):
            assert client.ask("POST", "/v1/events", {"events": [event("a", "item 001", id=f"e{number}")]})[0] == 200
    wal = tmp_path / "log.db-wal"
    assert wal.stat().st_size > 0
    with open(wal, "ab") as file:
        file.write(os.urandom(3000))
    with serving(models["EASE"].path, "--events", log, folder=tmp_path) as service:
        client = Client(service)
        assert [each["id"] for each in client.ask("GET", "/v1/users/a")[1]["events"]] == [f"e{n}" for n in range(20)]
        assert client.ask("POST", "/v1/events", {"events": [event("a", "item 002")]})[0] == 200


def test_a_clock_that_is_set_back(models: Any, tmp_path: Path) -> None:
    """The order of arrival counts, whatever the times say."""
    items = models["SequenceRecommender"].fitted.items.ids[[3, 40, 80, 5, 120]].tolist()
    with InProcess(settings_of(models["SequenceRecommender"].path, tmp_path)) as ours:
        for place, item in enumerate(items):
            assert ours.ask("POST", "/v1/events", {"events": [event("a", item, time=1e9 - 1000 * place)]})[0] == 200
        assert [each["item"] for each in ours.ask("GET", "/v1/users/a")[1]["events"]] == items
        told = ours.ask("POST", "/v1/recommend", {"user": "a"})[1]["items"]
        asked = ours.ask("POST", "/v1/recommend", {"history": items})[1]["items"]
        assert told == asked


def test_a_service_without_a_log(models: Any, tmp_path: Path) -> None:
    with InProcess(settings_of(models["EASE"].path, tmp_path, events=None)) as ours:
        assert ours.ask("POST", "/v1/recommend", {"user": "user 001"})[0] == 200
        for method, path, body in (("POST", "/v1/events", {"events": [event("a", "b")]}), ("PUT", "/v1/items/x", {}),
                                   ("DELETE", "/v1/users/x", None)):
            status, said = ours.ask(method, path, body)
            assert (status, "--events" in said["detail"]) == (409, True)
        assert ours.ask("GET", "/readyz")[0] == 200


# ----------------------------------------------------------------------------------------------- the end
def test_answers_that_run_are_given_before_the_end(models: Any, tmp_path: Path) -> None:
    made = models["EASE"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with serving(made.path, "--events", tmp_path / "log.db", folder=tmp_path,
                 env={"TMPDIR": str(temporary)}) as service:
        body = json.dumps({"history": made.fitted.items.ids[:100].tolist(), "k": 100, "explain": True}).encode()
        request = (b"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   b"Content-Length: %d\r\n\r\n" % len(body)) + body
        connections = [raw_connection(service) for _ in range(8)]
        Client(service).ask("GET", "/healthz")
        for connection in connections:
            connection.sendall(request)
        time.sleep(.05)  # they have been read, and are worked on
        assert service.end() == 0
        for connection in connections:
            with contextlib.closing(connection), connection.makefile("rb") as stream:
                said = stream.read()
                assert said.startswith(b"HTTP/1.1 200")
                assert said.endswith(b"}")
        assert list(temporary.iterdir()) == []
        assert service.errors() == ""
    shutil.rmtree(temporary)
