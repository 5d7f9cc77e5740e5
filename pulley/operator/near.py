"""What somebody may have meant by a name that nobody has."""

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest of the names that there are, to stand behind the wrong one; "" if none is."""
    from difflib import get_close_matches  # for a mistake alone

    near = get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
