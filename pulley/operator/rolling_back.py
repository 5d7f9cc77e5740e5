"""The way back: the last good commit before the one that is there, from what hosts said of each."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import RollOut
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from chalicelib.core.verdicts import Run
from chalicelib.core.wanted import Wanted, last_good
from chalicelib.flows.survey import Survey

MAX_RUNS = 50  # that are looked into: a call each


def read_runs(target: Target, survey: Survey) -> list[Run]:
    """What was sent to a target, and what became of it. Raises RefusedError, UnavailableError."""
    return [
        Run(command, roll_out, survey.history.invocations(command.id))
        for command, roll_out in survey.sent_to(target)[:MAX_RUNS]
    ]


def commit_to_leave(wanted: Wanted | None, sent: Sequence[RollOut]) -> CommitSha | None:
    """What is to be undone: the commit that is wanted, else the one that was sent last.

    Where the branch's tip was not sent yet, it is not what runs.
    """
    commits = [one.commit for one in sorted(sent, key=lambda one: one.issued)]
    if wanted and wanted.commit in commits:
        return wanted.commit
    return commits[-1] if commits else None


def choose_way_back(
    target: Target, leave: CommitSha | None, runs: Sequence[Run], *, now: datetime
) -> CommitSha:
    """The last good commit of those that came before. Raises UnavailableError where none is known.

    A commit that came after the one to leave is no way back, though it was good: it may be what a
    roll back before this one has left.
    """
    if leave is None:
        raise UnavailableError(
            f"nothing was sent to {target.name} in the last 30 days, so no good commit is known: "
            f"pulley pin {target.name} COMMIT names one"
        )
    first = first_sent(run.roll_out for run in runs)
    before = [run for run in runs if first[run.roll_out.commit] < first.get(leave, 0)]
    found = last_good(before, leave, now)
    if found is None:
        raise UnavailableError(
            f"no good commit of {target.name} is known from before {leave.short}: Systems Manager "
            "remembers 30 days, and good is what is on every host that it was sent to. pulley pin "
            f"{target.name} COMMIT goes to one that you know"
        )
    return found.commit


def first_sent(roll_outs: Iterable[RollOut]) -> Mapping[CommitSha, int]:
    """When each commit was sent first, in epoch milliseconds."""
    first: dict[CommitSha, int] = {}
    for one in roll_outs:
        first[one.commit] = min(one.issued, first.get(one.commit, one.issued))
    return first
