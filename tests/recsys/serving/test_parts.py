"""Contents, settings and counters: small parts by their properties."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recsys.serving.service import InProcess, event, settings_of  # isort: skip

from recsys.data.ids import IdMap
from recsys.errors import DataError, ParameterError
from recsys.events import Item
from recsys.serving.calls import decoded
from recsys.serving.content import Likeness
from recsys.serving.metrics import Metrics
from recsys.serving.problems import Problem
from recsys.serving.reporting import drift
from recsys.serving.routes import ROUTES
from recsys.serving.settings import Limits, Settings, Variant
from recsys.serving.table import read_items

SAID = st.tuples(st.lists(st.sampled_from(["Alien", "alien", "war", "peace"]), max_size=4).map(" ".join),
                 st.lists(st.sampled_from(["genre=Drama", "genre=War"]), max_size=2).map(tuple))


# -------------------------------------------------------------------------------------------- validation
NAMES = st.one_of(st.sampled_from(["user", "history", "values", "k", "where", "events", "item", "type", "time", "title",
                                   "profiling", "attributes", "available", "variant"]), st.text(max_size=5))
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) |
                    st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) |
                    st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)


@given(st.sampled_from([route.body for route in ROUTES if route.body is not None]), st.dictionaries(NAMES, JSON) | JSON)
def test_whatever_does_not_fit_is_told_without_the_words_of_msgspec(kind: Any, value: Any) -> None:
    raw = json.dumps(value).encode()
    try:
        msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        with pytest.raises(Problem) as told:
            decoded(raw, kind)
        assert told.value.status == 422
        assert told.value.detail.startswith(f"{told.value.field or 'the body'}: ")
        assert not re.search("Expected|Object|Invalid", told.value.detail)


# ---------------------------------------------------------------------------------------------- content
@given(st.lists(SAID, min_size=1, max_size=8), st.lists(SAID, max_size=4), st.integers(1, 5))
def test_likeness_is_the_cosine_of_tfidf(items: list[Any], others: list[Any], k: int) -> None:
    """Against a dictionary of words and its formula."""
    bags = [Counter([*text.lower().split(), *words]) for text, words in items]
    held_by = Counter(word for bag in bags for word in bag)
    rarity = {word: math.log((1 + len(bags)) / (1 + count)) + 1 for word, count in held_by.items()}

    def vector(bag: Counter[str]) -> dict[str, float]:
        found = {word: (1 + math.log(count)) * rarity[word] for word, count in bag.items() if word in rarity}
        length = math.sqrt(sum(value ** 2 for value in found.values()))
        return {word: value / length for word, value in found.items()} if length else {}

    numbers, likeness = Likeness(items).nearest(others, k)
    assert numbers.shape == likeness.shape == (len(others), k)
    for (text, words), near, how in zip(others, numbers, likeness, strict=True):
        own = vector(Counter([*text.lower().split(), *words]))
        true = [sum(own.get(word, 0) * value for word, value in vector(bag).items()) for bag in bags]
        held = near >= 0
        assert held.sum() == min(k, sum(value > 1e-9 for value in true))
        np.testing.assert_allclose(how[held], [true[number] for number in near[held]], atol=1e-5)
        np.testing.assert_allclose(how[held], sorted(true, reverse=True)[:held.sum()], atol=1e-5)


# --------------------------------------------------------------------------------------------- settings
@given(st.text(min_size=1, max_size=8).filter(lambda name: "=" not in name), st.text(min_size=1, max_size=12),
       st.floats(0, 1, exclude_min=True))
def test_variants_are_read_as_they_are_written(name: str, path: str, share: float) -> None:
    assert Variant.parse(f"{name}={path}:{share!r}") == Variant(name, path, share)


@pytest.mark.parametrize("text", ["", "a", "a=b", "a=b:0", "a=b:2", "a=b:x", "=b:0.5", "a=:0.5", "a=b:nan", "a=b:-0.1"])
def test_variants_that_are_none(text: str) -> None:
    with pytest.raises(ParameterError, match="NAME=FILE:SHARE"):
        Variant.parse(text)


def test_a_file_of_settings(tmp_path: Path) -> None:
    """What is given beside the file counts more; what is in neither is as usual."""
    path = tmp_path / "serve.toml"
    path.write_text('[service]\ntoken = "in the file"\nsalt = "spring"\nexplore = 0.1\n[limits]\nk = 20\n'
                    '[events.listen]\nweight = 2\npositive = true\nseen = false\n')
    settings = Settings.read(path, variants=(Variant("a", "b"),), token="given beside", events=None)
    assert (settings.token, settings.salt, settings.explore, settings.events) == ("given beside", "spring", 0.1, None)
    assert settings.limits == Limits(k=20)
    assert settings.types.weight("listen", None) == 2
    assert settings.types.weight("click", None) == 1
    assert not settings.keeps_shown
    with pytest.raises(ParameterError, match="shares"):
        Settings((Variant("a", "b", .5),))
    with pytest.raises(ParameterError, match="name"):
        Settings((Variant("a", "b", .5), Variant("a", "c", .5)))


# ------------------------------------------------------------------------------------------ files of items
TEXTS = IdMap(np.array(["a", "b"]))


def items_of(folder: Path, text: str | bytes, name: str = "items.csv") -> list[Item]:
    """What a file of items has."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_items(folder / name, TEXTS))


