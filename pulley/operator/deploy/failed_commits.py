"""Find out whether a commit failed on every host that tried it, from Run Command's history.

A run that changed nothing on a host does not count as a try: if GitHub was unreachable, or the host
had no checkout, the failure says nothing about the commit.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.core.history import Check, Command, Invocation
from chalicelib.core.observations import AT, FAILED, judge_host
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from pulley.operator.aws.commands import commands_to

MAX_COMMANDS = 50  # each costs a call
_MOST_NAMED = 3  # hosts


@dataclass(frozen=True)
class Failure:
    """A host's newest failure with a commit. `at` is when its run ended, else when it was sent."""

    host: str
    at: datetime
    words: str


def failures_everywhere(
    target: Target,
    commit: CommitSha,
    sent: Iterable[Command | Check],
    invocations: Callable[[str], Sequence[Invocation]],
) -> list[Failure]:
    """Each host's newest failure, sorted by name; empty if the commit succeeded on any host.

    `invocations` reads those of a command's id. It may raise RefusedError and UnavailableError.
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
    """The failures in words. There must be at least one."""
    named = [
        f"{failure.host}, {failure.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {failure.words}"
        for failure in failures[:_MOST_NAMED]
    ]
    if len(failures) > _MOST_NAMED:
        named.append(f"and {len(failures) - _MOST_NAMED} more")
    return f"{commit.short} failed on every host that it was tried on ({'; '.join(named)})"
