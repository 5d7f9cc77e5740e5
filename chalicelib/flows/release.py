"""Releases a target's newest commit that has passed the target's gates, as a part of a round.

A release is the same deploy as a push.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from chalicelib.core.decisions import Decision, DecisionLog
from chalicelib.core.deployments import Attempt, Cause
from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.gates import DEPLOYMENT
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.core.targets import Target
from chalicelib.core.waiting import Waiting, newer_than
from chalicelib.core.wanted import TargetFacts, newest_asked
from chalicelib.flows.branches import note_not_asked
from chalicelib.flows.deploy import Deployer, Sent
from chalicelib.flows.gated_deployments import GatedDeployments, GatedRepository, Made
from chalicelib.flows.gates import GateReader
from chalicelib.flows.requested import RequestReport
from chalicelib.flows.snapshot import Snapshot

MAX_JUDGED = 10  # commits of a target whose checks GitHub judges in one round
# For so long after a commit was sent, rounds look whether an older commit still shows as queued.
RECENT = timedelta(hours=24)
SECONDS = 10.0  # to post on GitHub that a release could not be sent


@dataclass(frozen=True)
class Releaser:
    """Releases for one stage. `github` takes a repository and its token."""

    stage: str
    gates: GateReader
    github: Callable[[Repository, str], GatedRepository]
    deployer: Deployer
    journal: DecisionLog
    clock: Callable[[], datetime]

    def release(
        self, facts: TargetFacts, snapshot: Snapshot, targets: Sequence[Target]
    ) -> Sent | None:
        """Send the newest commit whose gates are open, if it is newer than the target's.

        `targets` are all targets of the stage. None if nothing is sent: the log has the gates
        that are not open, and what GitHub refused. Raises RefusedError and UnavailableError.
        """
        target, token = facts.target, snapshot.branches.tokens.get(facts.target.repository)
        if not token or not target.needs_github:
            return None
        github = self.github(target.repository, token)
        if target.gates.trigger == DEPLOYMENT:
            return self._serve(facts, github, snapshot, targets, token)
        deployments = GatedDeployments(self.stage, target, github)
        try:
            waiting = self.gates.waiting(facts, github, snapshot, targets)
            chosen, made = self._choose(waiting, deployments, facts, snapshot.now)
            if chosen is None:
                self._end_waiting([one.commit for one in waiting], facts, deployments, snapshot)
        except (NotTakenError, UnavailableError) as error:
            note_not_asked(self.journal, target.repository, error)
            return None
        if chosen is None or self.gates.reader.has_sent_since(target, snapshot, now=self.clock()):
            return None
        sent = self._send(chosen, made, target, token, snapshot)
        try:
            ahead = newer_than([one.commit for one in waiting], chosen.commit)
            deployments.end_waiting(chosen.commit, ahead)
        except (NotTakenError, UnavailableError) as error:
            note_not_asked(self.journal, target.repository, error)
        return sent

    def _serve(
        self,
        facts: TargetFacts,
        github: GatedRepository,
        snapshot: Snapshot,
        targets: Sequence[Target],
        token: str,
    ) -> Sent | None:
        """Send what somebody else's deployment asks for. None if nothing is sent."""
        target, report = facts.target, RequestReport(facts.target, github)
        try:
            waiting = self.gates.waiting(facts, github, snapshot, targets)
            asked = [(one, one.deployment) for one in waiting if one.deployment]
            for one, request in asked:
                if not one.is_open:
                    self._note_waiting(target, one)
                    report.tell(request, str(one), snapshot)
        except (NotTakenError, UnavailableError) as error:
            note_not_asked(self.journal, target.repository, error)
            return None
        chosen = next(((one, request) for one, request in asked if one.is_open), None)
        if chosen is None or self.gates.reader.has_sent_since(target, snapshot, now=self.clock()):
            return None
        waits, request = chosen
        cause = _cause(waits, target, token, snapshot)
        # Leave `is_new` False, so that the deployer posts nothing on the request: an `error` from
        # us would end it, and no round would try again.
        sent = self.deployer.send([Attempt(target, cause, request)], cause, SECONDS)
        try:
            for _, why in sent.failed:
                report.tell(request, f"not sent yet, the next round tries again: {why}", snapshot)
            report.end_overtaken(request, snapshot)
        except (NotTakenError, UnavailableError) as error:
            note_not_asked(self.journal, target.repository, error)
        return sent

    def _choose(
        self,
        waiting: Sequence[Waiting],
        deployments: GatedDeployments,
        facts: TargetFacts,
        now: datetime,
    ) -> tuple[Waiting | None, Made | None]:
        """The newest commit with open gates, if there is one; and its judged deployment."""
        target, judged, asked = facts.target, [], 0
        for one in waiting:
            gates, made = one.gates, None
            if target.gates.checks and one.is_open:
                if asked == MAX_JUDGED:
                    break
                asked += 1
                gate, made = deployments.judge_checks(one.commit)
                gates = (*gates, gate)
            judged.append(replace(one, gates=gates))
            if judged[-1].is_open:
                return one, made
        if judged:
            self._note_waiting(target, judged[0])
            # If a pin already sent this commit, its deployment shows the report's state: do not
            # post "queued" over it.
            if judged[0].commit not in {one.commit for one in facts.asked}:
                deployments.tell(judged[0], now=now)
        return None, None

    def _end_waiting(
        self,
        waiting: Sequence[CommitSha],
        facts: TargetFacts,
        deployments: GatedDeployments,
        snapshot: Snapshot,
    ) -> None:
        """End queued commits that do not wait any more.

        A person has sent a newer one, a force push has removed them, or GitHub failed before.
        """
        last, pin = newest_asked(facts), facts.pin
        if waiting:
            deployments.end_waiting(waiting[0], waiting)
        elif last and not (pin and pin.holds(snapshot.now)):
            sent = snapshot.sent_to(facts.target)
            asked = (one.requested for one in sent if one.roll_out.cause != "reconcile")
            if any(snapshot.now - one < RECENT for one in asked):
                deployments.end_waiting(last, ())

    def _send(
        self,
        chosen: Waiting,
        made: Made | None,
        target: Target,
        token: str,
        snapshot: Snapshot,
    ) -> Sent:
        cause = _cause(chosen, target, token, snapshot)
        if made is None:
            return self.deployer.deploy([target], cause)
        deployment, is_new = made
        attempt = Attempt(target, cause, deployment, is_new)
        return self.deployer.send([attempt], cause, SECONDS)

    def _note_waiting(self, target: Target, waiting: Waiting) -> None:
        facts = {
            "repository": str(target.repository),
            "target": target.name,
            "commit": waiting.commit.sha,
            "reason": str(waiting),
        }
        self.journal.note(Decision("command", "waits", facts))


def _cause(chosen: Waiting, target: Target, token: str, snapshot: Snapshot) -> Cause:
    return Cause(
        repository=target.repository,
        commit=chosen.commit,
        tag=chosen.tag,
        word="push",
        # Half a millisecond more, or the conversion to a float could make it one less.
        now=datetime.fromtimestamp((snapshot.issued + 0.5) / 1000, UTC),
        token=token,
    )
