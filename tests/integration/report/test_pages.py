"""Both layers of the report in a real Chromium, on a phone and on a desk, in light and in dark."""

import pytest
from chromium import CHROMIUM, chromium
from small_evaluation import small_evaluation, small_publication

from streamflow.report.report import publish, render_report

WIDTHS, SCHEMES = (390, 1440), ("light", "dark")
INK = "getComputedStyle(document.body).color"
WIDEST = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# What is wider than its box must be in one that scrolls.
CLIPPED = """[...document.querySelectorAll('main *')]
    .filter(each => !each.closest('.scroll, svg'))
    .filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(each => each.outerHTML.slice(0, 80))"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_the_report_fits_and_is_quiet_in_a_browser(tmp_path):
    evaluation = render_report(small_evaluation())
    pages = {"evaluation": evaluation, "published": publish(evaluation, small_publication(reason="x" * 200))}
    inks = {}
    with chromium() as page:
        for name, content in pages.items():
            file = tmp_path / f"{name}.html"
            file.write_text(content, encoding="utf-8")
            for width in WIDTHS:
                for scheme in SCHEMES:
                    seen = (name, width, scheme)
                    page.look(width, scheme)
                    page.open(file.as_uri())
                    assert page.script(WIDEST) <= 0, seen
                    assert page.script("document.documentElement.scrollWidth <= innerWidth"), seen
                    assert page.script(CLIPPED) == [], seen
                    assert page.console == [], seen
                    assert page.requests == [file.as_uri()], seen
                    inks[scheme] = page.script(INK)
            page.on_paper()
            assert page.script(WIDEST) <= 0, name
            assert page.script(INK) == "rgb(0, 0, 0)"
            boxes = "getComputedStyle(document.querySelector('.unpublished')).display"
            assert page.script(boxes) == ("block" if name == "evaluation" else "none")
    assert inks == {"light": "rgb(28, 36, 48)", "dark": "rgb(230, 233, 238)"}
