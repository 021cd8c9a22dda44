"""The page: one file that refers to nothing outside, with three figures that can be read."""

import html.parser
import importlib.util
import os
import re
from html import unescape
from xml.etree import ElementTree

import pytest

from minidl import MissingExtraError
from recsys.report import Line, Report, Row, Showcase, figures

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(html.parser.HTMLParser):
    """Checks nesting, and gathers tags, ids, references and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.references, self.words, self.open = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open += [] if tag in VOID else [tag]
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "xlink:href", "srcset", "data", "action"):
                self.references.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def make(**changes):
    rows = [Row("Popular", {"ndcg@10": 0.03, "popularity@10": 243.9}, {"ndcg@10": 0.004}, 0.01),
            Row("A & <b>", {"ndcg@10": 0.09, "popularity@10": 80.0, "rmse": 0.912}, {"ndcg@10": 0.007}, 1.25, "loss",
                (3.0, 2.0, 1.5)),
            Row("SVD", {"ndcg@10": 0.01, "popularity@10": 81.0, "rmse": 0.9}, {}, 0.5, "rmse", (1.0,))]
    given = {"title": "Films <script>", "card": {"data": "x", "users": 671}, "rows": rows, "metric": "ndcg@10",
             "floor": "Popular", "legend": "what it means", "user": "user 7",
             "history": [Line(1, "Alien & Co", "rated 5")],
             "showcases": [Showcase("EASE", [Line(2, "Heat", "Ronin"), Line(3, "Hugo", "", True)])], "notes": ["terms"]}
    return Report(**(given | changes))


def test_the_page_is_whole_and_stands_alone():
    text = make().html()
    page = Page(text)
    assert page.tags.count("svg") == 2 + 2  # bars, popularity, a learning curve a model that has one
    assert len(set(page.ids)) == len(page.ids)
    assert all(reference.startswith("#") and reference[1:] in page.ids for reference in page.references)
    assert set(re.findall(r"url\(([^)]*)\)", text)) <= {f"#{each}" for each in page.ids}
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    words = " ".join(page.words)
    for shown in ("Films <script>", "A & <b>", "Alien & Co", "Heat", "Ronin", "held out", "671", "244", "0.912",
                  "0.090 ± 0.007", "what it means", "terms", "rmse, training"):
        assert shown in words


def test_figures_are_xml_with_their_labels_and_equal_bytes():
    text = make().html()
    drawings = re.findall(r"<svg .*?</svg>", text, re.S)
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    assert re.findall(r"<svg .*?</svg>", make().html(), re.S) == drawings
    assert all(name in unescape(drawings[0]) for name in ("Popular", "A & <b>", "SVD", "0.090", "standard error"))


def test_figures_take_the_colours_of_the_page_so_that_they_can_be_read_in_the_dark():
    text = make().html()
    assert "prefers-color-scheme: dark" in text
    for drawing in re.findall(r"<svg .*?</svg>", text, re.S):
        assert "var(--ink)" in drawing
        assert not re.search(r"#000000|#222222|fill: #ffffff", drawing)


def test_the_best_and_the_floor_are_marked():
    page = make().html()
    assert '<td class="best">0.090 ± 0.007</td>' in page
    assert '<td class="best">0.900</td>' in page
    assert page.count('class="best"') == 2
    assert '<tr class="floor"><td>Popular</td>' in page


def test_a_report_with_nothing_but_a_table():
    rows = [Row("One", {"hit@5": 0.0}, {"hit@5": float("nan")}, 0.0)]
    page = Page(make(rows=rows, metric="hit@5", floor="none", history=(), showcases=(), notes=(), legend="").html())
    assert page.tags.count("svg") == 1


def test_labels_of_points_do_not_cover_each_other(monkeypatch):
    from matplotlib.transforms import Bbox

    kept = {}
    monkeypatch.setattr(figures, "_svg", lambda figure, *rest: kept.setdefault("figure", figure) and "")
    names = [f"model {i}" for i in range(6)]
    figures.accuracy_against_popularity(names, [10, 10.5, 11, 60, 61, 100], [0.01, 0.0101, 0.0102, 0.05, 0.05, 0.03],
                                        "ndcg@10")
    figure = kept["figure"]
    figure.draw_without_rendering()
    axes = figure.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == names
    assert not any(Bbox.overlaps(a, b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert axes.get_xlim()[0] == axes.get_ylim()[0] == 0


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    make().write(path)
    first = path.read_text(encoding="utf-8")
    assert first.startswith("<!doctype html>")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        make(title="second").write(path)
    assert path.read_text(encoding="utf-8") == first
    assert os.listdir(tmp_path) == ["report.html"]
    with pytest.raises(FileNotFoundError, match="no folder"):
        make().write(tmp_path / "nowhere" / "report.html")


def test_without_matplotlib_the_command_to_run_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'minidl\[plot\]'"):
        make().html()


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_what_is_no_finite_number_is_left_out_of_the_figures_and_said(bad):
    rows = [Row("Good", {"ndcg@10": 0.03, "popularity@10": 243.9, "rmse": 0.9}, {"ndcg@10": NAN}, 0.01, "loss",
                (2.0, bad)),
            Row("Bad", {"ndcg@10": bad, "popularity@10": 1.0, "rmse": bad}, {"ndcg@10": bad}, 0.01, "loss", (bad, bad)),
            Row("Odd", {"ndcg@10": 0.02, "popularity@10": bad}, {}, 0.01, "loss", (-3.0, -2.0))]
    text = make(rows=rows, floor="Bad").html()
    page = Page(text)
    assert page.tags.count("svg") == 2 + 2
    words = " ".join(page.words)
    assert "Not drawn, as ndcg@10 is no finite number: Bad." in words
    assert "Not drawn, as ndcg@10 or popularity@10 is no finite number: Bad, Odd." in words
    for drawing in re.findall(r"<svg .*?</svg>", text, re.S):
        assert not re.search(r"\bnan\b|\binf\b", drawing)
    assert text.count('class="best"') == 2
    alone = Page(make(rows=rows[1:2], floor="Bad").html())
    assert alone.tags.count("svg") == 0
