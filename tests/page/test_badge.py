"""A badge says the target, its commit, and how many hosts are at it."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from chalicelib.page.badge import badge

COMMIT = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"


def state(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    target = {
        "target": "production",
        "wanted": {"commit": COMMIT},
        "pinned": None,
        "well": True,
        "hosts": [{"there": True}, {"there": True}, {"there": False}],
    }
    return {"targets": [target | changes], "failed": []}


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - Pulley wrote it


def words(text: str) -> str:
    return str(parsed(text).attrib["aria-label"])


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (state(), "production · 4d5e6f7 · 2/3"),
        (state(wanted=None, pinned={"state": "frozen"}), "production · frozen · 2/3"),
        (state(wanted=None), "production · unknown · 2/3"),
        ({"targets": [], "failed": [{"target": "web"}]}, "web · unknown"),
    ],
)
def test_badge_names_target_commit_and_hosts(shown: dict[str, Any], expected: str) -> None:
    assert words(badge(shown)) == expected


def test_colour_tells_well_from_not_well() -> None:
    fills = {parsed(badge(state(well=well)))[1].attrib["fill"] for well in (True, False)}
    assert len(fills) == 2


def test_hostile_name_stays_text() -> None:
    assert words(badge(state(target='"/><script>'))).startswith('"/><script> · ')
