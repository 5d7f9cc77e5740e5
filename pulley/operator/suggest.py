"""The commands of pulley that messages tell people to type, written in one place.

A suggested command must act on the same stage as the running one: `acting_at` sets the options for
that. The words are for people; no program reads them.
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, get_args

DEFAULT_STAGE = "dev"
STAGE_VARIABLE = "PULLEY_STAGE"
OnAStage = Literal[
    "setup",
    "targets apply",
    "targets show",
    "targets launch-hook",
    "targets host-policy",
    "connect",
    "doctor",
    "plan",
    "promote",
    "deploy",
    "cancel",
    "status",
    "open",
    "history",
    "logs",
    "saved",
    "pin",
    "freeze",
    "unpin",
    "rollback",
    "secret rotate",
    "simulate",
    "uninstall",
]
ON_A_STAGE: tuple[str, ...] = get_args(OnAStage)
_where: ContextVar[tuple[str, ...]] = ContextVar("where", default=())


@dataclass(frozen=True)
class Suggestion:
    """A command with its arguments and options, not yet quoted for the shell."""

    command: OnAStage | Literal["sandbox"]
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The line to type."""
        where = _where.get() if self.command in ON_A_STAGE else ()
        return " ".join(["pulley", self.command, *map(shlex.quote, (*where, *self.arguments))])


def suggest(command: OnAStage | Literal["sandbox"], *arguments: object) -> Suggestion:
    """Suggest a command. Each argument becomes one word of the shell."""
    return Suggestion(command, tuple(str(one) for one in arguments))


def options_of(
    stage: str, *, profile: str | None, region: str | None, environ: Mapping[str, str]
) -> tuple[str, ...]:
    """The options that a suggested command needs to act on the same stage."""
    given = {
        "--stage": stage if stage != (environ.get(STAGE_VARIABLE) or DEFAULT_STAGE) else None,
        "--profile": profile,
        "--region": region,
    }
    return tuple(word for name, value in given.items() if value for word in (name, value))


@contextmanager
def acting_at(options: tuple[str, ...]) -> Iterator[None]:
    """Add these options to suggestions until the running command ends."""
    token = _where.set(options)
    try:
        yield
    finally:
        _where.reset(token)
