"""List, show and drop the edits and commits that hosts have saved, by the document.

Hosts are asked as by a check. A host's answer counts for that host only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.history import Invocation
from chalicelib.core.hosts import Host
from chalicelib.core.observations import failure_words
from chalicelib.core.results import HostResult, ResultError, parse_result
from chalicelib.core.targets import Target
from pulley.operator.deploy.issue_time import milliseconds
from pulley.operator.hosts.ask import Answers, Checker, Question
from pulley.operator.hosts.git_command import git_command
from pulley.operator.hosts.saved_refs import (
    NOTHING_SAVED,
    SavedRef,
    SavedRefs,
    parse_saved_refs,
)
from pulley.operator.near import did_you_mean
from pulley.operator.suggest import suggest

PREFIX = "refs/pulley/saved/"
SHOWN_BYTES = 7_900  # of a commit's diff, at most, in the script's output
_WHOLE_ID = 40  # characters
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Told:
    """A host's result; or, in `problem`, why there is none."""

    host: Host
    result: HostResult | None = None
    problem: str = ""
    saved: SavedRefs = NOTHING_SAVED


def ask(
    checker: Checker, target: Target, hosts: Sequence[Host], question: Question, *, now: datetime
) -> tuple[list[Told], Answers]:
    """Ask the hosts. Their answers are in the order of `hosts`. `now` is aware.

    Raises RefusedError and UnavailableError, also if no host could be asked.
    """
    answers = checker.ask({target: hosts}, issued=milliseconds(now), question=question)
    why_not = [error for _, error in answers.refused]
    if why_not and not answers.by_target:
        raise why_not[0]
    found = {host.instance_id: answer for _, host, answer in answers.by_target}
    return [_told(one, found.get(one.instance_id), why_not) for one in hosts], answers


def _told(host: Host, answer: Invocation | None, why_not: Sequence[PulleyError]) -> Told:
    if not host.is_online:
        return Told(host, problem="it is offline")
    if answer is None:
        return Told(host, problem=why_not[0].in_full if why_not else "it did not answer")
    if answer.is_refused:
        return Told(
            host,
            problem=f"{answer.refusal}. Is the document of this release? See {suggest('setup')}",
        )
    try:
        result, saved = parse_result(answer.output), parse_saved_refs(answer.output)
    except ResultError:
        return Told(host, problem=f"it did not answer: {answer.details or answer.status}")
    if result.outcome != "unchanged":
        return Told(host, problem=failure_words(result))
    return Told(host, result, saved=saved)


def choose_hosts(hosts: Sequence[Host], name: str) -> Sequence[Host]:
    """The hosts with this name or instance id. Raises UnavailableError if there is none."""
    found = [host for host in hosts if name in {host.name, host.instance_id}]
    if not found:
        names = [one.name for one in hosts]
        known = ", ".join(names) or "none"
        raise UnavailableError(
            f"the target has no host {name}{did_you_mean(name, names)}; its hosts are {known}"
        )
    return found


def find_commit(told: Told, begins: str) -> SavedRef:
    """Find a listed commit by how its id begins. A full id need not be listed: its ref is "" then.

    Raises UnavailableError.
    """
    if told.problem:
        raise UnavailableError(f"{told.host.name}: {told.problem}")
    found = {ref.commit: ref for ref in told.saved.refs if ref.commit.startswith(begins)}
    if len(found) > 1:
        raise UnavailableError(f"{begins} begins several commits: {', '.join(found)}")
    if found:
        return next(iter(found.values()))
    if len(begins) == _WHOLE_ID:
        return SavedRef("", begins, 0, "")
    more = told.saved.count - len(told.saved.refs)
    older = (
        f"; {more} older ones are not listed: name one of those by its full {_WHOLE_ID}-digit id"
    )
    raise UnavailableError(
        f"{told.host.name} lists no saved commit that begins {begins}{older if more else ''}"
    )


def saved_at(ref: SavedRef) -> datetime | None:
    """When the ref was saved (aware), by the host's clock. None if its name has no time."""
    try:
        return datetime.strptime(ref.ref.partition("-")[0], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def line_that_brings_back(target: Target, saved: SavedRef) -> str:
    """The command that saves a dropped commit again, on the host, as long as git has it."""
    return f"{git_command(target)} update-ref {PREFIX}{saved.ref or saved.commit} {saved.commit}"


def line_that_applies(target: Target, saved: SavedRef) -> str:
    """The command that puts a saved edit back into the files, on the host."""
    return f"{git_command(target)} stash apply {saved.commit}"
