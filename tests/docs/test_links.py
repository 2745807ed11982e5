"""Links between pages, to their headings, to files and to pictures lead somewhere."""

import re
import xml.etree.ElementTree as ET

import pytest

from fixtures.documentation import ROOT, anchors, links, name_of, pages

FROM_RESULTS = ("docs/claims.md", "docs/pictures/comparison.png")
"""Written by ``make claims`` from stored results; checked as soon as they are there."""
LINKS = [(page, target) for page in pages() for target in dict.fromkeys(links(page))]


@pytest.mark.parametrize(
    ("page", "target"), LINKS, ids=lambda value: value if isinstance(value, str) else name_of(value)
)
def test_a_link_leads_somewhere(page, target):
    if target.startswith("https://"):
        return  # nothing outside is asked
    path, _, anchor = target.partition("#")
    goal = (page.parent / path).resolve() if path else page
    if not goal.exists() and name_of(goal) in FROM_RESULTS:
        pytest.skip(f"{name_of(goal)} has not been made from results yet")
    assert goal.is_relative_to(ROOT)
    assert goal.exists()
    if anchor:
        assert anchor in anchors(goal)


def test_every_page_is_in_the_index():
    listed = links(ROOT / "docs" / "index.md")
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"} <= set(listed)


def test_drawings_are_well_formed_and_self_contained():
    for drawing in (ROOT / "docs" / "pictures").glob("*.svg"):
        text = drawing.read_text(encoding="utf-8")
        ET.fromstring(text)
        assert not re.search(r"<script|href=\"http", text)
