"""The animated picture of the README: plain SVG, small, and what a run recorded."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import marbles

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "marbles.svg"
SVG = "{http://www.w3.org/2000/svg}"


def test_marbles_move_from_their_first_margin_to_their_last() -> None:
    """Each marble has a place for every frame; the ends stay a while, and the last is what shows without animation."""
    margins = np.array([[-50.0, 0.0], [20.0, -15.0], [90.0, 2.5]])
    panel = marbles.Panel("cross_entropy", 10, margins, np.log1p(np.exp(-margins)), [0.1, 0.5, 0.9])
    root = ET.fromstring(marbles.svg_of([panel]))
    first, _ = root.findall(f"{SVG}circle")
    places = first[0].attrib["values"].split(";")
    assert 3 + marbles.FIRST + marbles.LAST == len(places)
    assert [str(marbles.LEFT)] * (marbles.FIRST + 1) == [place.split()[0] for place in places[: marbles.FIRST + 1]]
    # Beyond the right edge: drawn at it.
    end = str(marbles.LEFT + marbles.PANEL_WIDTH)
    assert [end] * (marbles.LAST + 2) == [place.split()[0] for place in places[-marbles.LAST - 2 :]]
    assert f"translate({places[-1]})" == first.attrib["transform"]
    seen = [
        text
        for text in root.findall(f"{SVG}text")
        if (text.text or "").startswith("epoch") and text.attrib["opacity"] == "1"
    ]
    assert ["epoch 2: test accuracy 0.90"] == [text.text for text in seen]


@pytest.mark.parametrize("loss", marbles.TITLES)
def test_the_picture_in_the_readme_is_plain_and_small(loss: str) -> None:
    """Under 300 kB, no script, nothing loaded from elsewhere, and a hundred marbles under each loss."""
    text = PICTURE.read_text("utf-8")
    assert len(text.encode()) < 300_000
    root = ET.fromstring(text)
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert {"svg", "title", "style", "rect", "text", "path", "circle", "animate", "animateTransform"} == tags
    assert "href" not in text
    assert "url(" not in text
    assert 2 * marbles.MARBLES == len(root.findall(f"{SVG}circle"))
    assert marbles.TITLES[loss] in {element.text for element in root.findall(f"{SVG}text")}
