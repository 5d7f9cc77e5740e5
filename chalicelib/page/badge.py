"""A target's badge: `production · 4d5e6f7 · 12/12`, as an SVG image."""

from xml.sax.saxutils import escape

from chalicelib.status.overview import Standing
from chalicelib.status.state import is_well

_WIDTH = 6.6  # of a character of the font, about
_GOOD, _BAD, _OTHER = "#0b6046", "#b23410", "#5a5f66"


def badge_of(standing: Standing) -> str:
    """The badge: the target, its wanted commit, and how many of its hosts are at that."""
    wanted, pin = standing.plan.wanted, standing.facts.pin
    there = sum(one.is_there for one in standing.hosts if one.wanted)
    commit = wanted.commit.short if wanted else "frozen" if pin else "unknown"
    colour = _GOOD if is_well(standing) else _BAD if wanted else _OTHER
    return _drawn([standing.target.name, commit, f"{there}/{len(standing.hosts)}"], colour)


def unknown_badge(name: str) -> str:
    """The badge of a target that could not be read."""
    return _drawn([name, "unknown"], _OTHER)


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
