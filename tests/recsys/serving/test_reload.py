"""New model files while people ask: no answer fails, each is that of its version, a bad file changes nothing."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.recsys.serving.service import (  # isort: skip
    DEEP, Checker, Client, InProcess, Running, event, serving, settings_of)

from recsys.cli import main
from recsys.errors import ArtifactError
from recsys.events import Event, EventLog, Item
from recsys.serving.deployment import Deployment, version_of
from recsys.serving.settings import Settings, Variant

RELOADS = 50 if DEEP else 8


class Setting(NamedTuple):
    """A service, the file it answers from, and the files that take turns there."""

    service: Running
    path: Path
    sources: list[Path]
    checker: Checker

    def put(self, source: Path) -> None:
        """Move a copy of a file into the place, in one step."""
        becoming = self.path.with_suffix(".becoming")
        shutil.copy(source, becoming)
        becoming.replace(self.path)


@pytest.fixture(scope="module")
def setting(models: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """Two workers, whose file is EASE first."""
    folder = tmp_path_factory.mktemp("reload")
    both = [models["EASE"], models["ItemKNN"]]
    path = Path(shutil.copy(both[0].path, folder / "model.recsys"))
    with serving(path, "--workers", 2, "--events", folder / "log.db", folder=folder) as running:
        yield Setting(running, path, [made.path for made in both],
                      Checker({version_of(made.path): made.fitted for made in both}, both[0].data))


def test_reloads_under_load(setting: Setting) -> None:
    """People do things and ask meanwhile; every answer is right for the version that it names."""
    service, ended, told = setting.service, threading.Event(), list[str]()

    def ask(thread: int) -> None:
        client, done, user, number = Client(service), [], f"reader {thread}", 0
        while not ended.is_set():
            number += 1
            if number % 10 == 1:
                item = f"item {(37 * number + thread) % 190 + 1:03d}"
                assert client.ask("POST", "/v1/events", {"events": [event(user, item)]})[0] == 200
                done.append(item)
            status, said = client.ask("POST", "/v1/recommend", {"user": user}, {"x-request-id": f"{thread}-{number}"})
            assert status == 200, said
            setting.checker.check(said, f"{thread}-{number}", user, done)
            told.append(said["model"]["version"])

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask, thread) for thread in range(3)]
        try:
            client = Client(service)
            for number in range(1, RELOADS + 1):
                source = setting.sources[number % 2]
                setting.put(source)
                status, said = client.ask("POST", "/v1/reload", {"verify": number % 3 > 0})
                assert status == 200, said
                assert [each["version"] for each in said["variants"]] == [version_of(source)]
                service.until(lambda: {*told[-9:]} == {version_of(setting.path)} or any(each.done() for each in asking))
        finally:
            ended.set()
        for each in asking:
            each.result(60)
    assert set(told) == {version_of(source) for source in setting.sources}


def test_all_workers_take_the_new_file(setting: Setting) -> None:
    clients = [Client(setting.service) for _ in range(8)]
    for source in reversed(setting.sources):
        setting.put(source)
        assert clients[0].ask("POST", "/v1/reload", {})[0] == 200
        assert clients[0].ask("GET", "/v1/model")[1]["variants"][0]["version"] == version_of(source)
        setting.service.until(lambda: {client.ask("POST", "/v1/recommend", {})[1]["model"]["version"]
                                       for client in clients} == {version_of(setting.path)}, timeout=3)


def garbage(good: Path, bad: Path) -> None:
    bad.write_bytes(b"no model at all" * 100)


def nothing(good: Path, bad: Path) -> None:
    bad.write_bytes(b"")


def half(good: Path, bad: Path) -> None:
    bad.write_bytes(good.read_bytes()[:good.stat().st_size // 2])


def other_archive(good: Path, bad: Path) -> None:
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("letter.txt", "dear reader")


def no_manifest(good: Path, bad: Path) -> None:
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("manifest.json", "{}")


def flipped(good: Path, bad: Path) -> None:
    raw = bytearray(good.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    bad.write_bytes(raw)


@pytest.mark.parametrize("damage", [garbage, nothing, half, other_archive, no_manifest, flipped])
def test_a_bad_file_keeps_the_old_model(setting: Setting, damage: Callable[[Path, Path], None], tmp_path: Path) -> None:
    client = Client(setting.service)
    setting.put(setting.sources[0])
    assert client.ask("POST", "/v1/reload", {})[0] == 200
    damage(setting.sources[1], tmp_path / "bad")
    setting.put(tmp_path / "bad")
    status, said = client.ask("POST", "/v1/reload", {})
    assert status == 409
    assert str(setting.path) in said["detail"]
    assert said["detail"].endswith(".")
    for number, each in enumerate([client, *(Client(setting.service) for _ in range(4))]):
        _, answer = each.ask("POST", "/v1/recommend", {"user": "user 020"}, {"x-request-id": f"b{number}"})
        setting.checker.check(answer, f"b{number}", "user 020", [])
        assert answer["model"]["version"] == version_of(setting.sources[0])
    setting.put(setting.sources[0])
    assert client.ask("POST", "/v1/reload", {})[0] == 200


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files have no names on this system")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_starts_again_takes_the_file_that_was_accepted(models: Any, tmp_path: Path, workers: int) -> None:
    """Not the one at its path, if that has been refused, and whatever a reload took before."""
    sources = [models["EASE"].path, models["ItemKNN"].path]
    path = Path(shutil.copy(sources[0], tmp_path / "model.recsys"))

    def versions() -> set[str]:
        return {Client(service).insist("POST", "/v1/recommend", {})[1]["model"]["version"] for _ in range(6)}

    def kill() -> None:
        before = service.workers()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        service.until(lambda: len(service.workers()) == workers and not {*before} & {*service.workers()})

    with serving(path, "--workers", workers, "--events", tmp_path / "log.db", folder=tmp_path) as service:
        holder = Setting(service, path, sources, Checker({}, models["EASE"].data))
        for accepted in (sources[0], sources[1]):
            if accepted is sources[1]:
                holder.put(accepted)
                assert Client(service).ask("POST", "/v1/reload", {})[0] == 200
            version = version_of(accepted)
            service.until(lambda version=version: versions() == {version})
            garbage(path, tmp_path / "bad")
            holder.put(tmp_path / "bad")
            assert Client(service).ask("POST", "/v1/reload", {})[0] == 409
            for again in range(2):
                kill()
                assert versions() == {version}, again
            path.unlink()
            kill()
            assert versions() == {version}


def test_a_missing_file_keeps_the_old_model(setting: Setting) -> None:
    client = Client(setting.service)
    setting.path.unlink()
    status, said = client.ask("POST", "/v1/reload", {})
    assert (status, str(setting.path) in said["detail"]) == (409, True)
    assert client.ask("POST", "/v1/recommend", {"user": "user 021"})[0] == 200
    setting.put(setting.sources[0])
    assert client.ask("POST", "/v1/reload", {})[0] == 200


def test_a_worker_that_starts_later_takes_the_file_of_now(setting: Setting) -> None:
    client = Client(setting.service)
    setting.put(setting.sources[1])
    assert client.ask("POST", "/v1/reload", {})[0] == 200
    for pid in setting.service.workers():
        os.kill(pid, signal.SIGKILL)
    setting.service.until(lambda: len(setting.service.workers()) == 2)
    for _ in range(4):
        _, said = Client(setting.service).insist("POST", "/v1/recommend", {})
        assert said["model"]["version"] == version_of(setting.sources[1])


def test_the_command(setting: Setting, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setting.put(setting.sources[0])
    assert main(["reload", "--url", setting.service.url]) == 0
    assert version_of(setting.sources[0]) in "".join(capsys.readouterr())
    (tmp_path / "bad").write_bytes(b"nothing")
    setting.put(tmp_path / "bad")
    assert main(["reload", "--url", setting.service.url]) == 2
    assert str(setting.path) in capsys.readouterr().err
    setting.put(setting.sources[0])
    assert main(["reload", "--url", setting.service.url, "--variant", "nobody"]) == 2
    assert "default" in capsys.readouterr().err
    assert main(["reload", "--url", "http://127.0.0.1:9"]) == 2
    assert "is it running" in capsys.readouterr().err
    assert main(["reload", "--url", "file:///etc/passwd"]) == 2


def test_one_variant_alone(models: Any, tmp_path: Path) -> None:
    paths = {name: Path(shutil.copy(models["EASE"].path, tmp_path / name)) for name in ("one", "two")}
    with InProcess(settings_of([Variant(name, str(path), .5) for name, path in paths.items()], tmp_path)) as service:
        for path in paths.values():
            shutil.copy(models["ItemKNN"].path, path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)
        assert service.ask("POST", "/v1/reload", {"variant": "three"})[0] == 422
        status, said = service.ask("POST", "/v1/reload", {"variant": "two"})
        assert status == 200
        assert [each["name"] for each in said["variants"]] == ["EASE", "ItemKNN"]


def test_a_model_of_another_kind_of_ids_is_refused(models: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.recsys"
    shutil.copy(models["EASE"].path, path)
    before = Deployment.load(Settings((Variant("default", str(path)),)))
    shutil.copy(models["EASE", "rated"].path, path)
    with pytest.raises(ArtifactError, match="users are integers, and those of the model that answers are strings"):
        before.reloaded()


def test_variants_of_different_kinds_of_ids_are_refused(models: Any) -> None:
    both = [Variant("a", str(models["EASE"].path), .5), Variant("b", str(models["EASE", "rated"].path), .5)]
    with pytest.raises(ArtifactError, match="users are integers, and those of the model that answers are strings"):
        Deployment.load(Settings(tuple(both)))


@pytest.mark.parametrize("put", ["event", "item", "both kinds"])
def test_a_log_of_another_kind_of_ids_is_refused_at_the_start(models: Any, tmp_path: Path, put: str) -> None:
    """What came last decides: the ids of a model before may stand in a log."""
    with EventLog(tmp_path / "log.db") as log:
        if put == "item":
            log.put_item(Item(7, "A title", None, {}, None, True))
        else:
            log.append([Event("e1", 7, "item 003" if put == "event" else 8, "click", None, 1.7e9, None)])
    if put == "both kinds":
        with EventLog(tmp_path / "log.db") as log:
            log.append([Event("e2", "user 004", "item 003", "click", None, 1.7e9, None)])
        with InProcess(settings_of(models["EASE"].path, tmp_path)) as service:
            assert service.ask("POST", "/v1/recommend", {"user": "user 004"})[0] == 200
        return
    what = "users" if put == "event" else "items"
    with pytest.raises(ArtifactError, match=rf"EASE-implicit.recsys: its {what} are strings, and those of the log "
                                            rf"\S+log.db are integers, such as 7; train it"):
        InProcess(settings_of(models["EASE"].path, tmp_path))
