"""A target's badge: `production · 4d5e6f7 · 12/12`, as an SVG image."""

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

_WIDTH = 6.6  # of a character of the font, about
_GOOD, _BAD, _OTHER = "#0b6046", "#b23410", "#5a5f66"


def badge(state: Mapping[str, Any]) -> str:
    """The badge of the only target in a state. It says "unknown" if the target cannot be read."""
    target = next(iter(state["targets"]), None)
    if target is None:
        name = next((one["target"] for one in state["failed"]), "")
        return _drawn([name, "unknown"], _OTHER)
    hosts, wanted = target["hosts"], target["wanted"]
    there = sum(bool(one["there"]) for one in hosts)
    commit = wanted["commit"][:7] if wanted else "frozen" if target["pinned"] else "unknown"
    colour = _GOOD if target["well"] else _BAD if wanted else _OTHER
    return _drawn([target["target"], commit, f"{there}/{len(hosts)}"], colour)


def _drawn(parts: list[str], colour: str) -> str:
    words = escape(" · ".join(parts), {'"': "&quot;"})
    wide = round(len(" · ".join(parts)) * _WIDTH) + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="20" role="img" '
        f'aria-label="{words}"><title>{words}</title><rect width="{wide}" height="20" rx="3" '
        f'fill="{colour}"/><text x="{wide / 2}" y="14" fill="#fff" text-anchor="middle" '
        f'font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" textLength="{wide - 16}">'
        f"{words}</text></svg>"
    )
