"""The deployment that a new success replaces is said to be inactive."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from chalicelib.core.deployments import Deployment, replaced
from chalicelib.core.history import Command
from chalicelib.flows.find import Deployments
from chalicelib.flows.standing import History, look, sent_to, since_made

PAGES, LOOKS = 5, 50  # GitHub's pages, and deployments looked into


def end_replaced(  # noqa: PLR0913 - each is a fact of its own
    github: Deployments,
    history: History,
    command: Command,
    *,
    environment: str,
    stage: str,
    now: datetime,
) -> None:
    """Say of the deployment that this command's replaces that it does not run any more.

    The command's commit is on every host of its target by `now` (aware). There is one at the most,
    as each ended the one before it. It is not far back, but for what failed since, and for other
    targets in the environment. Raises what its ports do.
    """
    target, commit = command.roll_out.target, command.roll_out.commit
    others = (
        one
        for one in _newest(github, environment)
        if (one.stage, one.target) == (stage, target) and one.commit != commit.sha
    )
    for other in islice(others, LOOKS):
        said = github.statuses(other.id)
        if not said or said[0].state != "success":
            continue
        # By the same look as its own events have: they may come later, or have seen more.
        sent = sent_to(history, command, since_made(other, command))
        status = replaced(commit)
        if any(one.roll_out.commit.sha == other.commit for one in sent):
            _, status = look(history, sent, other.commit, now=now)
        if status.state == "inactive":
            github.post(other.id, status)
            return


def _newest(github: Deployments, environment: str) -> Iterator[Deployment]:
    for number in range(1, PAGES + 1):
        page = github.newest(environment, number)
        yield from page.deployments
        if page.is_last:
            return
