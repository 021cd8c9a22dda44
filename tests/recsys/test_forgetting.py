"""A model's files forget people: no byte is left, whatever is killed, and the receipt says what was done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys import cli, forgetting, loading
from recsys.artifact.versions import Versions
from recsys.data import IdMap, Interactions
from recsys.errors import DataError, ParameterError, UnknownIdError, UnsupportedError
from recsys.estimator import storing
from recsys.events import Event, EventLog, Shown
from recsys.models import ALS, EASE, ItemKNN, MatrixFactorization, Popular, SASRec, TrustKNN

ANN, LONG = "ann-whose-name-is-nowhere-else-3c9e", 0x5A17C3D2
KNOWN = "u07"


def world(integers: bool = False, users: int = 40) -> Interactions:
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, users, 600), rng.integers(0, 30, 600)
    names: Any = [LONG if i == 5 else 1000 + i for i in range(users)] if integers else [
        ANN if i == 5 else f"u{i:02d}" for i in range(users)]
    data = Interactions.from_arrays(np.array(names)[user], np.array([f"i{i:02d}" for i in range(30)])[item])
    return data.clean(duplicates="first")


DATA = world()


def without(data: Interactions, *gone: Any) -> Interactions:
    ids = IdMap([user for user in data.users.ids.tolist() if user not in gone])
    return data.reindex(ids, data.items, "skip")


def holders(folder: Path, user: str | int) -> list[str]:
    """Files below a folder that hold an id, as it lies or in a packed member, in any encoding."""
    if isinstance(user, str):
        codes = [user.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")]
    else:
        codes = [str(user).encode(), user.to_bytes(4, "little"), user.to_bytes(4, "big")]
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            parts = [path.read_bytes()]
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    parts += [archive.read(name) for name in archive.namelist()]
            if any(code in part for code in codes for part in parts):
                found.append(path.name)
    return found


def run(*arguments: Any) -> int:
    return cli.main([str(each) for each in arguments])


# ---------------------------------------------------------------------------------------------- the files

@pytest.mark.parametrize("integers", [False, True], ids=["texts", "integers"])
@pytest.mark.parametrize("model", [EASE(reg=20.0), ALS(factors=3, epochs=1), SASRec(epochs=1, factors=4), TrustKNN(),
                                   Popular()], ids=lambda model: type(model).__name__)
def test_no_byte_of_them_is_left(model: Any, integers: bool, tmp_path: Path) -> None:
    data, user = world(integers), LONG if integers else ANN
    model.clone().fit(model.with_blanks(data)).save(tmp_path / "m")
    assert holders(tmp_path, user) == ["m"]
    receipt = forgetting.forget(tmp_path / "m", [user])
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    assert holders(tmp_path, user) == []
    assert loading.load(tmp_path / "m").users == without(data, user).users


def test_all_versions_forget_and_each_says_how(tmp_path: Path) -> None:
    path = tmp_path / "m"
    EASE(reg=20.0).fit(DATA).save(path)
    versions = Versions(path)
    ItemKNN().fit(DATA).save(tmp_path / "next")
    versions.promote(tmp_path / "next")
    Popular().fit(without(DATA, ANN)).save(tmp_path / "next")
    versions.promote(tmp_path / "next")
    (tmp_path / "next").unlink()
    before = {version.number: version.sha256 for version in versions.list()}
    receipt = forgetting.forget(path, [ANN])
    assert holders(tmp_path, ANN) == []
    assert [(each["model"], each["level"], each["people"]) for each in receipt["files"]] == [
        ("EASE", "exact", 1), ("ItemKNN", "exact", 1), ("Popular", "not in it", 0)]
    assert [each["before"] for each in receipt["files"]] == list(before.values())
    assert [each["after"] for each in receipt["files"]] == [version.sha256 for version in versions.list()]
    assert versions.current().number == 3
    assert receipt["level"] == "exact"
    versions.rollback("2")
    assert ANN not in loading.load(path).users
    assert forgetting.check(receipt, path).holds


def test_the_file_is_that_of_a_training_without_them(tmp_path: Path) -> None:
    EASE(reg=20.0).fit(DATA).save(tmp_path / "m")
    forgetting.forget(tmp_path / "m", [ANN])
    found, wanted = loading.load(tmp_path / "m"), EASE(reg=20.0).fit(without(DATA, ANN))
    assert np.abs(found.item_weights - wanted.item_weights).max() <= 1e-5
    assert found.recommend(KNOWN, k=5).items.tolist() == wanted.recommend(KNOWN, k=5).items.tolist()


def test_files_without_histories_need_the_data(tmp_path: Path) -> None:
    ALS(factors=3, epochs=1).fit(DATA).save(tmp_path / "m", seen=False)
    with pytest.raises(UnsupportedError, match=r"m: ALS.forget: the model does not hold all"):
        forgetting.forget(tmp_path / "m", [ANN])
    assert holders(tmp_path, ANN) == ["m"]
    receipt = forgetting.forget(tmp_path / "m", [ANN], data=DATA)
    assert (receipt["level"], receipt["files"][0]["events"]) == ("retrained", -1)
    model = loading.load(tmp_path / "m")
    assert model.seen is None
    assert np.array_equal(model.item_factors, ALS(factors=3, epochs=1).fit(without(DATA, ANN)).item_factors)


def test_a_removal_alone_is_finished_later(tmp_path: Path) -> None:
    """As after an erasure by a service, whose own files are written in this way."""
    path = tmp_path / "m"
    ItemKNN().fit(DATA).save(path)
    assert storing.forget(path, [ANN], receipt="of a service") == 1
    first = forgetting.forget(path, [KNOWN], removed_only=True)
    assert (first["level"], first["files"][0]["tolerance"]) == ("removed only", None)
    assert "has still learned of them" in first["says"]
    receipt = forgetting.forget(path, finishing=True)
    assert (receipt["level"], receipt["files"][0]["people"]) == ("exact", 0)
    assert [each["level"] for each in loading.manifest(path)["forgotten"]] == ["exact"] * 3
    found, wanted = loading.load(path), ItemKNN().fit(without(DATA, ANN, KNOWN))
    assert np.array_equal(found.near.data, wanted.near.data)
    assert np.array_equal(found.item_counts, wanted.item_counts)
    assert forgetting.check(first, path).holds
    with pytest.raises(UnknownIdError, match="nothing to finish"):
        forgetting.forget(path, finishing=True)


def test_a_removal_alone_is_finished_from_the_data(tmp_path: Path) -> None:
    path, rated = tmp_path / "m", replace(DATA, value=np.arange(len(DATA)) % 5 + 1.0)
    twice = replace(rated, value=rated.value.astype(np.float32))
    MatrixFactorization(factors=2, epochs=1).fit(twice).save(path, seen=False)
    forgetting.forget(path, [ANN], removed_only=True)
    forgetting.forget(path, data=twice, finishing=True)
    wanted = MatrixFactorization(factors=2, epochs=1).fit(without(twice, ANN))
    assert np.array_equal(loading.load(path).item_factors, wanted.item_factors)


def test_the_log_is_erased_too_and_the_service_told(tmp_path: Path) -> None:
    ItemKNN().fit(DATA).save(tmp_path / "m")
    with EventLog(tmp_path / "log.db") as log:
        log.append([Event("e1", ANN, "i01", "click", None, 1.0, None)])
        log.append_shown([Shown("r1", 1.0, ANN, "all", "ItemKNN", ["i01"], [1.0])])
        generation = log.generation()
        receipt = forgetting.forget(tmp_path / "m", [ANN], log=log)
        assert receipt["log"] == {"events": 1, "shown": 1}
        assert log.is_forgotten(ANN)
        assert log.generation() == generation + 1
        log.append([Event("e2", "only in the log", "i01", "click", None, 1.0, None)])
        told = forgetting.forget(tmp_path / "m", ["only in the log"], log=log)
        assert (told["level"], told["log"]["events"]) == ("not in it", 1)
    assert holders(tmp_path, ANN) == []


def test_whoever_maps_the_old_file_goes_on_with_it(tmp_path: Path) -> None:
    path = tmp_path / "m"
    EASE(reg=20.0).fit(DATA).save(path)
    mapped = storing.load(path, mmap=True)
    before = mapped.recommend(ANN, k=5)
    forgetting.forget(path, [ANN])
    after = mapped.recommend(ANN, k=5)
    assert (after.items.tolist(), after.scores.tobytes()) == (before.items.tolist(), before.scores.tobytes())
    assert ANN not in storing.load(path, mmap=True).users


def test_a_killed_process_leaves_whole_files_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "m"
    for place in range(4):
        EASE(reg=20.0 + place).fit(DATA).save(tmp_path / "next")
        Versions(path).promote(tmp_path / "next") if place else os.replace(tmp_path / "next", path)
    (tmp_path / "next").unlink(missing_ok=True)
    program = ("import sys, time; from recsys import forgetting, loading; from recsys.estimator import storing\n"
               "whole = storing.save\n"
               "def slow(fitted, target, **more):\n"
               "    print('writing', flush=True); whole(fitted, target, **more); print('written', flush=True)\n"
               "    time.sleep(0.05)\n"
               "storing.save = slow\n"
               f"forgetting.forget({str(path)!r}, [{ANN!r}])\n")
    folder = {**os.environ, "PYTHONPATH": str(Path(recsys.__file__).parents[1])}
    for lines in (1, 2, 3):  # killed while it writes, when it has written, and while it writes the next
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=folder)
        assert process.stdout is not None
        for _ in range(lines):
            assert process.stdout.readline()
        time.sleep(0.002 * lines)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for version in Versions(path).list():
            storing.load(version.path)
        storing.load(path)
    receipt = forgetting.forget(path, [ANN])
    assert forgetting.check(receipt, path, [ANN]).holds
    assert holders(tmp_path, ANN) == []
    assert len(Versions(path).list()) == 4


def test_what_was_stopped_between_two_steps_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old version lies beside the new one then, and the new one is found again by its bytes."""
    path = tmp_path / "m"
    ItemKNN().fit(DATA).save(path)
    Popular().fit(DATA).save(tmp_path / "next")
    Versions(path).promote(tmp_path / "next")
    (tmp_path / "next").unlink()
    unlink = Path.unlink

    def stopped(file: Path, missing_ok: bool = False) -> None:
        if file.suffix == ".recsys":
            raise KeyboardInterrupt
        unlink(file, missing_ok)

    monkeypatch.setattr(Path, "unlink", stopped)
    with pytest.raises(KeyboardInterrupt):
        forgetting.forget(path, [ANN])
    monkeypatch.undo()
    assert len(Versions(path).list()) == 3
    receipt = forgetting.forget(path, [ANN])
    assert [version.number for version in Versions(path).list()] == [1, 2]
    assert holders(tmp_path, ANN) == []
    assert [each["level"] for each in receipt["files"]] == ["exact", "exact"]
    assert forgetting.check(receipt, path, [ANN]).holds
    assert not (Versions(path).folder / "mark").exists()


