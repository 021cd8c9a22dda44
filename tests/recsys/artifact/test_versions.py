"""Versions: always a whole model in place, every one that ever was kept, whatever is killed where."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from recsys.artifact import container, versions
from recsys.artifact.versions import Versions
from recsys.errors import ArtifactError, ParameterError


def write(path: Path, word: str) -> Path:
    """A model file that holds a word."""
    container.write(path, {"class": "X", "parameters": {}, "data": {}, "word": word}, {"a": np.zeros(3)})
    return path


def word(path: Path) -> str:
    return str(container.read(path)[0]["word"])


def replaced(old: str, new: str):
    """A rewriting of files that hold a word."""
    def function(source: Path, target: Path) -> None:
        if old in word(source):
            write(target, word(source).replace(old, new))
    return function


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model.recsys", "one")


@pytest.fixture(params=["links", "copies"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file system with links, and one without."""
    if request.param == "copies":
        def none(*given: object, **options: object) -> None:
            raise OSError(errno.EPERM, "no links here")
        monkeypatch.setattr(versions.os, "link", none)
        monkeypatch.setattr("minidl.files._unnamed", lambda folder: None)  # whose naming is a link
    return str(request.param)


def test_a_file_that_was_never_promoted_is_version_1_and_nothing_is_written(model):
    found = Versions(model).current()
    assert (found.number, found.path, found.name) == (1, model, f"1-{found.sha256[:8]}")
    assert os.listdir(model.parent) == [model.name]


def test_promote_rollback_prune(model, tmp_path, links):
    kept = Versions(model)
    for text in ("two", "three", "four"):
        assert kept.promote(write(tmp_path / "new", text)) == kept.current()
        assert word(model) == text
    assert [(v.number, word(v.path)) for v in kept.list()] == [(1, "one"), (2, "two"), (3, "three"), (4, "four")]
    assert kept.current().path.samefile(model) is (links == "links")
    assert kept.rollback().number == 3
    assert kept.rollback("1").number == 1
    assert kept.rollback(kept.list()[1].name).number == 2
    assert word(model) == "two"
    named = {v.answers: v.number for v in kept.list()}
    assert named == {container.version_of(v.path): v.number for v in kept.list()}
    for name, number in named.items():
        assert kept.rollback(name).number == number
    kept.rollback("2")
    assert [v.number for v in kept.prune(1)] == [1, 3]
    assert [v.number for v in kept.list()] == [2, 4]
    with pytest.raises(ArtifactError, match=r"no version before 2-.*; kept are: 2-\w{8}, 4-\w{8}\."):
        kept.rollback()
    with pytest.raises(ArtifactError, match="no version '7'"):
        kept.rollback("7")
    with pytest.raises(ParameterError, match="keep must be an integer >= 1"):
        kept.prune(0)


def test_the_same_contents_are_one_version(model, tmp_path):
    kept = Versions(model)
    kept.promote(write(tmp_path / "new", "two"))
    assert kept.promote(write(tmp_path / "again", "one")).number == 1
    assert kept.promote(model).number == 1
    assert len(kept.list()) == 2
    assert sorted(os.listdir(kept.folder)) == sorted(["lock", *(v.path.name for v in kept.list())])


def test_what_was_put_in_its_place_by_others_is_kept_too(model, tmp_path):
    kept = Versions(model)
    kept.promote(write(tmp_path / "new", "two"))
    write(model, "by train")
    assert kept.current().number == 3
    assert kept.current().path == model
    assert kept.rollback().number == 2
    assert [word(v.path) for v in kept.list()] == ["one", "two", "by train"]


def test_a_foreign_file_or_a_damaged_version_is_refused(model, tmp_path):
    kept = Versions(model)
    (tmp_path / "text").write_text("no model")
    with pytest.raises(ArtifactError, match="not a model file"):
        kept.promote(tmp_path / "text")
    assert os.listdir(tmp_path) == ["model.recsys", "text"] or not kept.folder.exists()
    kept.promote(write(tmp_path / "new", "two"))
    first = kept.list()[0].path
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="checksum differs"):
        kept.rollback()
    assert word(model) == "two"
    with pytest.raises(FileNotFoundError):
        Versions(tmp_path / "absent").current()


def test_rewriting_reaches_every_version_and_the_current_one(model, tmp_path, links):
    kept = Versions(model)
    assert len(kept.rewrite(replaced("one", "1"))) == 1  # without ever a promotion
    assert (word(model), kept.list()) == ("1", [])
    for text in ("1 ann", "2", "3 ann"):
        kept.promote(write(tmp_path / "new", text))
    kept.rollback("2")
    made = [v.made for v in kept.list()]
    changed = kept.rewrite(replaced(" ann", ""))
    assert [name.partition("-")[0] for pair in changed for name in pair] == ["2", "2", "4", "4"]
    assert [word(v.path) for v in kept.list()] == ["1", "1", "2", "3"]
    assert (word(model), kept.current().number) == ("1", 2)
    assert [v.made for v in kept.list()] == pytest.approx(made, abs=1e-3)
    files = [path for path in kept.folder.iterdir() if path.name != "lock"] + [model]
    assert not any(b"ann" in path.read_bytes() for path in files)
    assert kept.rewrite(replaced(" ann", "")) == []


