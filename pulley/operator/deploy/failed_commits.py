"""A commit that was tried, and failed on every host: as far as Systems Manager remembers.

Tried is where the script began to bring the commit about. That GitHub was not to be reached, or
that a host had no checkout, says nothing of a commit.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.core.history import Check, Command, Invocation
from chalicelib.core.observations import AT, FAILED, judge_host
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from pulley.operator.aws.commands import commands_to

MAX_COMMANDS = 50  # that are looked into: a call each
_MOST_NAMED = 3  # hosts


@dataclass(frozen=True)
class Failure:
    """A host's newest failure with a commit. `at` is when its script ended, or was asked for."""

    host: str
    at: datetime
    words: str


def failures_everywhere(
    target: Target,
    commit: CommitSha,
    sent: Iterable[Command | Check],
    invocations: Callable[[str], Sequence[Invocation]],
) -> list[Failure]:
    """Each host's newest failure, by the host's name; none where any host ever took the commit.

    `invocations` are of a command's id, and may raise RefusedError and UnavailableError.
    """
    of_commit = [one for one in commands_to(target, sent) if one.roll_out.commit == commit]
    of_commit.sort(key=lambda one: one.requested, reverse=True)
    failures: dict[str, Failure] = {}
    for command in of_commit[:MAX_COMMANDS]:
        for one in invocations(command.id):
            judged = judge_host(one, command.roll_out)
            if judged.kind == AT:
                return []
            if judged.kind == FAILED and one.has_begun and not judged.touched_nothing:
                at = one.ended or command.requested
                failures.setdefault(one.instance_id, Failure(one.host, at, judged.words))
    return sorted(failures.values(), key=lambda one: one.host)


def failure_words(commit: CommitSha, failures: Sequence[Failure]) -> str:
    """What happened when, for people; at least one failure."""
    named = [
        f"{one.host}, {one.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {one.words}"
        for one in failures[:_MOST_NAMED]
    ]
    if len(failures) > _MOST_NAMED:
        named.append(f"and {len(failures) - _MOST_NAMED} more")
    return f"{commit.short} failed on every host that it was tried on ({'; '.join(named)})"
