"""Commands, invocations and events of Systems Manager, for the tests of the flows."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chalicelib.core.commands import COMMAND_CHANGE
from chalicelib.core.history import Check, Command, Invocation, Run
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.core.verdicts import Verdict, judge
from tests import facts
from tests.facts import ROLL_OUT, invocation, result_line, sent
from tests.fakes import COMMIT, SITE

START = datetime(2030, 1, 1, 8, tzinfo=UTC)
NOW = START + timedelta(minutes=1)
OLD = facts.OLD


def line_of(commit: str = COMMIT, **changes: object) -> str:
    """A host's result line: updated to the commit, with these changes."""
    return result_line(**{"after": commit, "upstream": commit} | changes)


def rolled_back(commit: str) -> str:
    failure = {"step": "health_check", "detail": "answered 500"}
    return line_of(commit, outcome="rolled_back", after=OLD, **failure)


def on(
    number: int, output: str = "", details: str = "Success", *, ended: datetime = NOW
) -> Invocation:
    return invocation(number, details, output, ended)


def running(number: int) -> Invocation:
    return on(number, details="InProgress")


def id_of(number: int) -> str:
    return f"0831e1a8-a1ac-4257-a1fd-{number:012x}"


def command_of(
    commit: str = COMMIT,
    number: int = 1,
    *,
    status: str = "Success",
    count: int = 1,
    target: str = "web",
    deployment: int | None = None,
    pushed_at: datetime | None = None,
    repository: Repository = SITE,
    attempt: int = 0,
    saved: str = "keep",
    checkout: str = "/srv/site",
) -> Command:
    """The command with that number; each is requested ten minutes after the previous command."""
    requested = START + timedelta(minutes=10 * (number - 1))
    roll_out = replace(
        ROLL_OUT,
        target=target,
        repository=repository,
        commit=CommitSha(commit),
        issued=int(requested.timestamp() * 1000) - 300,
        cause="reconcile" if attempt else "push",
        deployment=deployment,
        pushed_at=pushed_at,
        attempt=attempt,
        saved=saved,
        checkout=checkout,
    )
    return sent(id_of(number), roll_out, requested, status=status, details=status, count=count)


def check_of(number: int = 1, checkout: str = "/srv/site", target: str = "web") -> Check:
    """The check with that number."""
    sent = command_of(number=number)
    return Check(
        id=sent.id,
        status="Success",
        details="Success",
        requested=sent.requested,
        expires=sent.expires,
        target_count=1,
        checkout=checkout,
        target=target,
    )


def verdict_on(command: Command, *invocations: Invocation) -> Verdict:
    """The verdict of this command alone."""
    return judge([Run(command, invocations)], now=NOW)


def event_of(number: int = 1, status: str = "Success", **changes: object) -> dict[str, object]:
    """EventBridge's event for the command with that number."""
    detail: Mapping[str, object] = {
        "command-id": id_of(number),
        "document-name": "pulley-dev-pull",
        "status": status,
    }
    return {
        "detail-type": COMMAND_CHANGE,
        "source": "aws.ssm",
        "detail": detail,
    } | changes