def test_items_of_a_file(tmp_path: Path) -> None:
    found = items_of(tmp_path, 'id,Title,genre,image,available\na,"Two\nlines",x | y,b.png,no\n\nb,,,,\n')
    assert found == [Item("a", "Two\nlines", None, {"genre": ["x", "y"]}, "b.png", False),
                     Item("b", None, None, {}, None, True)]


@pytest.mark.parametrize(("text", "said"), [
    ('item,title\na,"Two\nlines"\nb,B\n\na,C\n', "items.csv, line 6: line 2 has the item 'a', too; keep one"),
    ("item,image\na,x.png\nb,javascript:alert(1)\n", "items.csv, line 3: image: 'javascript:alert"),
    ("item,title\na,A\0\n", "items.csv, line 2: title: 'A.x00' holds the character NUL"),
    ("item,genre\na,x|\0\n", "items.csv, line 2: attributes: "), ("item,title\n,A\n", "line 2: id must have 1 to 255"),
    ("item,title\na\n", "line 2: 1 fields"), ("title\nA\n", "must name a column"), ("", "must name a column"),
    (b"item,title\na,\xff\n", "items: .*items.csv cannot be read as CSV in UTF-8"),
    ("item,title\na," + "x" * 200_000, "items: .*items.csv cannot be read as CSV")])
