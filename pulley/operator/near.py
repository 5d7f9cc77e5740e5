"""Suggest a known name for a misspelled one."""

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Words that suggest the nearest known name, to append to the wrong one; or ""."""
    from difflib import get_close_matches  # only mistakes need it

    near = get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
