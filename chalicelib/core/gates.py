"""A target's gates: the conditions that a commit must meet before it goes out by itself.

They are keys of a target, and validated with it. core/waiting.py judges them for a commit.
docs/targets.md is the reference for operators.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from chalicelib.core.fields import Reader, is_match, length_reader, parse_length, text_reader
from chalicelib.core.refs import shown

if TYPE_CHECKING:
    from chalicelib.core.windows import Window

PUSH, MANUAL, DEPLOYMENT = "push", "manual", "deployment"  # values of `trigger`
EVERY_CHECK = ("*",)  # checks = true
MAX_NAMES, MAX_WINDOWS = 20, 10
MAX_CIRCLES, MAX_SHOWN = 10, 10  # circles of targets shown, and about how many names of each
MIN_SOAK, MAX_SOAK = timedelta(minutes=1), timedelta(days=20)  # history has 30 days


@dataclass(frozen=True)
class Gates:
    """What a target waits for.

    `checks` are names of commit statuses and check runs on GitHub that must be green; EVERY_CHECK
    means all that exist. `after` names targets of the repository that must be well at the commit,
    for as long as `soak`. `windows`: it is enough that one of them is open. `trigger` is PUSH;
    MANUAL: commits go out by `pulley deploy` only; or DEPLOYMENT: those go out for which somebody
    else makes a deployment on GitHub.
    """

    checks: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    soak: str = ""
    trigger: str = PUSH
    windows: "tuple[Window, ...]" = ()

    def __bool__(self) -> bool:
        """Whether there is a gate."""
        return bool(self.keys) or self.trigger != PUSH

    @property
    def soak_time(self) -> timedelta:
        """How long the targets before it must have been well at a commit."""
        return parse_length(self.soak) if self.soak else timedelta()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the gates that are set, but for `soak` and for `trigger = "manual"`."""
        is_set = {
            "trigger": self.trigger == DEPLOYMENT,
            "checks": bool(self.checks),
            "after": bool(self.after),
            "window": bool(self.windows),
        }
        return tuple(key for key, value in is_set.items() if value)

    @property
    def on_github_alone(self) -> tuple[str, ...]:
        """The keys that need GitHub's deployments, which Gitea and Forgejo do not have."""
        return tuple(key for key in ("checks", "trigger") if key in self.keys)

    @property
    def named_checks(self) -> str:
        """The checks that it waits for, for people."""
        return "every check" if self.checks == EVERY_CHECK else ", ".join(self.checks)

    def __str__(self) -> str:
        """What the target waits for, for people; "" without a gate."""
        if self.trigger == MANUAL:
            return "pulley deploy (trigger is manual)"
        parts = []
        if self.trigger == DEPLOYMENT:
            parts.append("a GitHub deployment of its environment")
        if self.checks:
            parts.append("every check" if self.checks == EVERY_CHECK else " and ".join(self.checks))
        if self.after:
            soaked = f" to be well for {self.soak}" if self.soak else ""
            parts.append(f"{' and '.join(self.after)}{soaked}")
        if self.windows:
            parts.append(" or ".join(one.text for one in self.windows))
        return ", ".join(parts)


def _checks(value: object) -> tuple[str, ...]:
    if value is True:
        return EVERY_CHECK
    if (
        not isinstance(value, list)
        or not 1 <= len(value) <= MAX_NAMES
        or not all(_is_check(one) for one in value)
    ):
        raise ValueError(
            f'must be true or the names of 1 to {MAX_NAMES} checks, like ["test"], '
            f"not {shown(value)}"
        )
    return tuple(dict.fromkeys(value))


def _is_check(value: object) -> bool:
    return (
        isinstance(value, str) and 1 <= len(value) <= 100 and value.isprintable() and value != "*"
    )


def _windows(value: object) -> "tuple[Window, ...]":
    from chalicelib.core.windows import Window

    listed = value if isinstance(value, list) else [value]
    texts = [one for one in listed if isinstance(one, str)]
    if not 1 <= len(listed) <= MAX_WINDOWS or len(texts) < len(listed):
        raise ValueError(f"must be a window or 1 to {MAX_WINDOWS} of them, not {shown(value)}")
    windows = []
    for text in texts:
        try:
            windows.append(Window.parse(text))
        except ValueError as error:
            raise ValueError(f"{error}, not {shown(text)}") from None
    return tuple(windows)


def _names_reader(pattern: str) -> Reader:
    """A list of names of targets that match the pattern."""
    allowed = re.compile(pattern)

    def read(value: object) -> object:
        if (
            not isinstance(value, list)
            or not 1 <= len(value) <= MAX_NAMES
            or not all(is_match(allowed, one) for one in value)
        ):
            raise ValueError(
                f'must be the names of 1 to {MAX_NAMES} targets, like ["staging"], '
                f"not {shown(value)}"
            )
        return tuple(dict.fromkeys(value))

    return read


def gate_readers(name_pattern: str) -> Mapping[str, Reader]:
    """The readers of the keys in an operator's table; `name_pattern` is of a target's name."""
    return {
        "checks": _checks,
        "after": _names_reader(name_pattern),
        "soak": length_reader(MIN_SOAK, MAX_SOAK),
        "trigger": text_reader(
            f"{PUSH}|{MANUAL}|{DEPLOYMENT}", f"{PUSH}, {MANUAL} or {DEPLOYMENT}"
        ),
        "window": _windows,
    }


def problems_of_gates(path: str, name: object, gates: Gates) -> list[str]:
    """Problems of a target's gates taken together. `path` is the target's."""
    problems = []
    if gates.soak and not gates.after:
        problems.append(f"{path}.soak: needs after, the targets that must be well for so long")
    if name in gates.after:
        problems.append(f"{path}.after: must not have the target itself")
    if gates.trigger == MANUAL and gates.keys:
        problems.append(
            f"{path}.trigger: manual goes out by pulley deploy alone, so leave out "
            f"{', '.join(gates.keys)}"
        )
    if gates.trigger == DEPLOYMENT and gates.checks:
        problems.append(
            f"{path}.checks: trigger is deployment, and GitHub judged the checks when that "
            "deployment was made, so leave out checks"
        )
    return problems


def problems_of_chain(after: Mapping[str, Iterable[str]]) -> list[str]:
    """Find names that are no target, and targets that wait for themselves through others.

    `after` has the names that each target of a repository waits for, by the target's name.
    """
    problems = [
        f"targets.{name}.after: the repository has no target {shown(other)}"
        for name, others in after.items()
        for other in others
        if other not in after
    ]
    # A target that waits for itself is a problem of its own. A file may be full of circles.
    circles = islice((circle for circle in _circles(after) if len(circle) > 2), MAX_CIRCLES)
    return problems + [f"targets.{one[0]}.after: {_words_of_circle(one)}" for one in circles]


def _words_of_circle(circle: Sequence[str]) -> str:
    if len(circle) > MAX_SHOWN:
        circle = (*circle[: MAX_SHOWN - 2], "...", *circle[-2:])
    return " waits for ".join(circle)


def _circles(after: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, ...]]:
    """Circles, each with its first name also last; at least one if there is any.

    A search in depth without recursion: a file may have a chain of thousands.
    """
    done: set[str] = set()
    for name in after:
        way = {name: iter(after[name])} if name not in done else {}  # with what is left of each
        while way:
            last = next(reversed(way))
            other = next(way[last], None)
            if other is None:
                del way[last]
                done.add(last)
            elif other in way:
                names = list(way)
                yield (*names[names.index(other) :], other)
            elif other not in done:
                way[other] = iter(after.get(other, ()))
