"""Answers Auto Scaling for the instances that are being launched, by the plans of a round."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.core.decisions import Decision, DecisionLog, Level, count
from chalicelib.core.errors import PulleyError, RefusedError
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.launches import ABANDON_ANSWER, GROUP_TAG, Launch, LaunchAnswer, answer_launch
from chalicelib.core.notifications import launch_notification
from chalicelib.core.plan import TargetPlan
from chalicelib.core.refs import InstanceId
from chalicelib.core.targets import STAGE_TAG, Target
from chalicelib.flows.notify import Publisher

LONGEST_WAIT = timedelta(hours=48)  # after which Auto Scaling holds no instance


class Groups(Protocol):
    """Auto Scaling. Every method raises RefusedError or UnavailableError."""

    def waiting(self, instance_ids: Sequence[str]) -> Mapping[str, str]:
        """The group of each instance that is being launched, by its id."""

    def complete(self, launch: Launch, result: str) -> bool:
        """Answer CONTINUE or ABANDON. False if nobody waits for it (any more)."""

    def ask_for_time(self, launch: Launch) -> None:
        """Let the hook's time-out begin again, if somebody waits still."""


@dataclass(frozen=True)
class LaunchCompleter:
    """Completes the launches of one stage."""

    stage: str
    groups: Groups
    topic: Publisher | None
    journal: DecisionLog

    def held(self, hosts: Iterable[Host], *, named: str = "", now: datetime) -> Mapping[str, str]:
        """Which of the hosts are being launched: the group of each, by its id.

        Only young ones are asked for, and the one that is named: an instance of a warm pool may be
        old. An error is logged: the next round tries again.
        """
        new = [
            one.instance_id
            for one in hosts
            if GROUP_TAG in one.tags and (one.instance_id == named or _is_young(one, now))
        ]
        if not new:
            return {}
        try:
            return self.groups.waiting(new)
        except PulleyError as error:
            self._note({}, "failed", error.in_full, "error")
            return {}

    def of(
        self, fleet: Fleet, held: Mapping[str, str], unread: Collection[Target], *, named: str
    ) -> Sequence[Host]:
        """The held hosts, without those of targets that have no plan (`unread`).

        If a host woke the round, it is `named`: only its targets were read.
        """
        return [
            one
            for one in fleet.hosts
            if one.instance_id in held
            and named in {"", one.instance_id}
            and not any(fleet.has(target, one.instance_id) for target in unread)
        ]

    def complete(
        self,
        hosts: Iterable[Host],
        held: Mapping[str, str],
        plans: Collection[TargetPlan],
        *,
        knows_all: bool,
    ) -> None:
        """Answer for those of the held hosts that are at what their targets want, or cannot be.

        `plans` are of all targets of these hosts. If some stored targets cannot be read, it does
        not `knows_all`: then a host without a target keeps waiting, because it may have one.
        """
        for host in hosts:
            known = [
                (plan, one)
                for plan in plans
                for one in plan.hosts
                if one.host.instance_id == host.instance_id
            ]
            if known or knows_all:
                launch = Launch(InstanceId(host.instance_id), held[host.instance_id])
                self._answer(host, launch, answer_launch(known))

    def _answer(self, host: Host, launch: Launch, answer: LaunchAnswer) -> None:
        facts: dict[str, object] = {"host": host.name, "instance_id": host.instance_id}
        facts["group"] = launch.group
        try:
            if not answer.result:
                self._note(facts, "waiting", answer.reason)
                if answer.is_under_way:
                    self.groups.ask_for_time(launch)
                return
            if not self.groups.complete(launch, answer.result):
                return  # it has been answered, or another hook holds it
        except RefusedError as error:
            tag = f"{STAGE_TAG} = {self.stage}"
            hint = f"does the group {launch.group} have the tag {tag}? pulley targets launch-hook"
            self._note(facts, "failed", f"{error.in_full}; {hint}", "warning")
            return
        except PulleyError as error:
            self._note(facts, "failed", error.in_full, "warning")
            return
        outcome = "abandoned" if answer.result == ABANDON_ANSWER else "continued"
        self._note(facts, outcome, answer.reason, "error" if answer.has_failed else "info")
        if answer.has_failed and self.topic:
            self._publish(self.topic, host, launch, outcome, answer.reason)

    def _publish(
        self, topic: Publisher, host: Host, launch: Launch, done: str, reason: str
    ) -> None:
        try:
            topic.publish(
                launch_notification(
                    stage=self.stage, host=host.name, group=launch.group, done=done, reason=reason
                )
            )
        except PulleyError as error:
            facts = {"host": host.name, "reason": error.in_full}
            self.journal.note(Decision("notification", "failed", facts, "error"))

    def _note(
        self, facts: Mapping[str, object], outcome: str, reason: str, level: Level = "info"
    ) -> None:
        metrics = count("Launches") if outcome in {"abandoned", "continued"} else {}
        self.journal.note(Decision("launch", outcome, {**facts, "reason": reason}, level, metrics))


def _is_young(host: Host, now: datetime) -> bool:
    return host.launched is not None and now - host.launched < LONGEST_WAIT
