"""Who asks to be forgotten is: no byte is left, and answers are those of somebody never seen."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.recsys.serving.service import (  # isort: skip
    Client, InProcess, Running, event, files_with, same_list, settings_of)

from recsys import forgetting, loading
from recsys.artifact.versions import Versions
from recsys.data import Interactions
from recsys.events import EventLog
from recsys.models import ALS, EASE
from recsys.serving.deployment import version_of

SECRETS = tuple(f"{hashlib.sha256(bytes([place])).hexdigest()}-who-wants-to-be-forgotten" for place in range(5))
STRANGERS = tuple(f"never seen {number}" for number in range(12))


class Setting(NamedTuple):
    """A service, and what it learned from."""

    service: Running
    fitted: dict[str, Any]
    folders: list[Path]
    start: Any


@pytest.fixture(scope="module")
def setting(models: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """Two variants, each with two versions that know the people, two workers, a log."""
    data, home, temporary = (models.data("implicit"), tmp_path_factory.mktemp("service"),
                             tmp_path_factory.mktemp("temporary"))
    renamed = dict(zip(data.users.ids[:5].tolist(), SECRETS, strict=True))
    users = [renamed.get(user, user) for user in data.users.ids[data.user].tolist()]
    told = Interactions.from_arrays(users, data.items.ids[data.item], times=data.time)
    fitted = {}
    for name, model, older in (("ease", EASE(), EASE(reg=7.0)), ("als", ALS(factors=8), ALS(factors=4))):
        path = home / f"{name}.recsys"
        older.fit(told).save(path)
        model.fit(told).save(home / "new")
        Versions(path).promote(home / "new")
        (home / "new").unlink()
        fitted[name] = model.require("learned")

    def start() -> Running:
        variants = [f"--variant={name}={home / name}.recsys:0.5" for name in fitted]
        return Running(*variants, "--workers", 2, "--events", home / "log.db", folder=home,
                       env={"TMPDIR": str(temporary)})

    running = start()
    made = Setting(running, fitted, [home, temporary], start)
    try:
        yield made
    finally:
        running.kill()


def list_of(client: Any, user: str) -> tuple[str, Any]:
    """The variant, and what a user is shown."""
    status, said = client.insist("POST", "/v1/recommend", {"user": user, "k": 30})
    assert status == 200, said
    return said["variant"], said["items"]


def shown_to(client: Any, user: str) -> int:
    """How many lists are kept of a user."""
    return len(client.insist("GET", f"/v1/users/{user}")[1]["shown"])


def test_no_byte_is_left_and_nothing_is_known(setting: Setting) -> None:
    service, secret = setting.service, SECRETS[0]
    clients = [Client(service) for _ in range(8)]
    for place, client in enumerate(clients):  # so that both workers hold the person
        assert client.insist("POST", "/v1/events", {"events": [event(secret, f"item {place + 1:03d}")]})[0] == 200
        list_of(client, secret)
    service.until(lambda: shown_to(clients[0], secret) == len(clients))
    _, person = clients[0].insist("GET", f"/v1/users/{secret}")
    assert person["known_to_model"]
    assert len(person["events"]) == len(clients)
    assert person["seen_in_training"]
    kept = {path.suffix for path in files_with(setting.folders, secret)}
    assert {".db", ".recsys"} <= kept | {".db" if ".db-wal" in kept else ""}  # the search finds what is there

    status, receipt = clients[0].insist("DELETE", f"/v1/users/{secret}")
    assert status == 200, receipt
    assert files_with(setting.folders, secret) == []
    assert receipt["level"] == "removed only"
    assert secret not in json.dumps(receipt)
    assert (receipt["erased"]["events"], receipt["erased"]["shown"]) == (len(clients), len(clients))
    assert {each["variant"] for each in receipt["erased"]["models"]} == {"ease", "als"}
    assert len(receipt["digest"]) == 64
    for each in receipt["erased"]["models"]:
        assert each["before"] != each["after"] == version_of(setting.folders[0] / f"{each['variant']}.recsys")
        assert len(Versions(setting.folders[0] / f"{each['variant']}.recsys").list()) == 2
    service.until(lambda: all(
        each["version"] in {one["after"] for one in receipt["erased"]["models"]}
        for client in clients for each in client.ask("GET", "/v1/model")[1]["variants"]), timeout=5)


def test_answers_are_those_of_a_stranger_on_every_worker(setting: Setting) -> None:
    """At once, before other workers have loaded the new files; the person's variant is compared with its own."""
    service, secret = setting.service, SECRETS[1]
    clients = [Client(service) for _ in range(8)]
    strangers = dict(list_of(clients[0], stranger) for stranger in STRANGERS)
    assert set(strangers) == {"ease", "als"}
    for client in clients:
        client.insist("POST", "/v1/events", {"events": [event(secret, "item 033")]})
        variant, before = list_of(client, secret)
        assert before != strangers[variant]
    assert clients[0].insist("DELETE", f"/v1/users/{secret}")[0] == 200
    for client in clients:
        variant, after = list_of(client, secret)
        assert after == strangers[variant]
    person = clients[1].insist("GET", f"/v1/users/{secret}")[1]
    assert not person["known_to_model"]
    assert not person["vectors"]
    assert person["events"] == person["seen_in_training"] == []


