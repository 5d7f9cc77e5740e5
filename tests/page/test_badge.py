"""A badge says the target, its commit, and how many hosts are at it."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from chalicelib.core.pins import Pin
from chalicelib.page.badge import badge_of, unknown_badge
from chalicelib.status.overview import Standing
from tests.fakes import COMMIT
from tests.flows.runs import NOW, command_of, line_of, on
from tests.status.test_overview import WEB, view

FROZEN = Pin("frozen", None, "", None, "mona", NOW)


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - Pulley wrote it


def words(text: str) -> str:
    return str(parsed(text).attrib["aria-label"])


def standing(*there: int) -> Standing:
    """The target web with three hosts, of which some are at the wanted commit."""
    return view((command_of(count=3), [on(one, line_of()) for one in there])).standing(WEB)


def without_a_commit(pin: Pin | None = None) -> Standing:
    seen = view().standing(WEB)
    return replace(seen, facts=replace(seen.facts, pin=pin))


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (standing(1, 2, 3), f"web · {COMMIT[:7]} · 3/3"),
        (standing(1, 2), f"web · {COMMIT[:7]} · 2/3"),
        (without_a_commit(FROZEN), "web · frozen · 0/3"),
        (without_a_commit(), "web · unknown · 0/3"),
    ],
)
def test_badge_names_target_commit_and_hosts(shown: Standing, expected: str) -> None:
    assert words(badge_of(shown)) == expected


def test_colour_tells_well_from_not_well_and_from_unknown() -> None:
    badges = [badge_of(standing(1, 2, 3)), badge_of(standing(1)), unknown_badge("web")]
    assert len({parsed(one)[1].attrib["fill"] for one in badges}) == 3


def test_hostile_name_stays_text() -> None:
    assert words(unknown_badge('"/><script>')) == '"/><script> · unknown'