def test_a_link_to_a_model_stands_for_it(model, tmp_path):
    (tmp_path / "alias").symlink_to(model)
    Versions(tmp_path / "alias").promote(write(tmp_path / "new", "two"))
    assert (tmp_path / "alias").is_symlink()
    assert word(model) == "two"
    assert Versions(tmp_path / "alias").current() == Versions(model).current()


def test_others_wait_their_turn(model, tmp_path, monkeypatch):
    new = write(tmp_path / "new", "two")
    first, order = Versions(model), []
    with first.locked():
        other = threading.Thread(target=lambda: (Versions(model).promote(new), order.append("other")))
        other.start()
        time.sleep(0.1)
        order.append("first")
        assert word(model) == "one"
        first.promote(model)  # the same object goes on
    other.join(30)
    assert order == ["first", "other"]
    monkeypatch.setattr(versions, "_PATIENCE", 0.05)
    with first.locked(), pytest.raises(ArtifactError, match="another process has been changing"):
        Versions(model).rollback()


class AsALog(RuleBasedStateMachine):
    """Against a plain list of all that was ever current."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.home = tempfile.TemporaryDirectory()
        self.folder = Path(self.home.name)
        self.versions = Versions(write(self.folder / "m", "a"))
        self.numbers, self.current = {}, "a"

    def teardown(self) -> None:
        self.home.cleanup()

    def _keep(self, text: str) -> None:
        self.numbers.setdefault(text, 1 + max(self.numbers.values(), default=0))

    @rule(text=st.sampled_from("abcde"))
    def promote(self, text: str) -> None:
        self.versions.promote(write(self.folder / "new", text))
        self._keep(self.current)
        self._keep(text)
        self.current = text

    @rule(text=st.sampled_from("abcdefg"))
    def train(self, text: str) -> None:
        write(self.folder / "m", text)
        self.current = text

    @precondition(lambda self: self.current in self.numbers and self.numbers[self.current] > min(self.numbers.values()))
    @rule()
    def rollback(self) -> None:
        self.versions.rollback()
        before = {n: text for text, n in self.numbers.items() if n < self.numbers[self.current]}
        self.current = before[max(before)]

    @rule(keep=st.integers(1, 3))
    def prune(self, keep: int) -> None:
        self.versions.prune(keep)
        newest = sorted(self.numbers.values())[-keep:]
        self.numbers = {text: n for text, n in self.numbers.items() if n in newest or text == self.current}

    @invariant()
    def agree(self) -> None:
        assert {word(v.path): v.number for v in self.versions.list()} == self.numbers
        assert word(self.versions.path) == self.current == word(self.versions.current().path)


TestAsALog = AsALog.TestCase
TestAsALog.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
def test_killed_at_every_step_and_done_again(tmp_path):
    """A child that dies before, or after, its n-th change of the folder leaves a whole model, and nothing is lost."""
    code = textwrap.dedent("""
        import os, shutil, sys
        from pathlib import Path
        from recsys.artifact.versions import Versions
        os.fsync = lambda descriptor: None  # a process is killed here, not the power
        sys.path.insert(0, sys.argv[2])
        from test_versions import replaced, word, write

        def dying(at, after):
            count = 0
            def wrapped(function):
                def call(*given, **options):
                    nonlocal count
                    count += 1
                    if count == at and not after:
                        os._exit(9)
                    result = function(*given, **options)
                    if count == at:
                        os._exit(9)
                    return result
                return call
            for name in ("link", "replace", "unlink", "utime", "mkdir", "fsync", "open"):
                setattr(os, name, wrapped(getattr(os, name)))

        def child(work, at, after):
            pid = os.fork()
            if not pid:
                dying(at, after)
                work()
                os._exit(0)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        def promote():
            Versions(home / "m").promote(home / "new")

        def rewrite():
            Versions(home / "m").rewrite(replaced("ann", "x"))

        def rollback():
            Versions(home / "m").rollback("1")

        home, kills = Path(sys.argv[1]) / "home", 0
        for work, states in ((promote, {"b ann", "new"}), (rewrite, {"b ann", "b x"}), (rollback, {"b ann", "a ann"})):
            for after in (False, True):
                for at in range(1, 1000):
                    shutil.rmtree(home, ignore_errors=True)
                    home.mkdir()
                    write(home / "m", "a ann")
                    write(home / "new", "b ann")
                    promote_first = Versions(home / "m")
                    promote_first.promote(home / "new")
                    write(home / "new", "new")
                    died = child(work, at, after)
                    versions = Versions(home / "m")
                    assert word(home / "m") in states, (work, at, after)
                    assert {word(v.path)[0] for v in versions.list()} >= {"a", "b"}, (work, at, after)
                    assert word(versions.current().path) == word(home / "m")
                    work()
                    done = {promote: "new", rewrite: "b x", rollback: "a ann"}[work]
                    assert word(home / "m") == done, (work, at, after)
                    numbers = [v.number for v in versions.list()]
                    assert numbers == sorted(set(numbers)), (work, at, after, numbers)
                    assert versions.current().path.samefile(home / "m"), (work, at, after)
                    if work is rewrite:
                        files = [home / "m", *(p for p in versions.folder.iterdir())]
                        assert not any(b"ann" in p.read_bytes() for p in files), (at, after)
                    assert len(list(home.iterdir())) == 3
                    assert len(list(versions.folder.iterdir())) == 1 + len(numbers), (work, at, after)
                    if not died:
                        break
                    kills += 1
        print(kills)
    """)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)], text=True,
                          capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40
