"""The deployment that a new success replaces is said to be inactive."""

from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.deployments import Deployment, replaced
from chalicelib.core.history import Command
from chalicelib.flows.find import Deployments
from chalicelib.flows.standing import History, look, sent_to, since_made

PAGES, LOOKS = 5, 50  # GitHub's pages, and deployments looked into


@dataclass(frozen=True)
class Success:
    """A command whose commit is on every host of its target, at a time (aware)."""

    stage: str
    command: Command
    now: datetime

    def end_replaced(self, github: Deployments, history: History, environment: str) -> None:
        """Say of the target's deployment that this one replaces that it does not run any more.

        There is one at the most, as each ended the one before it. It is not far back, but for what
        failed since, and for other targets in the environment. Raises what its ports do.
        """
        looks = 0
        for number in range(1, PAGES + 1):
            page = github.newest(environment, number)
            for other in page.deployments:
                if not self._may_replace(other):
                    continue
                if looks == LOOKS or self._end(other, github, history):
                    return
                looks += 1
            if page.is_last:
                return

    def _may_replace(self, other: Deployment) -> bool:
        is_ours = (other.stage, other.target) == (self.stage, self.command.roll_out.target)
        return is_ours and other.commit != self.command.roll_out.commit.sha

    def _end(self, other: Deployment, github: Deployments, history: History) -> bool:
        """Whether it was to be ended."""
        said = github.statuses(other.id)
        if not said or said[0].state != "success":
            return False
        # By the same look as its own events have: they may come later, or have seen more.
        sent = sent_to(history, self.command, since_made(other, self.command))
        status = replaced(self.command.roll_out.commit)
        if any(one.roll_out.commit.sha == other.commit for one in sent):
            _, status = look(history, sent, other.commit, now=self.now)
        if status.state != "inactive":
            return False
        github.post(other.id, status)
        return True