def test_files_of_items_that_do_not_fit(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        items_of(tmp_path, text)


@pytest.mark.parametrize("raw", [b"no gzip", gzip.compress(b"item\na\n", mtime=0)[:-9]], ids=["no gzip", "cut"])
def test_packed_files_of_items_that_are_damaged(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(DataError, match=r"items: .*items\.csv\.gz cannot be read"):
        items_of(tmp_path, raw, "items.csv.gz")


def test_a_file_of_items_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"items: there is no file '.*items.csv'; name one in \[service\]"):
        list(read_items(tmp_path / "items.csv", TEXTS))


GOOD_IMAGES = ["http://a/b", "HTTPS://a.b/c?d=e:f", "data:image/png;base64,AAAA", "posters/7.jpg", "/7.jpg",
               "7.jpg?x=a:b", "//cdn.example/7.jpg", "é.png"]
BAD_IMAGES = ["javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)",
              "\x01javascript:x", "data:text/html,x", "data:,x", "vbscript:x", "file:///etc/passwd",
              "ftp://a/b", "http:", "http:///x", "blob:x", "a.png ", "a.png\n", "a\0.png"]


def test_images_are_addresses_of_pictures(models: Any, tmp_path: Path) -> None:
    with InProcess(settings_of(models["EASE"].path, tmp_path)) as service:
        for image in GOOD_IMAGES:
            status, said = service.ask("PUT", "/v1/items/x", {"image": image})
            assert (status, said["image"]) == (200, image)
        for image in BAD_IMAGES:
            status, said = service.ask("PUT", "/v1/items/x", {"image": image})
            assert (status, said["field"]) == (422, "image"), image
        for body, field in (({"title": "a\0"}, "title"), ({"text": "\0"}, "text"),
                            ({"attributes": {"a\0": []}}, "attributes"), ({"attributes": {"a": ["b", "\0"]}},
                                                                          "attributes")):
            status, said = service.ask("PUT", "/v1/items/x", body)
            assert (status, said["field"]) == (422, field), body


# ---------------------------------------------------------------------------------------------- metrics
def test_counters_add_up_over_workers_and_their_successors(tmp_path: Path) -> None:
    workers = [Metrics(tmp_path, slot, 5) for slot in (0, 1, 0)]  # the last goes on where the first was killed
    for place, one in enumerate(workers):
        for _ in range(place + 1):
            one.count("/v1/recommend", 200, .004)
        one.count("/v1/recommend", 503, 9.0)
        one.show({"model": 2, "popular": 1}, [place, place + 1, 99])
    for one in workers:
        found = one.summary()
        assert found["requests"] == {"/v1/recommend": 9}
        assert found["statuses"] == {"200": 6, "503": 3}
        assert found["sources"] == {"model": 6, "popular": 3}
        assert one.coverage == 4
        buckets = dict(found["latency"])
        assert (buckets[.003], buckets[.005], buckets[5.0], buckets[float("inf")]) == (0, 6, 6, 9)
    assert b'recsys_requests_total{route="/v1/recommend",status="200"} 6.0' in workers[0].scrape()


def test_what_is_asked_is_counted(models: Any, tmp_path: Path) -> None:
    with InProcess(settings_of(models["EASE"].path, tmp_path)) as ours:
        for asked in ({"user": "user 001", "k": 4}, {"history": ["item 001"], "k": 4}, {"k": 4}, {"k": 0}):
            ours.ask("POST", "/v1/recommend", asked)
        for _ in range(2):  # the second is a retry
            ours.ask("POST", "/v1/events", {"events": [event("a", "item 001", id="one"), event("a", "item 002", "like",
                                                                                               id="two")]})
        ours.ask("POST", "/v1/events", {"events": [event("a", "item 001", id="one"), event("a", "item 003", "like",
                                                                                           id="three")]})
        _, stats = ours.ask("GET", "/v1/stats")
        assert stats["requests"]["/v1/recommend"] == 4
        assert stats["statuses"]["422"] == 1
        assert stats["sources"] == {"model": 4, "history": 4, "popular": 4}
        assert stats["coverage"]["items"] == 200
        assert 4 <= stats["coverage"]["shown"] <= 12
        assert stats["events"]["total"] == 3
        assert stats["latency"]["count"] == sum(stats["requests"].values())
        text = ours.ask("GET", "/metrics")[1].decode()
        counted = dict(re.findall(r'^recsys_events_total\{type="(\w+)"\} (\S+)$', text, re.M))
        assert counted == {"click": "1.0", "like": "2.0"}  # what was sent again is no event more
        assert all(re.fullmatch(r"#.*|[a-z_]+(\{.*\})? [-+0-9.eInf]+", line) for line in text.splitlines())
        assert "user 001" not in text


@given(st.sampled_from([0.0, .001, 1.0]), st.integers(1, 4))
def test_drift_is_0_for_the_same_shares_and_1_for_others(models: Any, extra: float, times: int) -> None:
    fitted = models["EASE"].fitted
    counts = fitted.facts.item_counts
    same = [SimpleNamespace(item=item) for item, count in zip(fitted.items.ids.tolist(), counts.tolist(), strict=True)
            for _ in range(times * count)]
    assert drift(fitted, same)["value"] == pytest.approx(0, abs=1e-6)
    assert drift(fitted, [SimpleNamespace(item="new")] * times)["value"] == pytest.approx(1)
    assert drift(fitted, []) is None
    assert 0 < drift(fitted, same[:len(same) // 2])["value"] < 1 + extra


def test_a_service_without_a_log_measures_itself(models: Any) -> None:
    with InProcess(Settings((Variant("default", str(models["EASE"].path)),))) as service:
        assert service.ask("POST", "/v1/recommend", {"k": 1})[0] == 200
        assert service.ask("GET", "/v1/stats")[1]["requests"]["/v1/recommend"] == 1
        assert service.ask("GET", "/metrics")[0] == 200


def test_a_token_that_is_too_short_is_not_shown() -> None:
    with pytest.raises(ParameterError, match="8 characters or more") as told:
        Settings((Variant("default", "x"),), token="sekret")
    assert "sekret" not in str(told.value)


def test_what_is_taken_back_may_be_listed_again_though_training_has_it(models: Any, tmp_path: Path) -> None:
    made = models["EASE"]
    user, item = made.fitted.users.ids[0].item(), made.fitted.items.ids[made.fitted.seen.row(0)[0][0]].item()
    with InProcess(settings_of(made.path, tmp_path)) as service:
        def listed() -> list[Any]:
            return service.ask("POST", "/v1/recommend", {"user": user, "items": [item]})[1]["items"]

        assert not listed()
        for kind, there in (("undo", True), ("dislike", False), ("undo", True), ("click", False)):
            assert service.ask("POST", "/v1/events", {"events": [event(user, item, kind)]})[0] == 200
            assert bool(listed()) == there


def test_a_new_item_that_is_like_none_is_told(models: Any, tmp_path: Path) -> None:
    with InProcess(settings_of(models["EASE"].path, tmp_path)) as service:
        assert service.ask("PUT", "/v1/items/fresh", {"attributes": {"genre": ["unheard"]}})[0] == 200
        _, answer = service.ask("POST", "/v1/recommend", {"items": ["fresh"]})
        assert answer["items"] == []
        assert answer["notes"] == ["1 new items are like none that the model knows, and have no place in a list."]