def test_who_comes_back_starts_anew(setting: Setting) -> None:
    client, secret = Client(setting.service), SECRETS[2]
    assert client.insist("DELETE", f"/v1/users/{secret}")[0] == 200
    done = ["item 010", "item 020", "item 030"]
    for item in done:
        assert client.insist("POST", "/v1/events", {"events": [event(secret, item)]})[1]["accepted"] == 1
    _, said = client.insist("POST", "/v1/recommend", {"user": secret})
    same_list(said, setting.fitted[said["variant"]].recommend(history=done))
    status, receipt = client.insist("DELETE", f"/v1/users/{secret}")
    assert status == 200
    assert receipt["erased"]["events"] == 3
    for each in receipt["erased"]["models"]:
        assert each["before"] == each["after"]


def test_a_stranger_gets_a_receipt_of_nothing(setting: Setting) -> None:
    status, receipt = Client(setting.service).insist("DELETE", "/v1/users/nobody ever")
    assert status == 200
    assert (receipt["erased"]["events"], receipt["erased"]["shown"]) == (0, 0)


def test_others_keep_their_answers(setting: Setting) -> None:
    client = Client(setting.service)
    for user in ("user 050", "user 060", "user 070"):
        _, said = client.insist("POST", "/v1/recommend", {"user": user})
        same_list(said, setting.fitted[said["variant"]].recommend(user))


def test_an_erasure_that_is_killed_is_done_by_the_next(setting: Setting) -> None:
    service, secret, rng = setting.service, SECRETS[3], random.Random(0)
    client = Client(service)
    for trial in range(3):
        assert client.insist("POST", "/v1/events", {"events": [event(secret, f"item {trial + 1:03d}")]})[0] == 200

        def erase() -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                Client(service).ask("DELETE", f"/v1/users/{secret}")

        asking = threading.Thread(target=erase)
        asking.start()
        time.sleep(rng.random() * .1)
        for pid in service.workers():
            os.kill(pid, signal.SIGKILL)
        asking.join(60)
        assert client.insist("DELETE", f"/v1/users/{secret}")[0] == 200
        assert files_with(setting.folders, secret) == []


def test_nothing_comes_back_with_a_restart(setting: Setting) -> None:
    secret = SECRETS[4]
    assert Client(setting.service).insist("DELETE", f"/v1/users/{secret}")[0] == 200
    assert setting.service.end() == 0
    assert files_with(setting.folders, secret) == []
    again = setting.start()
    try:
        client = Client(again)
        assert files_with(setting.folders, secret) == []
        assert not client.insist("GET", f"/v1/users/{secret}")[1]["known_to_model"]
        strangers = dict(list_of(client, stranger) for stranger in STRANGERS)
        variant, after = list_of(client, secret)
        assert after == strangers[variant]
    finally:
        again.kill()


