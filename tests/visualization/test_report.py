"""The report: whole, self-contained, escaped, and readable for a parser."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from drivewm.visualization.files import png_bytes, write_gif
from drivewm.visualization.report import Figure, Headline, Report, Section, Table, render, write_report

PICTURE = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)


class _Outline(HTMLParser):
    """Collects what a page is made of, and checks that its tags are balanced."""

    VOID = {"meta", "link", "img", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def _report(tmp_path) -> Report:
    gif = write_gif(tmp_path / "a.gif", [PICTURE, PICTURE[::-1].copy()], 2)
    table = Table(
        ["predictor", "mIoU", "L2"],
        [["model", 61.234, 0.5], ["copy last", 47.0, float("nan")], ["ego-warped <copy>", 60.0, 0.25]],
        caption="Percent & metres.",
        best=[None, "max", "min"],
        highlight="model",
    )
    sections = [
        Section(
            "Forecast", ["First **bold** `code`.", "- one\n- two"], [table], [Figure(PICTURE, 'a "street"', "cap")]
        ),
        Section("Closed loop", ["<script>alert(1)</script>"], [], [Figure(gif, "episode", wide=True)]),
        Section("Nothing here"),
    ]
    return Report("Demo <report>", sections, "sub", [Headline("61.2", "mIoU", "warped 60.1")])


def test_page_holds_everything_and_fetches_nothing(tmp_path):
    page = write_report(tmp_path / "report.html", _report(tmp_path)).read_text(encoding="utf-8")
    written = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//|@import|<script|url\(", written)
    outline = _Outline()
    outline.feed(page)
    assert not outline.open
    for value in (value for _, name, value in outline.attributes if name in ("src", "href")):
        assert value.startswith(("data:", "#"))
    for section in ("Forecast", "Closed loop", "Nothing here", "Glossary", "ego-warped copy"):
        assert section in outline.text
    assert "default-src 'none'" in page and "<script>alert" not in page and "&lt;script&gt;" in page
    assert "61.23" in page and "ego-warped &lt;copy&gt;" in page and '<td class="number">-</td>' in page
    links = {value for tag, name, value in outline.attributes if tag == "a" and name == "href"}
    ids = {f"#{value}" for _, name, value in outline.attributes if name == "id"}
    assert links == ids


def test_best_values_ours_and_inline_marks(tmp_path):
    page = render(_report(tmp_path))
    assert '<td class="number best">61.23</td>' in page and '<td class="number best">0.25</td>' in page
    assert page.count("best") >= 2 and '<tr class="ours"><td>model</td>' in page
    assert "<strong>bold</strong>" in page and "<code>code</code>" in page and "<li>two</li>" in page


def test_pictures_come_back_from_the_page(tmp_path):
    page = render(_report(tmp_path))
    png, gif = re.findall(r'src="data:(image/\w+);base64,([^"]+)" alt="([^"]*)" width="(\d+)" height="(\d+)"', page)
    assert png[0] == "image/png" and gif[0] == "image/gif" and png[3:] == ("30", "20")
    assert base64.b64decode(png[1]) == png_bytes(PICTURE) and png[2] == "a &quot;street&quot;"
    smooth = np.broadcast_to(np.linspace(0, 250, 300)[:, None, None], (300, 300, 3)) + PICTURE[:1, :1] % 3
    noisy = (smooth + np.random.default_rng(1).normal(0, 2, smooth.shape)).clip(0, 255).astype(np.uint8)
    assert "image/jpeg" in render(Report("t", [Section("s", figures=[Figure(noisy, "noise")])]))


def test_what_cannot_be_shown_is_refused(tmp_path):
    def page(**parts):
        return render(Report("t", [Section("s", **parts)]))

    with pytest.raises(ValueError, match="alt text"):
        page(figures=[Figure(PICTURE, " ")])
    with pytest.raises(ValueError, match="PNG, JPEG, GIF or MP4"):
        page(figures=[Figure(b"<svg/>", "vector")])
    with pytest.raises(ValueError, match="1 cells, but there are 2"):
        page(tables=[Table(["a", "b"], [[1]])])
    with pytest.raises(ValueError, match="paragraphs"):
        page(text="one string")
    with pytest.raises(FileNotFoundError):
        page(figures=[Figure(tmp_path / "missing.png", "gone")])
