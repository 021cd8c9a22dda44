"""The pages in a real browser, against a real service: what is shown is compared with the direct call."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from recsys import Interactions
from recsys.data.features import Features
from recsys.data.ids import IdMap
from recsys.models import EASE

for module in ("starlette", "uvicorn", "msgspec", "prometheus_client"):
    pytest.importorskip(module, reason=f"{module} is not installed (extra `serve`)")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
expect = playwright.expect

PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1400, "height": 900}

HTML = "<b>Bold</b> & <img src=x onerror=alert(1)>"
ARABIC = "مملكة الجنة"
LONG = "The " + "Extraordinarily" * 8 + " Long Title"
TITLES = [f"Comedy {n}" for n in range(10)] + [HTML, ARABIC, LONG] + [f"Thriller {n}" for n in range(7)]
FIRST = 2**53 + 1  # odd numbers from here on are no float64
ITEMS = FIRST + 2 * np.arange(len(TITLES))
TOKEN = "a token of this test"
PICTURE = "data:image/svg+xml," + quote('<svg xmlns="http://www.w3.org/2000/svg" width="2" height="3"/>')

Open = Callable[..., Any]


def two_tastes(ids: np.ndarray, users: list[Any]) -> EASE:
    """A model of people who like either the first half of the items or the second."""
    rng = np.random.default_rng(0)
    half = len(ids) // 2
    people = [(user, item) for at, user in enumerate(users)
              for item in rng.choice(half, size=5, replace=False) + half * (at % 2)]
    catalogue = IdMap(ids)
    data = Interactions.from_arrays([user for user, _ in people], ids[[item for _, item in people]], item_ids=catalogue,
                                    item_features=Features(np.array(TITLES[:len(ids)])))
    return EASE(reg=5.0).fit(data)


@pytest.fixture(scope="module")
def service(browser: Any, serving: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("serving")
    two_tastes(ITEMS, list(range(1, 81))).save(folder / "ease.recsys")
    with serving(folder / "ease.recsys", folder) as service:
        for item, title in zip(ITEMS.tolist(), TITLES, strict=True):
            genre = "Comedy" if item < ITEMS[10] else "Thriller"
            service.call("PUT", f"/v1/items/{item}", {"title": title, "attributes": {"genre": [genre]}})
        yield service


def me(page: Any) -> Any:
    return json.loads(page.evaluate("localStorage.getItem('recsys-me')"))


def pick(page: Any, text: str) -> None:
    """Search for a title, and like the first that is found."""
    field = page.get_by_role("combobox", name="Search by title")
    field.fill(text)
    expect(page.get_by_role("option", selected=True)).to_contain_text(text)
    field.press("Enter")
    said(page, "You like")
    expect(page.locator("#history")).to_contain_text(text)


def said(page: Any, words: str) -> None:
    """Wait until the list has followed an event, which is when it is announced."""
    expect(page.get_by_role("status")).to_contain_text(words)


def listed(page: Any) -> list[str]:
    titles: list[str] = page.locator("#items > li h3 > span:first-child").all_text_contents()
    return titles


def told(service: Any, user: Any, **more: Any) -> list[str]:
    """The titles that the service itself recommends."""
    return [item["title"] for item in service.call("POST", "/v1/recommend", {"user": user, "k": 10} | more)["items"]]


def test_a_click_changes_the_list_at_once_and_says_why(service: Any, opened: Open) -> None:
    page = opened(service)
    expect(page.locator("#items .badge")).to_have_text(["popular"] * 10)
    before = listed(page)
    pick(page, "Comedy 3")
    expect(page.locator("#items .why").first).to_have_text(re.compile(r"because of\s*1\s*Comedy 3"))
    expect(page.locator("#items .badge").first).to_have_text("history")
    assert listed(page) == told(service, me(page)) != before
    [event] = service.call("GET", f"/v1/users/{me(page)}")["events"]
    assert (event["item"], event["type"]) == (ITEMS[3], "like")  # to the last digit

    pick(page, "Comedy 5")
    expect(page.locator("#items .why").first).to_contain_text("Comedy 5")
    answer = service.call("POST", "/v1/recommend", {"user": me(page), "k": 10, "explain": True})
    reasons = [item.get("reasons", []) for item in answer["items"]]
    assert any(len(each) == 2 for each in reasons)
    bars = page.locator("#items > li").evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('.bar g')].map(part => part.getAttribute('class')))")
    colours = {ITEMS[3]: "colour-0", ITEMS[5]: "colour-1"}
    assert bars == [sorted(colours[reason["item"]] for reason in each) for each in reasons]
    expect(page.locator("#history .mark")).to_have_class(["mark colour-0", "mark colour-1"])

    page.get_by_role("button", name="As a table").click()
    cells = page.locator("#numbers tbody tr").first.locator("td").all_text_contents()
    shown = {reason["item"]: reason["contribution"] for reason in reasons[0]}
    for cell, item in zip(cells[1:], (ITEMS[3], ITEMS[5]), strict=True):
        assert (float(cell) if cell != "–" else None) == pytest.approx(shown.get(item), rel=0.06)

    page.reload()
    expect(page.locator("#history .name")).to_have_text(["Comedy 3", "Comedy 5"])


def test_all_of_it_by_keyboard(service: Any, opened: Open) -> None:
    page = opened(service)
    expect(page.locator("#items > li")).to_have_count(10)
    keys = page.keyboard
    role = "document.activeElement.getAttribute('role')"
    for _ in range(8):
        keys.press("Tab")
        if page.evaluate(role) == "combobox":
            break
    keys.type("thriller")
    options = page.get_by_role("option")
    expect(options).to_have_count(7)
    keys.press("ArrowDown")
    keys.press("ArrowUp")
    keys.press("ArrowUp")
    field = page.get_by_role("combobox")
    assert field.get_attribute("aria-activedescendant") == options.nth(6).get_attribute("id")
    expect(options.nth(6)).to_have_attribute("aria-selected", "true")
    keys.press("Escape")
    expect(field).to_have_attribute("aria-expanded", "false")
    assert field.input_value() == "thriller"
    keys.press("ArrowDown")
    expect(options).to_have_count(7)
    keys.press("Enter")
    expect(page.locator("#history .name")).to_have_count(1)
    expect(field).to_be_focused()
    said(page, "You like")

    first = page.locator("#items > li").first.get_by_role("button", name=re.compile("^Like"))
    liked = listed(page)[0]
    first.focus()
    keys.press("Enter")
    expect(page.locator("#history .name").nth(1)).to_have_text(liked)
    focused = page.locator("#items > li button:focus")
    expect(focused).to_have_count(1)  # the one that moved up
    assert re.match("Like", focused.get_attribute("aria-label"))

    page.get_by_role("button", name=f"Take back {liked}").focus()
    keys.press("Enter")
    expect(page.locator("#history .name")).to_have_count(1)
    expect(page.locator("#history button")).to_be_focused()
    keys.press("Enter")
    expect(page.locator("#history .name")).to_have_count(0)
    expect(page.locator("#history-title")).to_be_focused()
    expect(page.locator("#items .badge")).to_have_text(["popular"] * 10)


def test_what_is_not_liked_goes_and_comes_back(service: Any, opened: Open) -> None:
    page = opened(service)
    pick(page, "Comedy 1")
    expect(page.locator("#items .badge").first).to_have_text("history")
    before = listed(page)
    page.locator("#items > li").nth(2).get_by_role("button", name=re.compile("^Not for me")).click()
    said(page, "is not for you")
    expect(page.get_by_role("heading", name="Not for you")).to_be_visible()
    assert before[2] not in listed(page) == told(service, me(page))
    page.get_by_role("button", name=f"Take back {before[2]}").click()
    said(page, "is taken back")
    expect(page.get_by_role("heading", name="Not for you")).to_have_count(0)
    assert listed(page) == told(service, me(page))


def test_an_entry_says_what_would_change_it(service: Any, opened: Open) -> None:
    page = opened(service)
    pick(page, "Comedy 0")
    page.locator("#items summary").first.click()
    expect(page.locator("#items .more li").first).to_contain_text("Because of Comedy 0")
    expect(page.locator("#items .more").first).to_contain_text("ithout Comedy 0")


def test_similar_titles(service: Any, opened: Open) -> None:
    page = opened(service)
    button = page.locator("#items > li").nth(1).get_by_role("button", name=re.compile("^Similar"))
    title = listed(page)[1] if expect(button).to_be_visible() is None else ""
    button.click()
    expect(page.locator("#similar-title")).to_be_focused()
    item = int(ITEMS[TITLES.index(title)])
    direct = [each["title"] for each in service.call("POST", "/v1/similar", {"item": item, "k": 10})["items"]]
    assert page.locator("#similar li .name").all_text_contents() == direct
    like = page.locator("#similar li button").first
    like.click()
    expect(like).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#history .name")).to_have_text([direct[0]])
    page.keyboard.press("Escape")
    expect(page.locator("#similar")).to_be_hidden()


def test_without_profiling_the_list_is_everybodys(service: Any, opened: Open) -> None:
    page = opened(service)
    popular = listed(page) if expect(page.locator("#items > li")).to_have_count(10) is None else []
    pick(page, "Comedy 2")
    expect(page.locator("#items .badge").first).to_have_text("history")
    page.get_by_role("switch", name="Personal").click()
    expect(page.get_by_role("heading", name="The list for everybody")).to_be_visible()
    expect(page.locator("#items .badge")).to_have_text(["popular"] * 10)
    assert listed(page) == told(service, me(page), profiling="off") == told(service, None, profiling="off")
    assert set(popular) <= {*listed(page), "Comedy 2"}
    page.reload()
    expect(page.get_by_role("heading", name="The list for everybody")).to_be_visible()
    expect(page.get_by_role("switch", name="Personal")).not_to_be_checked()


def test_a_late_answer_does_not_replace_a_newer_one(service: Any, opened: Open) -> None:
    page = opened(service)
    pick(page, "Comedy 8")
    held: list[Any] = []
    page.route("**/v1/recommend", lambda route: held.append(route) if not held else route.continue_())
    switch = page.get_by_role("switch", name="Personal")
    switch.uncheck()
    with page.expect_response("**/v1/recommend"):
        switch.check()
    with page.expect_response("**/v1/recommend"):
        held[0].continue_()  # everybody's list comes when it is not wanted any more
    page.wait_for_timeout(100)
    expect(page.get_by_role("heading", name="Recommended for you")).to_be_visible()
    assert listed(page) == told(service, me(page))


def test_filters_and_variety(service: Any, opened: Open) -> None:
    page = opened(service)
    pick(page, "Comedy 2")
    page.get_by_role("checkbox", name=re.compile("^Thriller")).check()
    expect(page.locator("#items")).not_to_contain_text("Comedy")
    assert listed(page) == told(service, me(page), where={"genre": ["Thriller"]})
    page.get_by_role("checkbox", name=re.compile("^Thriller")).uncheck()
    expect(page.locator("#items")).to_contain_text("Comedy")
    with page.expect_response("**/v1/recommend") as answered:
        page.get_by_role("slider", name="Variety").fill("0.7")
    assert json.loads(answered.value.request.post_data)["diversity"] == 0.7
    expect(page.get_by_role("slider", name="Variety")).to_have_attribute("aria-valuetext", "70 %")


def test_what_is_kept_and_forget_me(service: Any, opened: Open) -> None:
    page = opened(service)
    pick(page, "Comedy 4")
    pick(page, "Thriller 4")
    old = me(page)
    page.get_by_role("button", name="What is kept of me").click()
    kept = page.get_by_role("dialog", name="What is kept of you")
    expect(kept.locator("tbody td:last-child")).to_have_text(["Thriller 4", "Comedy 4"])
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Forget me").click()
    page.get_by_role("button", name="Cancel").click()
    assert len(service.call("GET", f"/v1/users/{old}")["events"]) == 2
    page.get_by_role("button", name="Forget me").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Forget me").click()
    expect(dialog.get_by_role("heading", name="Forgotten")).to_be_visible()
    expect(dialog).to_contain_text("2 events")
    expect(dialog).to_contain_text(re.compile("[0-9a-f]{64}"))
    dialog.get_by_role("button", name="Close").click()
    assert service.call("GET", f"/v1/users/{old}")["events"] == []
    assert me(page) != old
    assert me(page) >= 10**12
    expect(page.locator("#me")).to_have_text(str(me(page)))
    expect(page.locator("#history .name")).to_have_count(0)
    expect(page.locator("#items .badge")).to_have_text(["popular"] * 10)


def test_a_user_of_the_training(service: Any, opened: Open) -> None:
    page = opened(service)
    own = page.locator("#me").text_content() if expect(page.locator("#me")).not_to_be_empty() is None else ""
    field = page.get_by_label("See it as another user")
    field.fill("seven")
    field.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("“seven” is not")
    field.fill("7")
    field.press("Enter")
    expect(page.locator("#items .badge").first).to_have_text("model")
    expect(page.locator("#legend")).to_contain_text("from before")
    expect(page.get_by_role("alert")).to_be_empty()
    assert listed(page) == told(service, 7)
    page.get_by_role("button", name="Be myself again").click()
    expect(page.locator("#me")).to_have_text(own)

    field.fill("80")
    field.press("Enter")
    expect(page.locator("#me")).to_have_text("80")
    page.get_by_role("button", name="Forget me").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget me").click()
    expect(page.get_by_role("dialog").get_by_role("heading", name="Forgotten")).to_be_visible()
    expect(page.get_by_role("dialog")).to_contain_text("1 model kept of them")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(page.locator("#me")).to_have_text(own)  # who is not forgotten with them
    assert not service.call("GET", "/v1/users/80")["known_to_model"]


def test_titles_are_text(service: Any, opened: Open) -> None:
    page = opened(service)
    for title in (HTML, ARABIC, LONG):
        pick(page, title)
    expect(page.locator("#history .name")).to_have_text([HTML, ARABIC, LONG])
    assert page.locator("#history .name").nth(1).evaluate("node => getComputedStyle(node).direction") == "rtl"
    page.get_by_role("combobox").fill("<i>nothing</i>")
    expect(page.get_by_role("option")).to_have_text("No title contains “<i>nothing</i>”.")
    assert page.locator("main :is(b, i, img)").count() == 0


def test_problems_are_said_in_words(service: Any, opened: Open) -> None:
    page = opened(service, errors="Failed to load resource")
    pick(page, "Comedy 6")
    problem = {"type": "about:blank", "title": "Too much", "status": 422, "detail": "k: at most <b>100</b>."}
    page.route("**/v1/recommend", lambda route: route.fulfill(
        status=422, content_type="application/problem+json", body=json.dumps(problem)))
    page.get_by_role("switch", name="Personal").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Too much: k: at most <b>100</b>.")
    page.unroute("**/v1/recommend")
    page.route("**/v1/events", lambda route: route.abort())
    before = listed(page)
    page.get_by_role("button", name=re.compile("^Like")).first.click()
    expect(alert).to_contain_text("The service cannot be reached.")
    assert listed(page) == before  # and nothing is shown as told
    expect(page.locator("#history .name")).to_have_count(1)
    page.unroute("**/v1/events")
    page.get_by_role("button", name=re.compile("^Like")).first.click()
    expect(page.locator("#history .name")).to_have_count(2)
    expect(alert).to_be_empty()


CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => channels(colour).slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (node) => {
    if (!node) return "rgb(255, 255, 255)";
    if (node.previousElementSibling?.tagName === "rect") return getComputedStyle(node.previousElementSibling).fill;
    const own = getComputedStyle(node).backgroundColor;
    return (channels(own)[3] ?? 1) === 1 ? own : behind(node.parentElement);
  };
  const poor = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.checkVisibility() || node.closest(".unseen, title")) continue;
    const style = getComputedStyle(node);
    const own = node.closest("svg") ? style.fill : style.color;
    const [low, high] = [light(own), light(behind(node))].sort((a, b) => a - b);
    if ((high + 0.05) / (low + 0.05) < 4.5) poor.push(texts.currentNode.data);
  }
  return poor;
}"""
NAMELESS = """() => [...document.querySelectorAll("button, input, [role=region], svg[role=img]")]
  .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim() || node.labels?.length))
  .map((node) => node.outerHTML)"""