# --------------------------------------------------------------------------------------------- receipts

@pytest.fixture
def forgotten(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    ItemKNN().fit(DATA).save(tmp_path / "m")
    return tmp_path / "m", forgetting.forget(tmp_path / "m", [ANN])


def test_a_receipt_is_checked(forgotten: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    path, receipt = forgotten
    assert forgetting.check(json.loads(json.dumps(receipt)), path, [ANN]).holds
    assert not forgetting.check({**receipt, "level": "retrained"}, path).holds
    assert "knows a user" in forgetting.check(receipt, path, [KNOWN]).why
    later = forgetting.forget(path, [KNOWN])
    assert forgetting.check(receipt, path).holds  # a later file of the same model
    assert forgetting.check(later, path).holds
    ItemKNN().fit(without(DATA, ANN)).save(path)
    assert "not one that the receipt speaks of" in forgetting.check(receipt, path).why
    for other in ({}, [], {"kind": "x"}):
        with pytest.raises(DataError, match="no receipt"):
            forgetting.check(other, path)  # type: ignore[arg-type]


def test_nothing_is_done_for_strangers(tmp_path: Path) -> None:
    ItemKNN().fit(DATA).save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    for users in (["nobody"], [7]):
        with pytest.raises(UnknownIdError) as caught:
            forgetting.forget(tmp_path / "m", users)
        assert str(users[0]) not in str(caught.value).replace(str(tmp_path), "")
    with pytest.raises(ParameterError, match="users is empty"):
        forgetting.forget(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == before
    receipt = forgetting.forget(tmp_path / "m", ["nobody", ANN, ANN])
    assert (receipt["asked"], receipt["files"][0]["people"]) == (2, 1)


# ------------------------------------------------------------------------------------------ command line

def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, receipt = tmp_path / "m", tmp_path / "r.json"
    ItemKNN().fit(DATA).save(path)
    assert run("forget", path, "--user", ANN, "--user", "u01", "--receipt", receipt, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(receipt.read_text())
    assert told["files"][0]["people"] == 2
    assert run("forget", path, "--check", receipt, "--user", ANN) == 0
    assert "holds" in capsys.readouterr().out
    assert run("forget", path, "--user", "u02") == 0
    assert "exact" in capsys.readouterr().out
    assert run("forget", path, "--check", receipt, "--user", KNOWN) == 2
    assert "knows a user" in capsys.readouterr().err
    for wrong, why in ((["--user", ANN], "neither the model nor a version"), ([], "--user ID"),
                       (["--finish"], "nothing to finish"), (["--finish", "--removed-only"], "leave one out"),
                       (["--check", path], "not a JSON file")):
        assert run("forget", path, *wrong) == 2
        said = capsys.readouterr().err
        assert why in said, said
        assert said.count("\n") == 1


def test_the_command_names_the_flag_that_accepts_less(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, rows = tmp_path / "m", tmp_path / "data.csv"
    rows.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in zip(
        DATA.users.ids[DATA.user], DATA.items.ids[DATA.item], strict=True)))
    assert run("train", "--data", rows, "--model", "ALS", "--set", "factors=3", "--out", path, "--no-seen") == 0
    assert run("forget", path, "--user", ANN) == 2
    said = capsys.readouterr().err
    assert "(--data)" in said
    assert "--removed-only" in said
    assert run("forget", path, "--user", ANN, "--removed-only") == 0
    assert run("forget", path, "--user", KNOWN, "--data", rows, "--finish") == 0
    assert "itself still names" in capsys.readouterr().out
    assert loading.manifest(path)["data"]["users"] == 38


def test_what_is_kept_of_a_person_is_given_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, log_path = tmp_path / "m", tmp_path / "log.db"
    ALS(factors=3, epochs=1).fit(DATA).save(path)
    with EventLog(log_path) as log:
        log.append([Event("e1", ANN, "i01", "click", 2.0, 1.0, None)])
    assert run("export", path, "--user", ANN, "--events", log_path, "--json", "--out", tmp_path / "ann.json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "ann.json").read_text())
    assert told["user"] == ANN
    assert {event["item"] for event in told["model"]["events"]} == set(
        DATA.items.ids[DATA.item[DATA.users.ids[DATA.user] == ANN]].tolist())
    assert len(told["model"]["learned"]["vector"]) == 3
    assert told["model"]["versions"] == [Versions(path).current().name]
    assert [event["item"] for event in told["log"]["events"]] == ["i01"]
    assert run("export", path, "--user", ANN) == 0
    assert run("export", path, "--user", "nobody") == 2
    assert "the model does not know this user" in capsys.readouterr().err