def test_a_list_that_is_still_to_be_kept_does_not_bring_a_person_back(models: Any, tmp_path: Path) -> None:
    """Another worker erases somebody between the answer and the writing of what was shown."""
    kept: list[Any] = []
    with InProcess(settings_of(models["EASE"].path, tmp_path, log_shown=True)) as service:
        lane = service.app.handlers._writes
        later, lane.post = lane.post, kept.append
        for user in ("user 001", "user 002"):
            assert service.ask("POST", "/v1/recommend", {"user": user})[0] == 200
        with EventLog(tmp_path / "log.db") as other:
            other.forget("user 001")
            for function in kept:
                later(function)
            service.run(service.app.handlers.write(lambda log: log.last_seq()))
            assert [row.user for row in other.shown()] == ["user 002"]
        lane.post = later
        assert service.ask("POST", "/v1/recommend", {"user": "user 001"})[0] == 200
        assert len(service.ask("GET", "/v1/users/user 001")[1]["shown"]) <= 1


def test_integer_ids(models: Any, tmp_path: Path) -> None:
    made = models["EASE", "rated"]
    path = tmp_path / "model.recsys"
    path.write_bytes(made.path.read_bytes())
    user = made.fitted.users.ids[3].item()
    with InProcess(settings_of(path, tmp_path)) as service:
        service.ask("POST", "/v1/events", {"events": [event(user, 5)]})
        never = service.ask("POST", "/v1/recommend", {"user": 10**9})[1]["items"]
        assert service.ask("POST", "/v1/recommend", {"user": user})[1]["items"] != never
        status, receipt = service.ask("DELETE", f"/v1/users/{user}")
        assert (status, receipt["erased"]["events"]) == (200, 1)
        assert service.ask("POST", "/v1/recommend", {"user": user})[1]["items"] == never
        assert user not in service.engine.deployment.first.fitted.users.ids
        assert service.ask("DELETE", "/v1/users/seven")[0] == 422


def test_the_receipt_is_a_digest_of_what_it_says(models: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.recsys"
    path.write_bytes(models["Popular"].path.read_bytes())
    with InProcess(settings_of(path, tmp_path)) as service:
        _, receipt = service.ask("DELETE", "/v1/users/user 001")
    said = [receipt[name] for name in ("receipt", "level", "says", "erased", "time")]
    assert hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest() == receipt["digest"]
    assert np.isfinite(receipt["time"])


def test_an_erasure_is_finished_beside_the_service(models: Any, tmp_path: Path) -> None:
    """The receipt says how far it went; learning again goes all the way, and the service takes the new file."""
    path = tmp_path / "model.recsys"
    path.write_bytes(models["EASE"].path.read_bytes())
    with InProcess(settings_of(path, tmp_path)) as service:
        _, receipt = service.ask("DELETE", "/v1/users/user 001")
        assert receipt["level"] == "removed only"
        assert loading.manifest(path)["forgotten"] == [{"receipt": receipt["receipt"], "level": "removed only"}]
        with EventLog(tmp_path / "log.db") as log:
            told = forgetting.forget(path, log=log, finishing=True)
        assert told["level"] == "exact"
        assert loading.manifest(path)["forgotten"][0] == {"receipt": receipt["receipt"], "level": "exact"}
        end = time.monotonic() + 20
        while service.ask("GET", "/v1/model")[1]["variants"][0]["version"] != version_of(path):
            assert time.monotonic() < end, "the service has not taken the new file"
            time.sleep(0.05)
        _, stranger = service.ask("DELETE", "/v1/users/nobody ever")
        assert stranger["level"] == "not in it"


def test_a_damaged_file_is_told_and_the_log_is_erased(models: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.recsys"
    shutil.copy(models["EASE"].path, path)
    with InProcess(settings_of(path, tmp_path)) as service:
        assert service.ask("POST", "/v1/events", {"events": [{"user": "user 001", "item": "item 001", "type": "click"}]}
                           )[0] == 200
        os.truncate(shutil.copy(path, tmp_path / "cut"), 9000)
        os.replace(tmp_path / "cut", path)
        status, said = service.ask("DELETE", "/v1/users/user 001")
        assert status == 409
        assert "send this again" in said["detail"]
        assert service.ask("GET", "/v1/users/user 001")[1]["events"] == []
        shutil.copy(models["EASE"].path, tmp_path / "good")
        os.replace(tmp_path / "good", path)
        assert service.ask("DELETE", "/v1/users/user 001")[0] == 200