def require_readable(page: Any) -> None:
    """On a phone and a desktop, light and dark: no wider than the window, enough contrast, a name for each control."""
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (size, scheme)
            assert page.evaluate(CONTRASTS) == [], (size, scheme)
    assert page.evaluate(NAMELESS) == []


def test_it_fits_and_can_be_read(service: Any, opened: Open) -> None:
    page = opened(service)
    for title in (LONG, "Comedy 7", "Thriller 6"):
        pick(page, title)
    page.get_by_role("button", name="As a table").click()
    page.locator("#items > li").first.get_by_role("button", name=re.compile("^Not for me")).click()
    expect(page.get_by_role("heading", name="Not for you")).to_be_visible()
    page.locator("#items > li").first.get_by_role("button", name=re.compile("^Similar")).click()
    expect(page.locator("#similar")).to_be_visible()
    require_readable(page)
    page.get_by_role("button", name="What is kept of me").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    require_readable(page)
    page.goto(service.url + "/ops")
    expect(page.locator(".tile")).to_have_count(6)
    require_readable(page)


def test_images_stand_in_boxes_of_one_size(serving: Any, tmp_path: Path, opened: Open) -> None:
    two_tastes(np.array([f"{n:02}" for n in range(10)]), [f"u{n}" for n in range(20)]).save(tmp_path / "ease.recsys")
    with serving(tmp_path / "ease.recsys", tmp_path) as service:
        page = opened(service)
        expect(page.locator("#items > li")).to_have_count(10)
        expect(page.locator("#items .image").first).to_be_hidden()  # no item has any, and so there are no boxes

        for item, image in (("01", PICTURE), ("02", "data:image/png;base64,AAAA")):
            service.call("PUT", f"/v1/items/{item}", {"image": image})
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.reload()
        boxes = page.locator("#items .image")
        expect(boxes).to_have_count(10)
        row = page.locator("#items > li", has=page.get_by_role("heading", name="Comedy 1 "))
        image = row.get_by_role("img", name="Comedy 1", exact=True)
        expect(image).to_have_attribute("loading", "lazy")
        image.scroll_into_view_if_needed()
        expect(image).to_have_js_property("naturalWidth", 2)
        page.locator("#items > li").last.scroll_into_view_if_needed()
        expect(page.locator("#items .image img")).to_have_count(1)  # that of 02 has failed
        for size in (PHONE, DESKTOP):
            page.set_viewport_size(size)
            sizes = boxes.evaluate_all("all => all.map(box => [box.offsetWidth, box.offsetHeight].join())")
            assert set(sizes) == {"56,72"}
        assert boxes.all_text_contents() == [title[0] for title in listed(page)]
        page.locator("#items > li").first.get_by_role("button", name=re.compile("^Similar")).click()
        expect(page.locator("#similar .image").first).to_be_visible()
        require_readable(page)
        about = [url for url in asked if "/v1/items/" in url]
        assert len(about) == len({*about}) == 10


