"""What a round did, and how its commands are sent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.commands import SendRequest
from chalicelib.core.decisions import COUNT, Decision, DecisionLog
from chalicelib.core.errors import PulleyError
from chalicelib.core.plan import SEND, TargetPlan
from chalicelib.core.stored import document_pin_of
from chalicelib.core.targets import Target
from chalicelib.flows.deploy import Commands, Pins
from chalicelib.flows.snapshot import Reader, Snapshot


@dataclass
class Round:
    """What a round did, in numbers: `behind` counts hosts. It `is_whole` unless time ran out."""

    targets: int = 0
    hosts: int = 0
    behind: int = 0
    sent: int = 0
    parked: int = 0
    failed: int = 0
    is_whole: bool = True

    def note(self, journal: DecisionLog, outcome: str) -> None:
        """Log it, and count it."""
        metrics = {
            "Rounds": (1, COUNT),
            "HostsBehind": (self.behind, COUNT),
            "HostsParked": (self.parked, COUNT),
        }
        journal.note(Decision("round", outcome, vars(self), metrics=metrics))


@dataclass(frozen=True)
class PlanSender:
    """Sends what the plans of one stage's targets say."""

    stage: str
    pins: Pins
    reader: Reader
    commands: Commands
    journal: DecisionLog
    clock: Callable[[], datetime]

    def apply(self, plan: TargetPlan, snapshot: Snapshot, done: Round) -> None:
        """Send, unless somebody changed the pin or sent a command while the round was reading."""
        if not plan.sends:
            return
        done.behind += sum(len(send.instance_ids) for send in plan.sends if send.attempt)
        target, pins = plan.target, self.pins.pins([plan.target.name])
        if pins.by_target.get(target.name) != snapshot.pins.by_target.get(target.name):
            return
        # Send nothing if the target got a command that the snapshot lacks: it may be a roll-out of
        # this commit, already stopped by `max_errors`.
        if self.reader.has_sent_since(target, snapshot, now=self.clock()):
            return
        # Issued before anything was read, so that a host prefers a command that was sent since.
        issued, pin = snapshot.issued, document_pin_of(pins)
        requests = [
            one.request(stage=self.stage, issued=issued, document_pin=pin) for one in plan.sends
        ]
        self._send(plan, requests, done)

    def _send(self, plan: TargetPlan, requests: Sequence[SendRequest], done: Round) -> None:
        for send, answer in zip(plan.sends, self.commands.send(requests), strict=True):
            facts = target_facts(plan.target) | {"commit": send.wanted.commit.sha}
            facts |= {"update": send.wanted.update, "attempt": send.attempt}
            if isinstance(answer, PulleyError):
                done.failed += 1
                facts["reason"] = answer.in_full
                self.journal.note(Decision("command", "failed", facts, "error"))
                continue
            done.sent += 1
            reasons = {
                one.host.name: one.reason
                for one in plan.hosts
                if one.action == SEND and one.host.instance_id in send.instance_ids
            }
            facts |= {"command_id": answer, "hosts": reasons}
            self.journal.note(Decision("command", "sent", facts))


def target_facts(target: Target) -> dict[str, object]:
    """The facts that identify the target in a line of the log."""
    return {"repository": str(target.repository), "target": target.name, "cause": "reconcile"}