def test_the_operator_sees_what_happens(service: Any, opened: Open) -> None:
    page = opened(service, "/ops")
    expect(page.locator("#state")).to_contain_text("1 worker")
    expect(page.locator("#experiments")).to_contain_text("No experiment is running")
    expect(page.get_by_role("region", name="Latency")).to_contain_text("No answers in the last 10 seconds.")
    for _ in range(50):
        answer = service.call("POST", "/v1/recommend", {"user": 7, "k": 10})
    share = 10 * sum(item["source"] == "model" for item in answer["items"])
    assert share > 0
    tile = page.get_by_role("region", name="Requests a second")
    expect(tile.locator("dd")).not_to_have_text(re.compile("^(–|0)$"))
    expect(page.get_by_role("region", name="Latency").locator("dd").first).to_have_text(re.compile(r"[\d.]+\sms"))
    expect(page.get_by_role("region", name="Where answers come from").locator("dd").first).to_have_text(f"{share}\xa0%")
    assert tile.locator("path").first.get_attribute("d").startswith("M")
    assert "now " in tile.locator("svg").get_attribute("aria-label")
    stats = service.call("GET", "/v1/stats")
    expect(page.get_by_role("region", name="Requests", exact=True)).to_contain_text("/v1/recommend")
    expect(page.locator("#models")).to_contain_text(stats["models"][0]["version"])
    page.get_by_role("button", name="Pause").click()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert asked == []


def test_a_token_is_asked_for_and_text_ids_stay_text(serving: Any, tmp_path: Path, opened: Open) -> None:
    two_tastes(np.array([f"{n:02}" for n in range(10)]), [f"u{n}" for n in range(20)]).save(tmp_path / "ease.recsys")
    with serving(tmp_path / "ease.recsys", tmp_path, TOKEN) as service:
        page = opened(service, errors="401")
        for token in ("wrong", TOKEN):
            dialog = page.get_by_role("dialog", name="This service wants a token")
            dialog.get_by_label("Token").fill(token)
            dialog.get_by_role("button", name="Go on").click()
        expect(page.locator("#items > li")).to_have_count(10)
        assert re.fullmatch("visitor-[0-9a-f]{16}", me(page))
        pick(page, "Comedy 1")
        expect(page.locator("#items .badge").first).to_have_text("history")
        [event] = service.call("GET", f"/v1/users/{me(page)}")["events"]
        assert event["item"] == "01"
